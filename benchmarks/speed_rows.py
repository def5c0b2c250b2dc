"""Published runs of 2026 -> a model's shape, its cards and its settings, as ``estimate`` gets them.

Rows: ../shared/data/truth/speed_2026_fit.csv. A row whose model has no config is left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu_rows import SHARED, config_of
from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate, Speed
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Backend, Workload
from modelscan.engines.estimate import estimate
from modelscan.gpu import facts
from modelscan.memory.shape import from_config

PATH = SHARED / "truth" / "speed_2026_fit.csv"
MODELS = (
    ("GLM-5.1", "nvidia/GLM-5.1-NVFP4"), ("GLM-5-NVFP4", "nvidia/GLM-5-NVFP4"),
    ("llama-2-7b", "meta-llama/Llama-2-7b-hf"), ("gpt-oss-120b", "openai/gpt-oss-120b"),
    ("gpt-oss-20b", "openai/gpt-oss-20b"),
    ("Qwen3-Coder-30B", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
    ("gemma-3-12b", "google/gemma-3-12b-it"), ("gemma-3-27b", "google/gemma-3-27b-it"),
    ("gemma-3-4b", "google/gemma-3-4b-it"),
    ("Nemotron-3-Nano", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"),
    ("Devstral-2-123B", "mistralai/Devstral-2-123B-Instruct-2512"),
    ("Devstral-24B", "mistralai/Devstral-Small-2-24B-Instruct-2512"),
    ("Ministral-3-14B", "mistralai/Ministral-3-14B-Instruct-2512"),
    ("Ministral-3-8B", "mistralai/Ministral-3-8B-Instruct-2512"),
    ("Nemotron-3-Super", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8"),
    ("MiniMax-M2.7", "MiniMaxAI/MiniMax-M2.5"), ("Qwen3.5-122B", "Qwen/Qwen3.5-122B-A10B"),
    ("Qwen3.5-27B", "Qwen/Qwen3.5-27B"), ("Qwen3.6-27B-NVFP4", "nvidia/Qwen3.6-27B-NVFP4"),
    ("Qwen3.6-27B", "Qwen/Qwen3.6-27B"), ("Qwen3.6-35B", "Qwen/Qwen3.6-35B-A3B"),
    ("Qwen3.5-9B", "Qwen/Qwen3.5-9B"), ("gemma-4-26B", "google/gemma-4-26B-A4B-it"),
    ("gemma-4-31B", "google/gemma-4-31B-it"), ("Qwen3-VL-32B", "Qwen/Qwen3-VL-32B-Instruct"),
    ("Qwen3-4B", "Qwen/Qwen3-4B"), ("Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"),
    ("Llama-3.1-70B", "meta-llama/Llama-3.1-70B-Instruct"),
)  # fmt: skip
CARDS = (
    ("R9700", "Radeon AI PRO R9700"), ("Strix", "Radeon 8060S"), ("7900 XTX", "RX 7900 XTX"),
    ("PRO 6000", "RTX PRO 6000"), ("RTX 5090", "RTX 5090"), ("RTX 3090", "RTX 3090"),
    ("3080 Ti", "RTX 3080 Ti"), ("A100 SXM", "A100 SXM4 80 GB"), ("GB10", "GB10"),
)  # fmt: skip
QUANTIZATIONS = {
    "awq-int4": "awq", "AWQ 4-bit": "awq", "fp8-static": "fp8", "int8-w8a8": "int8",
    "autoround-int4": "w4a16", "gguf-q6_k": "Q6_K", "gguf-q4_k_m": "Q4_K_M", "gguf-q2_k": "Q2_K",
}  # fmt: skip
_ENGINES: dict[str, Backend] = {"v": "vllm", "S": "sglang", "l": "llama.cpp"}
# Old kernels, host spill, a mode that the source does not state: never in a fit.
_DOUBTFUL = ("Qwen3-Next",)


@dataclass(frozen=True, slots=True)
class Row:
    """One published run: ``decode`` and ``prefill`` in tokens per second at ``depth`` tokens."""

    raw: dict[str, str]
    shape: ModelShape
    workload: Workload
    inventory: Inventory
    backend: Backend
    depth: int

    @property
    def decode(self) -> float:
        return float(self.raw["tg_tok_s"])

    @property
    def prefill(self) -> float | None:
        return float(self.raw["pp_tok_s"]) if self.raw["pp_tok_s"] else None

    @property
    def build(self) -> str:
        """llama.cpp's backend, or the engine."""
        words = self.raw["engine"]
        found = next((name for name in ("ROCm", "Vulkan", "Metal") if name in words), "CUDA")
        return f"llama.cpp {found}" if self.backend == "llama.cpp" else words.split(" ")[0]

    @property
    def deep(self) -> bool:
        return self.depth >= 8000

    @property
    def trusted(self) -> bool:
        """False for rows that their source calls ambiguous, or whose cache was on the host."""
        spilled = "Vulkan" in self.raw["engine"] and "* 2" in self.raw["gpu"] and self.deep
        large = float(self.raw["weights_gib"] or 0) > 50
        unclear = "ambiguous" in self.raw["notes"] or "wall" in self.raw["notes"]
        return not (unclear or (spilled and large))

    @property
    def label(self) -> str:
        gpu, model, quant = (self.raw[name] for name in ("gpu", "model", "quant"))
        return f"{gpu[:24]} {model[:30]} {quant[:10]} {self.build} d{self.depth}"

    def estimate(self) -> Estimate:
        return estimate(self.shape, self.workload, self.inventory, model="", backend=self.backend)

    def speed(self) -> Speed | None:
        return self.estimate().speed


