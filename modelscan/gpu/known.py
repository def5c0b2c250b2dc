"""Looks up rows of the table of GPU facts: all of them, or by name."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.core.gpu import GpuFacts
from modelscan.gpu.facts import all_facts, known_as, lookup, suggest, variants


@dataclass(frozen=True, slots=True)
class GpuFactsAnswer:
    """Rows of the table. ``variants``: names of other rows that ``query`` may mean."""

    query: str | None
    facts: tuple[GpuFacts, ...]
    variants: tuple[str, ...] = ()


def find_facts(name: str | None) -> GpuFactsAnswer:
    """All rows, or the row for ``name``. Raises UsageError with suggestions for an unknown name."""
    if name is None:
        return GpuFactsAnswer(None, all_facts())
    row = lookup(known_as(name))
    if row is None:
        near = suggest(name)
        hint = f"modelscan gpu facts '{near[0]}'" if near else "modelscan gpu facts"
        raise UsageError(
            f"the table of GPU facts has no GPU '{name}'", hint=hint, code="unknown_gpu",
            details={"suggestions": list(near)},
        )  # fmt: skip
    others = tuple(other.name for other in variants(known_as(name)) if other != row)
    return GpuFactsAnswer(name, (row,), others)
