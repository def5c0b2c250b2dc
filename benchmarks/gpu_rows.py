"""Measured rows of GPU engines -> what the estimators take: a shape, a workload, an inventory.

Rows: memory_fit.csv and memory_2026_fit.csv of ../shared/data/truth. Shapes:
../shared/data/configs, and for models whose config is not there ``data/shapes.json`` (public
figures written down by hand). A row whose model or card is not known is left out and counted,
never guessed.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.sglang import memory as sglang
from modelscan.engines.vllm import memory as vllm
from modelscan.gpu.facts import lookup
from modelscan.memory.shape import from_config

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
SHAPES = Path(__file__).resolve().parent / "data" / "shapes.json"

# Row's name -> config's name, where the row says it in other words.
MODELS = {
    "google/gemma-2-2b-it": "google/gemma-2-2b",
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16": "meta-llama/Llama-3.1-8B-Instruct",
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8": "Qwen/Qwen2.5-7B-Instruct",
    "neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w8a8": "meta-llama/Llama-3.1-70B-Instruct",
    "lukealonso/GLM-5.1-NVFP4-MTP": "nvidia/GLM-5.1-NVFP4",
    "Qwen2.5-7B-Instruct (weights match)": "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-0.5B-Instruct": "Qwen/Qwen2-0.5B-Instruct",
    "Qwen/Qwen3-8B-AWQ": "Qwen/Qwen3-8B",
    "Llama-3.1-70B FP8": "nvidia/Llama-3.1-70B-Instruct-FP8",
    "Qwen3-0.6B (deduced: 28 layers x 8 kv heads; 1.25 GB load)": "Qwen/Qwen3-0.6B",
    "Qwen2ForCausalLM 7B (DeepSeek-R1-Distill-Qwen-7B deduced)": (
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B (deduced)": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "GLM-5 NVFP4": "nvidia/GLM-5-NVFP4",
    "GLM-5.2 NVFP4": "nvidia/GLM-5.2-NVFP4",
    "Qwen3.6-27B AutoRound INT4": "Qwen/Qwen3.5-27B",
    "Gemma-4-31B AutoRound INT4": "google/gemma-4-31B-it",
    "MiniMax-M2.x FP8 (53.75 GiB/GPU TP4)": "MiniMaxAI/MiniMax-M2.5",
    "RedHatAI/Qwen3.6-35B-A3B-NVFP4": "nvidia/Qwen3.6-35B-A3B-NVFP4",
}
TABLES = ("memory_fit.csv", "memory_2026_fit.csv")
# Checkpoints whose per-module formats nobody wrote down: their weights are not compared.
UNLISTED = ("RedHatAI/Qwen3.6-35B-A3B-NVFP4", "cpatonn/Qwen3-Next")
QUANTIZATIONS = (
    ("w4a16", "w4a16"), ("quantized.w8a8", "w8a8"), ("w8a8", "w8a8"), ("gptq", "w4a16"),
    ("autoround", "w4a16"), ("awq", "awq"), ("nvfp4", "nvfp4"), ("mxfp4", "mxfp4"), ("fp8", "fp8"),
)  # fmt: skip
# torch's total of cards whose memory the row leaves out (driver figures, GiB).
CARDS = {"RTX PRO 6000": 95.0, "RTX 3090": 23.57, "RTX 5090": 31.36, "L40S": 44.39,
         "DGX Spark": 119.7, "24GB class": 23.52, "T4": 14.56, "H100": 79.19, "H200": 139.8,
         "16GB class": 15.99, "24GB (RTX 4090": 23.52, "288GB class": 287.98,
         "H100 NVL 96GB": 93.6}  # fmt: skip

_UNKNOWN_SHARE = ("utilisation not", "fraction not", "per-token bytes only", "held the rest")

# Month of a release that changed what is allocated, for logs that name a date only.
RELEASES = {
    "vllm": (("2025-10", "0.11.0"), ("2025-12", "0.13.0"), ("2026-07", "0.27.1")),
    "sglang": (("2025-04", "0.4.6"), ("2025-10", "0.5.3")),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured start: the raw columns, and what could be made of them."""

    number: int
    raw: dict[str, str]
    shape: ModelShape | None
    memory_bytes: int | None

    def value(self, column: str) -> float | None:
        text = self.raw[column].replace(",", "")
        found = re.match(r"-?\d+(?:\.\d+)?", text)
        return float(found.group(0)) if found else None

    @property
    def engine(self) -> str:
        return self.raw["engine"].lower()

    @property
    def version(self) -> str:
        return self.raw["engine_version"]

    @property
    def pool_comparable(self) -> bool:
        """False where the share of the memory is not known, or another process used the card."""
        words = self.raw["notes"] + self.raw["engine_version"]
        unknown = any(word in words for word in _UNKNOWN_SHARE)
        shared = "R9700" in self.raw["gpu"] and self.version.startswith("0.11.2")
        return not (unknown or shared or (self.drafted and not self.weights_listed))

    @property
    def drafted(self) -> bool:
        """Whether a prediction block of the checkpoint drafts."""
        return bool(re.search(r"mtp=?[1-9]", self.raw["raw"] + self.raw["notes"]))

    @property
    def weights_listed(self) -> bool:
        """False where nobody wrote down which modules the checkpoint quantizes."""
        unlisted = "GLM-5.1" in self.raw["model"] and self.drafted
        return not unlisted and not self.raw["model"].startswith(UNLISTED)

    @property
    def failed(self) -> bool:
        return self.raw["status"].startswith("failed") and "profile_run" not in self.raw["status"]

    @property
    def trusted(self) -> bool:
        """What the targets count: measured, high confidence."""
        return self.raw["kind"] == "measured" and self.raw["confidence"] == "high"

    @property
    def label(self) -> str:
        raw = self.raw
        cut = "".join(f" {key}{raw[key]}" for key in ("tp", "pp") if raw[key] not in ("", "1"))
        return f"{self.version[:9]} {raw['model'].split('/')[-1][:34]} {raw['quant'][:9]}{cut}"


