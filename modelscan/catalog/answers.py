"""The result of a search: a page of models with one JSON form."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelscan.catalog.search.types import Row


class LeftOutReason(str, enum.Enum):
    """Why models are not in a list."""

    OTHER_TASK = "other_task"  # made for something else
    TOO_LARGE = "too_large"
    NO_ENGINE = "no_engine"  # no engine on this machine serves them
    NOTHING_KNOWN = "nothing_known"  # no weights, files or sizes are known


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A group of models that are not in a list."""

    reason: LeftOutReason
    count: int


@dataclass(frozen=True, slots=True)
class EntryScore:
    """The public score that placed a model in a list: value, the day of it, its publisher."""

    name: str
    value: float
    date: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model in a list. Unknown fields are None.

    ``memory_bytes``: the minimum memory to run it, ``memory_for``: with which weights,
    ``memory_basis``: computed from files, parameters or an estimate.
    """

    id: str
    name: str
    family: str | None
    license: str | None
    task: str | None
    lab: str | None
    open_weights: bool | None
    parameters: int | None
    active_parameters: int | None
    context_tokens: int | None
    release_date: str | None
    downloads: int | None
    tools: bool | None
    reasoning: bool | None
    vision: bool | None
    modalities: tuple[str, ...] | None
    memory_bytes: int | None
    memory_for: str | None
    memory_basis: str | None
    sources: tuple[str, ...]
    providers: int
    variants: int
    score: EntryScore | None


def entry(row: Row) -> CatalogEntry:
    """A row of the index as an entry of a list."""
    values = row._asdict()
    del values["row"]
    values["score"] = EntryScore(*row.score) if row.score else None
    return CatalogEntry(**values)


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """A page of models.

    ``total`` is the number of matches; ``corrected`` is the text searched for instead of ``query``
    if that has no match; ``without_filters`` the number of models that match the text if none of
    them passes the filters. ``order``: why the models are in this order; ``left_out``: models that
    match the text but are not listed, in groups.

    ``planned``: a list of models that fit is planned up to the end of its page: so many matches
    were looked at. ``total`` then counts every further match with weights, an upper bound, and
    ``left_out`` tells of those looked at. None: ``total`` is exact.
    """

    query: str
    corrected: str | None
    total: int
    offset: int
    models: tuple[CatalogEntry, ...]
    warnings: tuple[str, ...] = ()
    without_filters: int | None = None
    order: str = ""
    left_out: tuple[LeftOut, ...] = ()
    planned: int | None = None

    def counted(self) -> str:
        """How many of how many: ``20 of 1,773``, ``20 of at most 2,306``."""
        bound = "" if self.planned is None else "at most "
        return f"{len(self.models):,} of {bound}{self.total:,}"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from modelscan.core.html import table

        columns = ("id", "parameters", "context_tokens", "memory_bytes", "release_date", "license")
        rows = [[getattr(model, name) for name in columns] for model in self.models]
        return table(columns, rows, caption=f"{self.counted()} models")


def groups(counts: Mapping[LeftOutReason, int]) -> tuple[LeftOut, ...]:
    """The groups that are not empty, in the order of the reasons."""
    return tuple(LeftOut(reason, counts[reason]) for reason in LeftOutReason if counts.get(reason))
