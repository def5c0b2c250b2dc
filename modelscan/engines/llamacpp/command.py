"""llama-server's command line for a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelscan.engines.llamacpp.options import ALIASES

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.engines.base import Serving

KEY_VARIABLE = "LLAMA_API_KEY"  # llama-server's own name for it

# Defaults unless the plan sets them: the host-memory prompt cache would use up to 8 GiB that no
# estimate counts; ``fit`` changes the plan's settings; verbosity 4 prints the buffer sizes;
# without a key any web page in the user's browser could read answers: no CORS.
_ALWAYS = (
    ("--cache-ram", "0"), ("--fit", "off"), ("--verbosity", "4"), ("--no-ui",), ("--metrics",),
    ("--cors-origins", ""),
)  # fmt: skip
# Repacked weights are a second copy of them in memory (CPU_REPACK).
_ON_CPU = (("--n-gpu-layers", "0"), ("--no-repack",))
_TASKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "embedding": (("--embeddings",), ("--pooling", "mean")),
    "rerank": (("--rerank",),),
}
_EXCLUDES = {"--no-repack": ("repack",), "--no-ui": ("ui",)}


def arguments(plan: Plan, serving: Serving) -> tuple[str, ...]:
    """modelscan's options, then the plan's; the former are omitted where the plan sets them."""
    words = ["--model", serving.model_file, "--alias", serving.served_model]
    words += ["--host", serving.host, "--port", str(serving.port)]
    names = _given(plan)
    for option in _defaults(plan):
        if not names & {option[0].lstrip("-"), *_EXCLUDES.get(option[0], ())}:
            words += option
    if serving.mmproj_file and not names & {"mmproj", "no-mmproj"}:
        words += ["--mmproj", serving.mmproj_file]
    for adapter in serving.adapter_files:
        words += ["--lora", adapter]
    return (*words, *plan.parameters)


def _defaults(plan: Plan) -> Iterator[tuple[str, ...]]:
    yield from _ALWAYS
    if not plan.gpus:
        yield from _ON_CPU
    yield "--ctx-size", str(plan.context_tokens * plan.parallel)
    yield "--parallel", str(plan.parallel)
    yield from _TASKS.get(plan.task, ())


def _given(plan: Plan) -> set[str]:
    """The names of the plan's own options, in their long form."""
    names = (w.lstrip("-").partition("=")[0] for w in plan.parameters if w.startswith("-"))
    return {ALIASES.get(name, name) for name in names}
