"""The command lines of 20 models on vLLM and SGLang, as text to review.

    cd tests && ../.venv/bin/python -m support.golden_commands     writes engines/golden/*.txt

Models are those of the bundled catalog, planned on simulated GPUs. Format and context are given, so
that a better estimate or a new repository changes nothing here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from support.planner_cases import decide

from modelscan.core.deployment_name import derive_name
from modelscan.core.plan import Plan
from modelscan.core.workload import Workload
from modelscan.engines.base import Serving
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.engines.versions import parse_version
from modelscan.gpu.inventory import inventory
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

GOLDEN = Path(__file__).resolve().parent.parent / "engines" / "golden"
VERSIONS = {"vllm": ("0.8.5", "0.10.2", "0.32.0"), "sglang": ("0.4.8", "0.5.23")}


class Case(NamedTuple):
    model: str
    gpu: str
    quantization: str
    wish: Workload = Workload()


CASES = (
    Case("qwen3-8b", "RTX 4090", "BF16"),
    Case("qwen3-8b", "T4", "GPTQ-Int4"),
    Case("qwen3-32b", "2x H100 80GB", "BF16", Workload(tensor_parallel=2, context_tokens=40_960, parallel=16)),
    Case("qwen3-30b-a3b", "H100 80GB", "BF16", Workload(kv_cache_k="fp8", kv_cache_v="fp8")),
    Case("qwen3-235b-a22b", "8x H100 80GB", "BF16", Workload(tensor_parallel=8)),
    Case("llama-3.1-8b-instruct", "RTX 4090", "W8A16", Workload(memory_utilization=0.8)),
    Case("llama-3.3-70b-instruct", "4x A100 80GB", "BF16", Workload(tensor_parallel=4)),
    Case("gemma-3-27b-it", "2x H100 80GB", "BF16", Workload(tensor_parallel=2)),
    Case("mistral-small-3.2", "H100 80GB", "BF16"),
    Case("deepseek-r1", "8x H200", "FP8", Workload(tensor_parallel=8)),
    Case("deepseek-v3.1", "8x B200", "NVFP4", Workload(tensor_parallel=8)),
    Case("gpt-oss-20b", "2x RTX 5090", "MXFP4", Workload(tensor_parallel=1)),
    Case("gpt-oss-120b", "2x H100 80GB", "MXFP4", Workload(tensor_parallel=2)),
    Case("glm-4.5-air", "4x H100 80GB", "BF16", Workload(tensor_parallel=4, mode="throughput")),
    Case("glm-4.6", "8x H200", "FP8", Workload(tensor_parallel=8)),
    Case("minimax-m2", "8x H200", "FP8", Workload(tensor_parallel=4, pipeline_parallel=2)),
    Case("phi-4", "A100 80GB", "BF16", Workload(parameters=(("enforce-eager", None),))),
    Case("qwen2.5-72b-instruct", "4x A100 80GB", "BF16",
         Workload(tensor_parallel=4, adapters=("/weights/law", "/weights/tax"))),
    Case("qwen3-embedding-8b", "L40S", "BF16"),
    Case("bge-m3", "L4", "BF16"),
    Case("qwen3-reranker-8b", "RTX 4090", "BF16"),
)  # fmt: skip
_CONTEXT = 8_192


def text(backend: str) -> str:
    """Every case on every version of one engine."""
    return "".join(f"{line}\n" for case in CASES for line in _lines(case, backend))


def _lines(case: Case, backend: str) -> Iterator[str]:
    for version in VERSIONS[backend]:
        yield f"# {case.model} on {case.gpu}, {backend} {version}"
        yield command(case, backend, version)


def command(case: Case, backend: str, version: str) -> str:
    """One command line, or why there is none."""
    wish = case.wish
    if backend == "sglang" and wish.parameter("enforce-eager"):
        wish = Workload(parameters=(("disable-cuda-graph", None),))
    wanted = replace(
        wish, backend=backend, backend_version=version, quantization=case.quantization,
        context_tokens=wish.context_tokens or _CONTEXT,
    )  # fmt: skip
    subject = load_subject(case.model, load(), wanted)
    decision = decide(subject, inventory(case.gpu), wanted, explain=False)
    if decision.plan is None:
        assert decision.refusal is not None
        return "does not fit"
    return rendered(decision.plan, backend, version)


def rendered(plan: Plan, backend: str, version: str) -> str:
    name = derive_name(plan.model)
    serving = Serving(f"/weights/{name}", host="127.0.0.1", port=41000, served_model=name)
    one = engine(backend)
    assert isinstance(one, PoolEngine)
    options = one.arguments(plan, serving, parse_version(version))
    env = [f"{name}={value}" for name, value in plan.env.items()]
    return " ".join([*env, backend, *(shlex.quote(word) for word in options)])


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for backend in VERSIONS:
        (GOLDEN / f"{backend}.txt").write_text(text(backend))


if __name__ == "__main__":
    main()
