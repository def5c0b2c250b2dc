"""How many batch sizes vLLM captures CUDA graphs for, from its options and defaults."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import UsageError
from modelscan.engines.option_values import whole

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload
    from modelscan.engines.vllm.versions import VllmVersion

_CAPTURE_MAXIMA = {"gpt_oss": 1024}
_MODE, _SIZES, _LARGEST = (
    "cudagraph_mode", "cudagraph_capture_sizes", "max_cudagraph_capture_size",
)  # fmt: skip
# Settings of the compiler that change no allocation that is modelled.
_HARMLESS = frozenset({
    _MODE, _SIZES, _LARGEST, "cache_dir", "debug_dump_path", "custom_ops", "splitting_ops",
    "compile_sizes", "use_inductor", "inductor_compile_config", "inductor_passes", "backend",
})  # fmt: skip


def capture_sizes(
    architecture: Architecture, seqs: int, drafted: int, workload: Workload, facts: VllmVersion
) -> tuple[int, int]:
    """How many sizes get a piecewise graph, and how many of them a full one as well.

    Sizes: 1, 2, 4, every 8 to 256, then in the version's step to the maximum. Code: the maximum is
    min(2 x max_num_seqs, 512) unless ``max-cudagraph-capture-size`` states it or vLLM's own table
    of model types does (model_executor/models/config.py: gpt-oss has 1024). A list of sizes
    replaces them. Full graphs end at ``seqs`` x ``drafted`` tokens. Raises UsageError for a list
    without numbers.
    """
    compiler = compilation(workload.parameter("compilation-config"))
    if compiler.get(_MODE) == "NONE":
        return 0, 0
    listed = _listed(workload, compiler)
    if len(listed) > 1:
        return len(set(listed)), sum(size <= seqs * drafted for size in set(listed))
    own = _CAPTURE_MAXIMA.get(architecture.name) if facts.two_graphs else None
    asked = whole(workload, "max-cudagraph-capture-size") or _number(compiler.get(_LARGEST))
    largest = asked or next(iter(listed), None) or own or min(2 * seqs, 512)
    return _count(largest, facts), _count(min(largest, seqs * drafted), facts)


def _count(largest: int, facts: VllmVersion) -> int:
    small = sum(size <= largest for size in (1, 2, 4))
    middle = min(largest, 256) // 8
    return small + middle + max(0, largest - 256) // facts.graph_sizes_step


def compilation(text: str | None) -> dict[str, Any]:
    """The JSON of ``--compilation-config``; {} for a bare level, or for anything else."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def reads_compilation(text: str | None) -> bool:
    """Whether every setting in it is modelled, or allocates nothing."""
    settings = compilation(text)
    return bool(settings) and settings.keys() <= _HARMLESS and (
        settings.get(_MODE) in (None, "NONE")
    )  # fmt: skip


def _listed(workload: Workload, compiler: dict[str, Any]) -> list[int]:
    """The sizes that are listed: ``1,2,4`` or ``1 2 4`` or JSON."""
    sizes = compiler.get(_SIZES)
    if isinstance(sizes, list):
        return [size for size in sizes if _number(size)]
    for name in ("cudagraph-capture-sizes", "cuda-graph-sizes"):
        text = workload.parameter(name)
        if text is None:
            continue
        numbers = [int(digits) for digits in re.findall(r"(?<!\d)\d{1,7}(?!\d)", text, re.ASCII)]
        if not numbers:
            raise UsageError(f"--param {name}={text[:40]} lists no sizes", hint=f"{name}=1,2,4,8")
        return numbers
    return []


def _number(value: object) -> int | None:
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**7
    return value if valid and isinstance(value, int) else None