def rows(engines: tuple[str, ...] = ("vllm", "sglang")) -> list[Row]:
    """Every row of these engines, in the file's order."""
    table: list[dict[str, str]] = []
    for name in TABLES:
        with (SHARED / "truth" / name).open(encoding="utf-8") as file:
            table += csv.DictReader(file)
    return [
        Row(number, raw, shape_of(raw), card_bytes(raw))
        for number, raw in enumerate(table)
        if raw["engine"].lower() in engines
    ]


def config_of(model: str) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """(config, hf_quant_config) of a model, None where nobody wrote it down."""
    own = json.loads(SHAPES.read_text(encoding="utf-8"))
    if model in own:
        return own[model], None
    path = SHARED / "configs" / f"{model.replace('/', '--')}.json"
    if not path.exists():
        return None
    extra = path.with_name(path.stem + ".hf_quant_config.json")
    quantization = json.loads(extra.read_text(encoding="utf-8")) if extra.exists() else None
    return json.loads(path.read_text(encoding="utf-8")), quantization


def shape_of(raw: dict[str, str]) -> ModelShape | None:
    """The shape of a row's model in its quantization."""
    found = config_of(MODELS.get(raw["model"], raw["model"]))
    if found is None:
        return None
    config, extra = found
    named = f"{raw['quant']} {raw['model']}".lower()
    wanted = next((name for word, name in QUANTIZATIONS if word in named), None)
    own = "quantization_config" in config or extra is not None
    return from_config(config, quantization=None if own else wanted, hf_quant_config=extra)


def card_bytes(raw: dict[str, str]) -> int | None:
    """torch's total memory of the row's card."""
    if raw["gpu_mem_gib"]:
        return round(float(raw["gpu_mem_gib"]) * GIB)
    for name, gib in CARDS.items():
        if raw["gpu"].startswith(name):
            return round(gib * GIB)
    return None


