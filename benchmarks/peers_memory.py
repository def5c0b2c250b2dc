"""The cache other estimators claim, beside llama.cpp's own figure and ours.

GiB of f16 cache for one request of 131,072 tokens. The reference is ``llama-fit-params`` of
llama.cpp 0.5.0-dev; the peers' values were read off each tool (versions in the names), June to
October 2026, over header-only files of the same models.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.llamacpp_rows import open_shape
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from scripts.sparse_families import decoder, deepseek, gpt_oss
from scripts.sparse_gguf import write
from scripts.sparse_pieces import Attn, Moe, Sketch

CONTEXT = 131072
_SANDWICH = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")

MODELS: dict[str, Sketch] = {
    "llama-8b": decoder("llama-8b", "llama", 32, 4096, Attn(32, 8, 128), 14336, 128256),
    "qwen3-30b": decoder("qwen3-30b", "qwen3moe", 48, 2048, Attn(32, 4, 128, norm="head"), 6144,
                         151936, moe=Moe(128, 8, 768)),
    "deepseek-r1": deepseek("deepseek-r1", 61, 7168, 128, 18432, 129280,
                            Moe(256, 8, 2048, 2048, probs=True), 3, 1536),
    "gpt-oss-20b": gpt_oss("gpt-oss-20b", 24, Moe(32, 4, 2880)),
    "gemma-3-27b": decoder("gemma-3-27b", "gemma3", 62, 5376, Attn(32, 16, 128, norm="head"), 21504,
                           262144, tied=True, norm=_SANDWICH, attention__sliding_window=1024),
    "qwen2.5-72b": decoder("qwen2.5-72b", "qwen2", 80, 8192, Attn(64, 8, 128, bias=True), 29568,
                           152064),
}  # fmt: skip
CLAIMS: dict[str, tuple[float, ...]] = json.loads("""{
    "reference": [16, 12, 8.578, 3.0176, 10.609, 40],
    "llmfit 1.1.17": [16, 12, 213.5, 6.0, 62, 40],
    "hf-mem 0.5.6 (safetensors)": [16, 12, 213.5, 6.0, 62, 40],
    "hf-mem 0.5.6 (GGUF)": [16, 6, 0.082, 4.22, 81.4, 40],
    "Ollama PredictServerVRAM": [16, 6, 1.67, 4.22, 81.4, 40],
    "gguf-parser": [16, 12, 4.77, 6.0, 12.2, 40],
    "whichllm 0.5.21": [3.5, 5.8, 64.8, 3.15, 2.08, 31.8],
    "xinference (pytorch)": [64, 48, 213, 33.8, 163, 320]
}""")


def ours() -> tuple[float, ...]:
    """Our cache for the same models, through the public estimate."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, sketch in MODELS.items():
            path = Path(folder) / f"{name}.gguf"
            write(sketch, path)
            workload = Workload(context_tokens=CONTEXT)
            result: Any = estimate(open_shape(path), workload, None, model=name)
            found.append(result.parts.kv_cache_bytes / GIB)
    return tuple(found)


def compare() -> bool:
    """Print each tool's values and errors; True when ours are the closest."""
    reference = CLAIMS["reference"]
    table = {**CLAIMS, "modelscan": ours()}
    print(f"\ncache at {CONTEXT} tokens, GiB (f16, one request)")
    print(f"{'':28}" + "".join(f"{name:>13}" for name in MODELS) + f"{'median':>10}{'worst':>10}")
    worst = {}
    for tool, values in table.items():
        errors = [abs(v - r) / r for v, r in zip(values, reference, strict=True)]
        worst[tool] = max(errors)
        cells = "".join(f"{value:13.2f}" for value in values)
        print(f"{tool:28}{cells}{statistics.median(errors):10.1%}{max(errors):10.1%}")
    others = [value for tool, value in worst.items() if tool not in ("reference", "modelscan")]
    return worst["modelscan"] < min(others)


if __name__ == "__main__":
    compare()
