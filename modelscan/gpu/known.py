"""Looks up rows of the table of GPU facts: all of them, or by name."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.core.gpu import GpuFacts
from modelscan.gpu.facts import all_facts, known_as, lookup, suggest, variants


@dataclass(frozen=True, slots=True)
class GpuFactsAnswer:
    """Rows of the table. ``variants``: names of other rows that ``query`` may mean.

    ``total``: the number of matching rows, of which ``facts`` may be a part.
    """

    query: str | None
    facts: tuple[GpuFacts, ...]
    variants: tuple[str, ...] = ()
    total: int = 1


def matching_facts(text: str = "", limit: int | None = None, offset: int = 0) -> GpuFactsAnswer:
    """The rows that contain every word of ``text`` in their name, alias, vendor or architecture.

    At most ``limit`` rows (None: all), without the first ``offset``. Raises UsageError if no row
    matches.
    """
    words = text.lower().split()
    rows = [row for row in all_facts() if all(word in _searched(row) for word in words)]
    if not rows:
        raise UsageError(
            f"no row of the table of GPU facts contains '{text}'", hint="modelscan gpu facts",
            code="unknown_gpu",
        )  # fmt: skip
    end = None if limit is None else offset + limit
    return GpuFactsAnswer(None, tuple(rows[offset:end]), total=len(rows))


def _searched(row: GpuFacts) -> str:
    known = (row.name, row.vendor, row.architecture, row.compute_capability, row.gfx_target)
    return " ".join(filter(None, (*known, *row.aliases))).lower()


def find_facts(name: str | None) -> GpuFactsAnswer:
    """All rows, or the row for ``name``. Raises UsageError with suggestions for an unknown name."""
    if name is None:
        return matching_facts()
    row = lookup(known_as(name))
    if row is None:
        near = suggest(name)
        hint = f"modelscan gpu facts '{near[0]}'" if near else "modelscan gpu facts --filter TEXT"
        raise UsageError(
            f"the table of GPU facts has no GPU '{name}'", hint=hint, code="unknown_gpu",
            details={"suggestions": list(near)},
        )  # fmt: skip
    others = tuple(other.name for other in variants(known_as(name)) if other != row)
    return GpuFactsAnswer(name, (row,), others)
