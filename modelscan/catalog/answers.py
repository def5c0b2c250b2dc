"""The result of a search: a page of models with one JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.catalog.search.query import Row


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


def entry(row: Row) -> CatalogEntry:
    """A row of the index as an entry of a list."""
    values = row._asdict()
    del values["row"]
    return CatalogEntry(**values)


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """A page of models.

    ``total`` is the number of matches; ``corrected`` is the text searched for instead of ``query``
    if that has no match.
    """

    query: str
    corrected: str | None
    total: int
    offset: int
    models: tuple[CatalogEntry, ...]
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from modelscan.core.html import table

        columns = ("id", "parameters", "context_tokens", "memory_bytes", "release_date", "license")
        rows = [[getattr(model, name) for name in columns] for model in self.models]
        return table(columns, rows, caption=f"{len(self.models)} of {self.total} models")
