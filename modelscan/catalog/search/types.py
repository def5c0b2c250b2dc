"""A search and its results: the query, a model in a list, a page of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Score

SORTS = ("relevance", "release", "params", "context", "downloads")


class Query(NamedTuple):
    """A search. A filter never matches a model for which the fact is unknown."""

    text: str = ""
    open_weights: bool | None = None
    source: str | None = None
    family: str | None = None
    license: str | None = None
    modalities: tuple[str, ...] = ()
    task: str | None = None
    tools: bool = False
    reasoning: bool = False
    vision: bool = False
    min_context_tokens: int | None = None
    max_memory_bytes: int | None = None
    max_parameters: int | None = None
    use: str | None = None  # a name in USE_CASES: filters and ranks
    sort: str = "relevance"
    limit: int | None = 20
    offset: int = 0


class Row(NamedTuple):
    """A model in a list: the columns of the narrow table.

    ``memory_bytes``: the minimum memory to run it, ``memory_for``: with which weights,
    ``memory_basis``: computed from files, parameters or an estimate.
    """

    row: int
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
    modalities: tuple[str, ...] | None  # None = unknown
    memory_bytes: int | None
    memory_for: str | None
    memory_basis: str | None
    sources: tuple[str, ...]
    providers: int
    variants: int
    score: Score | None = None  # the public score that placed it in a list for a use


class SearchPage(NamedTuple):
    """A page of results.

    ``total`` is the number of matches, ``rows`` the requested page. ``corrected`` is the query that
    was used instead of one without matches. ``without_filters``: the number of models that match
    the text if none of them passes the filters.
    """

    total: int
    rows: tuple[Row, ...] = ()
    corrected: str | None = None
    without_filters: int | None = None


def unfiltered(query: Query) -> Query:
    """The query with only its text, order and page."""
    return Query(query.text, use=query.use, sort=query.sort, limit=query.limit, offset=query.offset)