def rows() -> Iterator[Row]:
    with PATH.open(encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            row = _row(raw)
            if row is not None:
                yield row


def _row(raw: dict[str, str]) -> Row | None:
    model = next((name for key, name in MODELS if key.lower() in raw["model"].lower()), None)
    found = config_of(model) if model else None
    card = facts.lookup(next(name for key, name in CARDS if key in raw["gpu"]))
    if found is None or card is None or any(word in raw["model"] for word in _DOUBTFUL):
        return None
    several = re.search(r"\* (\d)", raw["gpu"])
    count = int(several.group(1)) if several else 1
    depth = int((re.search(r"d(\d+)", raw["tg_test"]) or [0, 0])[1])
    backend = _ENGINES[raw["engine"][0]]
    cache = re.search(r"kv (fp8|q8_0)", raw["notes"])
    split = (("tensor-split", ",".join("1" * count)),) if "layer split" in raw["notes"] else ()
    workload = Workload(
        parameters=split,  # every card of the run, not the fewest that fit
        context_tokens=2 * max(depth, 256),
        tensor_parallel=count if "TP" in raw["notes"] else None,
        kv_cache_k=cache.group(1) if cache else None,
        kv_cache_v=cache.group(1) if cache else None,
    )
    return Row(
        raw, _shape(raw, found, backend), workload, _machine(card, count, raw), backend, depth
    )


def _shape(
    raw: dict[str, str], found: tuple[dict[str, Any], dict[str, Any] | None], backend: Backend
) -> ModelShape:
    config, extra = found
    name = QUANTIZATIONS.get(raw["quant"], raw["quant"])
    gguf = backend == "llama.cpp"
    plain = name.lower() in ("bf16", "mxfp4", "nvfp4") and not gguf
    size = round(float(raw["weights_gib"]) * GIB) if raw["weights_gib"] and gguf else None
    return from_config(
        config, quantization=None if plain else name, weight_bytes=size,
        format="gguf" if gguf else "safetensors", hf_quant_config=extra,
    )  # fmt: skip


def _machine(card: Any, count: int, raw: dict[str, str]) -> Inventory:
    memory = 120 * GIB if card.unified_memory else card.memory_bytes
    gpus = tuple(
        Gpu(
            index, card.name, card.vendor, memory, memory, "simulated",
            compute_capability=card.compute_capability, gfx_target=card.gfx_target,
            memory_bandwidth_bytes_per_s=card.memory_bandwidth_bytes_per_s,
            unified_memory=card.unified_memory, fp16_tflops=card.fp16_tflops,
        )
        for index in range(count)
    )  # fmt: skip
    return Inventory(gpus, Host(None, None, None), source="simulated")
