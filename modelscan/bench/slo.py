"""Limits that a request must keep to be good: ``ttft=500ms,tpot=50ms,e2e=5s``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from modelscan.bench.stream import RequestResult
from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest

_PART = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m)?\s*", re.IGNORECASE)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_EXAMPLE = "modelscan bench run NAME --slo ttft=500ms,tpot=50ms"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """Upper limits in seconds; None: no limit."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


_NAMES = tuple(one.name.removesuffix("_s") for one in fields(ServiceLevel))


def parse_slo(text: str) -> ServiceLevel:
    """The limits of a text; a number without a unit is milliseconds, as other tools read it.

    Raises UsageError for an unknown name, a limit that occurs twice, or one that is 0.
    """
    limits: dict[str, float] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise UsageError(f"'{part.strip()}' is not a limit like ttft=500ms", hint=_EXAMPLE)
        name = match[1].lower().removesuffix("_s")
        if name not in _NAMES:
            near = nearest(name, _NAMES)
            raise UsageError(
                f"there is no limit '{match[1]}'; the limits are {', '.join(_NAMES)}",
                hint=_EXAMPLE if not near else f"{_EXAMPLE.rpartition(' ')[0]} {near[0]}=500ms",
            )
        seconds = float(match[2]) * _UNITS[(match[3] or "ms").lower()]
        if f"{name}_s" in limits or seconds <= 0:
            what = "is given twice" if f"{name}_s" in limits else "must be more than 0"
            raise UsageError(f"the limit '{name}' {what}", hint=_EXAMPLE)
        limits[f"{name}_s"] = seconds
    return ServiceLevel(**limits)


def is_good(result: RequestResult, slo: ServiceLevel) -> bool:
    """Whether an answer kept every limit. A failed one did not, and neither did one without the
    quantity that has a limit (fewer than 2 tokens have no time per token)."""
    if result.error is not None:
        return False
    for one in fields(slo):
        limit, value = getattr(slo, one.name), getattr(result, one.name)
        if limit is not None and (value is None or value > limit):
            return False
    return True
