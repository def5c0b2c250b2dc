"""Values of an engine's own options, as Python engines read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)([kKmMgG]?)$")
_MOST_RANKS = 1024
_ENGINES_CHOICE = "auto"  # as good as not set
_SCALES = {"": 1, "k": 10**3, "K": 2**10, "m": 10**6, "M": 2**20, "g": 10**9, "G": 2**30}


def whole(workload: Workload, *names: str) -> int | None:
    """The positive integer of the first option that is set; None if none is.

    ``32k`` is 32,000 and ``32K`` 32,768, as in vLLM. Raises UsageError for anything else.
    """
    value = decimal(workload, *names)
    return round(value) if value is not None and value > 0 else None


def decimal(workload: Workload, *names: str) -> float | None:
    """The number of the first option that is set. Raises UsageError if it is not a number."""
    for name in names:
        text = workload.parameter(name)
        if text is None or text.strip().lower() == _ENGINES_CHOICE:
            continue
        match = _NUMBER.match(text.strip())
        if not match:
            raise UsageError(
                f"--param {name}={text} is not a number", hint=f"write it like {name}=1024"
            )
        return float(match.group(1)) * _SCALES[match.group(2)]
    return None


def share(workload: Workload, *names: str) -> float | None:
    """A share of the memory, above 0 and at most 1. Raises UsageError outside of that."""
    value = workload.memory_utilization or decimal(workload, *names)
    if value is not None and not 0 < value <= 1:
        name = next((one for one in names if workload.parameter(one)), names[0])
        raise UsageError(
            f"a memory share of {value:g} is not between 0 and 1", hint=f"--param {name}=0.9"
        )
    return value


def ranks(tensor: int | None, pipeline: int | None) -> tuple[int, int]:
    """(tensor, pipeline) parallel degrees. Raises UsageError beyond the supported number."""
    degrees = (tensor or 1, pipeline or 1)
    if degrees[0] * degrees[1] > _MOST_RANKS:
        raise UsageError(
            f"{degrees[0]} x {degrees[1]} GPUs exceed the {_MOST_RANKS} that modelscan plans for",
            hint="--tensor-parallel 8",
        )
    return degrees


def flag(workload: Workload, name: str) -> bool:
    """Whether a switch is set and not false."""
    return workload.parameter(name) not in (None, "false", "False", "0")
