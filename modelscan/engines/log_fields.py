"""The figures in an engine's start-up log, in bytes, and how they are found in lines.

Line prefixes changed over the years, so the patterns of each engine (``engines/<name>/log.py``)
match only the informative part. Several ranks print the same lines: of sizes the largest counts, of
pools the smallest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelscan.core.units import MIB


@dataclass(frozen=True, slots=True)
class LogFigures:
    """Bytes as one GPU of the engine reported them; None: not in the log.

    ``failure`` is the engine's own line if it refused to start for lack of memory.
    """

    weights_bytes: int | None = None
    kv_pool_bytes: int | None = None
    kv_tokens: int | None = None
    max_concurrency: float | None = None
    context_tokens: int | None = None
    compute_bytes: int | None = None
    non_torch_bytes: int | None = None
    cuda_graph_bytes: int | None = None
    recurrent_state_bytes: int | None = None
    output_bytes: int | None = None
    failure: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the log contained none of the figures."""
        return self == LogFigures()


NUMBER = r"([\d.]+)"


def numbers(pattern: re.Pattern[str], text: str) -> list[float]:
    """The first group of every match that has one."""
    return [
        float(next(group for group in match.groups() if group is not None))
        for match in pattern.finditer(text)
    ]


def number(pattern: re.Pattern[str], text: str) -> float | None:
    """The last figure; None without a match."""
    values = numbers(pattern, text)
    return values[-1] if values else None


def largest(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    """The largest figure in bytes of ``unit``; None without a match."""
    values = numbers(pattern, text)
    return round(max(values) * unit) if values else None


def smallest(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    """The smallest figure in bytes of ``unit``; None without a match."""
    values = numbers(pattern, text)
    return round(min(values) * unit) if values else None


def last_bytes(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    """The last figure in bytes of ``unit``; None without a match."""
    values = number(pattern, text)
    return None if values is None else round(values * unit)


def integer(pattern: re.Pattern[str], text: str) -> int | None:
    """The last whole number, with or without thousands separators."""
    values = pattern.findall(text)
    return int(values[-1].replace(",", "")) if values else None


def total(pattern: re.Pattern[str], text: str) -> int | None:
    """The sum of (device, MiB) pairs in bytes; None without a match."""
    values = pattern.findall(text)
    return round(sum(float(mib) for _, mib in values) * MIB) if values else None


def sum_of_last(pattern: re.Pattern[str], text: str) -> int | None:
    """Per device the last line counts: a graph that changes is reserved again."""
    last = {device: float(mib) for device, mib in pattern.findall(text)}
    return round(sum(last.values()) * MIB) if last else None


def line(pattern: re.Pattern[str], text: str) -> str | None:
    """The first matching line; None without one."""
    values = pattern.search(text)
    return values.group(0).strip() if values else None