def workload_of(row: Row) -> Workload:
    """The row's settings as engine options."""
    raw = row.raw
    options: dict[str, str | None] = {}
    names = {"max_num_seqs": "max-num-seqs", "max_batched_tokens": "max-num-batched-tokens"}
    for column, option in names.items():
        amount = row.value(column)
        if amount:
            options[option] = str(int(amount))
    if raw["kv_dtype"] in ("bf16", "bfloat16"):  # the checkpoint may state another
        options["kv-cache-dtype"] = "bfloat16"
    elif raw["kv_dtype"] not in ("", "auto", "bf16/fp16"):
        options["kv-cache-dtype"] = raw["kv_dtype"].split()[0]
    if raw["eager"] == "1":
        options["enforce-eager"] = None
    if "float32" in raw["quant"]:
        options["dtype"] = "float32"
    options.update(_noted(raw))
    share = re.search(r"0\.\d+", raw["mem_util"])
    return Workload(
        context_tokens=int(row.value("max_ctx") or 8192),
        tensor_parallel=int(row.value("tp") or 1),
        pipeline_parallel=int(row.value("pp") or 1),
        memory_utilization=float(share.group(0)) if share else None,
        parameters=tuple(options.items()),
    )


def _noted(raw: dict[str, str]) -> dict[str, str | None]:
    """Options that a row states in words."""
    options: dict[str, str | None] = {}
    words = f"{raw['raw']} {raw['notes']}"
    parallel = re.search(r"dcp=?(\d+)[- ]mtp=?(\d)", words)
    drafted = re.search(r"MTP num_spec_tokens (\d)", words)
    if parallel:
        options["decode-context-parallel-size"] = parallel.group(1)
    tokens = drafted.group(1) if drafted else parallel.group(2) if parallel else "0"
    if tokens != "0":
        tokens = "3" if "GLM-5.1" in raw["model"] else tokens  # the file name says only "mtp1"
        options["speculative-config"] = f'{{"method": "mtp", "num_speculative_tokens": {tokens}}}'
    largest = re.search(r"max_cudagraph_capture_size (\d+)", words)
    if largest or "glm5.1" in raw["source"]:  # the same starts as in the other file
        options["max-cudagraph-capture-size"] = largest.group(1) if largest else "256"
    if "radix cache disabled" in words:
        options["disable-radix-cache"] = None
    if raw["engine"] == "SGLang" and raw["max_num_seqs"]:
        options["max-running-requests"] = raw["max_num_seqs"]
    if "; align;" in words:
        options["enable-prefix-caching"] = None
    return options


def graphs_charged(row: Row) -> bool:
    """False where the start switched off what its version charges by default."""
    return "glm5.1" not in row.raw["source"]  # VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS=0


def inventory_of(row: Row) -> Inventory | None:
    """The row's cards, idle; None where their memory is not known."""
    if row.memory_bytes is None:
        return None
    count = int(row.value("tp") or 1) * int(row.value("pp") or 1)
    facts = lookup(row.raw["gpu"])
    free = _free_bytes(row, row.memory_bytes, count)
    gpus = tuple(
        Gpu(
            index,
            row.raw["gpu"],
            "amd" if "Radeon" in row.raw["gpu"] else "nvidia",
            row.memory_bytes,
            free,
            "simulated",
            unified_memory="GB10" in row.raw["gpu"],
            compute_capability=facts.compute_capability if facts else None,
        )
        for index in range(count)
    )
    return Inventory(gpus, Host(None, None, None), source="simulated")


def _free_bytes(row: Row, memory: int, count: int) -> int:
    """Idle cards; where SGLang's log says what was free before loading, that."""
    if row.engine != "sglang":
        return memory - GIB // 2
    words = f"{row.raw['gpu']} {row.raw['raw']}"
    before = re.search(r"avail (?:before |~)?([\d.]+)(?: before load)?[),]", words) or re.search(
        r"\(([\d.]+) free before load", words
    )
    if not before or float(before.group(1)) * GIB > memory:
        return memory
    several = 1.6 if count > 1 else 0.6  # what the estimate takes off for contexts
    return round((float(before.group(1)) + several) * GIB)


def _released(row: Row) -> str | None:
    """The release that a log of a date is of, as far as it matters; None: the newest."""
    if not re.match(r"20\d\d-\d\d", row.version):
        return None
    known = [version for since, version in RELEASES[row.engine] if since <= row.version]
    return known[-1] if known else None


def estimate(row: Row) -> Estimate | None:
    """Our estimate of the row; None where the model is not known."""
    if row.shape is None:
        return None
    version = row.version if re.match(r"\d+\.\d+", row.version) else _released(row)
    if version and version.startswith("0.0.0"):
        version = None  # a development build
    run = vllm.estimate if row.engine == "vllm" else sglang.estimate
    return run(row.shape, workload_of(row), inventory_of(row), version=version)
