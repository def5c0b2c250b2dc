"""Questions of the kind "what would run here": models, machines and wishes, drawn from a seed."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.hub_content import llama_config
from support.tiny_gguf import Shape, write_tiny_gguf
from support.tiny_hf import write_tiny_hf

from modelscan.core.gpu import Host, Inventory
from modelscan.core.units import GIB
from modelscan.gpu.simulate import simulate

CATALOG = (
    "alibaba/qwen3-8b", "alibaba/qwen3-32b", "alibaba/qwen3-30b-a3b", "alibaba/qwen3-0.6b",
    "openai/gpt-oss-20b", "openai/gpt-4o", "deepseek/deepseek-r1", "meta/llama-3.3-70b-instruct",
    "google/gemma-3-27b-it", "alibaba/qwen3-embedding-8b", "zhipuai/glm-5", "baai/bge-m3",
    "alibaba/qwen3-coder-480b-a35b-instruct", "mistral/mistral-small-2506", "microsoft/phi-4",
    "openai/whisper-large-v3",
)  # fmt: skip
LOCAL = ("tiny.gguf", "tiny-hf", "large/config.json", "fp8/config.json")
CARDS = ("H100 80GB", "RTX 4090", "RTX 3060 12GB", "2x RTX 3090", "T4", "MI300X", "none")
ENGINES = ("no engine", "CPU llama.cpp", "GPU llama.cpp", "CPU llama.cpp, vLLM", "vLLM",
           "GPU llama.cpp, SGLang")  # fmt: skip
WISHES: tuple[tuple[str, ...], ...] = (
    (), (), (), ("--context", "16k"), ("--quantization", "Q4_K_M"), ("--quantization", "FP8"),
    ("--quantization", "INT4"), ("--backend", "llama.cpp"), ("--backend", "vllm"),
    ("--backend", "sglang"), ("--backend", "ollama"), ("--goal", "speed"), ("--goal", "context"),
    ("--mode", "throughput"), ("--tensor-parallel", "2"), ("--kv-cache", "q8_0"),
    ("--param", "swa-full"), ("--parallel", "8"),
)  # fmt: skip
HOST = Host(16, 64 * GIB, 56 * GIB, platform="linux", memory_bandwidth_bytes_per_s=60 * 10**9)


@dataclass(frozen=True)
class Question:
    """``place``: real (this machine with ``cards`` and ``engines``) | simulated | cluster."""

    model: str
    place: str
    cards: str
    engines: str
    wishes: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """What follows ``modelscan plan``."""
        where = {"simulated": ("--gpu", self.cards), "cluster": ("--target", "lab")}
        return (self.model, *where.get(self.place, ()), *self.wishes)


def questions(seed: int, count: int) -> Iterator[Question]:
    """The same for the same seed."""
    draw = random.Random(seed)
    for _ in range(count):
        model = draw.choice((*CATALOG, *LOCAL) if draw.random() < 0.8 else LOCAL)
        place = draw.choice(("real", "real", "simulated", "cluster"))
        cards = draw.choice(CARDS[:3] if place == "cluster" else CARDS)
        yield Question(model, place, cards, draw.choice(ENGINES), draw.choice(WISHES))


def write_models(folder: Path) -> None:
    """The local models of ``LOCAL``."""
    write_tiny_gguf(folder / "tiny.gguf", shape=Shape(context=8192))
    write_tiny_hf(folder / "tiny-hf")
    large = llama_config(hidden=8192, layers=80, vocabulary=128256)
    fp8 = llama_config(hidden=4096, layers=32) | {"quantization_config": {"quant_method": "fp8"}}
    for name, config in (("large", large), ("fp8", fp8)):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))


def inventory_of(cards: str) -> Inventory:
    """These cards as if they were in this machine, with a host of a fixed size."""
    found = simulate(cards)
    return Inventory(found.gpus, HOST, links=found.links, source="local")


def install(engines: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The engines by the settings and programs that modelscan looks at."""
    if "llama.cpp" not in engines:
        for module in ("targets.local.engines", "supervisor.engines.program"):
            patch.setattr(f"modelscan.{module}.embedded_version", lambda: None)
    if "GPU llama.cpp" in engines:
        patch.setenv("MODELSCAN_LLAMA_SERVER", "/bin/true")
    for name, version in (("vllm", "0.28.0"), ("sglang", "0.5.23")):
        if name in engines.lower():
            python = engine_environment(folder / name, version, name)
            patch.setenv(f"MODELSCAN_{name.upper()}", python)


def engine_environment(root: Path, version: str, name: str) -> str:
    """A Python that has an engine's metadata."""
    python, site = root / "python", root / "site"
    if python.exists():
        return str(python)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (site / name).mkdir()
    (site / name / "__init__.py").write_text("")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)
