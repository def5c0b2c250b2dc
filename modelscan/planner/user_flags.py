"""Engine options set by the user (``--param``): the engine they belong to, and the context they
set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines.option_values import flag, share, whole
from modelscan.engines.registry import engines

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.option_names import Names, OptionNames


def _spellings(meaning: Callable[[OptionNames], Names]) -> Names:
    """The names of an option in all engines, without repetitions."""
    return tuple(dict.fromkeys(n for one in engines() for n in meaning(one.option_names)))


_CONTEXT = _spellings(lambda names: names.context)
_TENSOR = _spellings(lambda names: names.tensor_parallel)
_PIPELINE = _spellings(lambda names: names.pipeline_parallel)
_SLOTS = _spellings(lambda names: names.slots)
_SHARE = _spellings(lambda names: names.memory_share)
_TOTAL = _spellings(lambda names: names.total_context)
_UNIFIED = _spellings(lambda names: names.unified)


def without_degree(workload: Workload) -> Workload:
    """The workload without the requested number of GPUs, as an option or an engine option."""
    parameters = tuple(
        (name, value) for name, value in workload.parameters
        if name.replace("_", "-") not in (*_TENSOR, *_PIPELINE)
    )  # fmt: skip
    return replace(workload, tensor_parallel=None, pipeline_parallel=None, parameters=parameters)


def flag_of_other_engine(workload: Workload, backend: str) -> str | None:
    """A reason naming the first user option that only other engines have; None if there is none."""
    for name, _ in workload.parameters:
        plain = name.replace("_", "-")
        owners = [one.name for one in engines() if plain in one.option_names.all]
        if owners and backend not in owners:
            return f"--{name} is an option of {' and '.join(owners)}, not of {backend}"
    return None


def apply_user_flags(workload: Workload) -> Workload:
    """The workload with the context, slots, GPUs and memory share that the user's options set.

    Raises UsageError if ``--context`` contradicts them.
    """
    if not workload.parameters:
        return workload
    return _with_context(
        replace(
            workload,
            parallel=workload.parallel or whole(workload, *_SLOTS),
            tensor_parallel=workload.tensor_parallel or whole(workload, *_TENSOR),
            pipeline_parallel=workload.pipeline_parallel or whole(workload, *_PIPELINE),
            memory_utilization=share(workload, *_SHARE),
        )
    )


def _with_context(workload: Workload) -> Workload:
    tokens = whole(workload, *_CONTEXT) or _of_slot(workload)
    if tokens is None:
        return workload
    requested = workload.context_tokens
    if requested not in (None, tokens):
        raise UsageError(
            f"--context {requested} contradicts a --param that sets {tokens} tokens",
            hint=f"remove the --param, or use --context {tokens}",
        )
    return replace(workload, context_tokens=tokens)


def _of_slot(workload: Workload) -> int | None:
    """Tokens per request, from the context that all slots share."""
    size = whole(workload, *_TOTAL)
    if size is None or any(flag(workload, name) for name in _UNIFIED):
        return size
    return max(1, size // (workload.parallel or 1))
