"""The table of GPU facts as an answer: every row, or the one that a name means."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.core.gpu import GpuFacts
from modelscan.gpu.facts import all_facts, known_as, lookup, suggest, variants


@dataclass(frozen=True, slots=True)
class GpuFactsAnswer:
    """``variants`` are the names of other rows that ``query`` may mean."""

    query: str | None
    facts: tuple[GpuFacts, ...]
    variants: tuple[str, ...] = ()


def find_facts(name: str | None) -> GpuFactsAnswer:
    """Without a name, every row; raises UsageError with suggestions for an unknown name."""
    if name is None:
        return GpuFactsAnswer(None, all_facts())
    row = lookup(known_as(name))
    if row is None:
        near = suggest(name)
        hint = f"modelscan gpu facts '{near[0]}'" if near else "modelscan gpu facts"
        raise UsageError(
            f"no GPU is called '{name}'", hint=hint, code="unknown_gpu",
            details={"suggestions": list(near)},
        )  # fmt: skip
    others = tuple(other.name for other in variants(known_as(name)) if other != row)
    return GpuFactsAnswer(name, (row,), others)
