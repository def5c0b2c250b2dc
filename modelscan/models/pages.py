"""A page of models: all that match, or only those that ``plan`` finds an option for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from modelscan.catalog.answers import CatalogEntry, LeftOutReason, SearchAnswer, entry, groups
from modelscan.catalog.browse import (
    HUBS,
    check_modalities,
    check_source,
    order_of,
    other_uses,
    overlay_warnings,
    search,
)
from modelscan.catalog.index.current import open_index
from modelscan.core.errors import UsageError
from modelscan.core.fit import Fit
from modelscan.planner.describe import most_available

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.types import Query, Row
    from modelscan.core.machine import Machine
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class ListedModel(CatalogEntry):
    """A model in a list; ``fit`` is None unless the list is limited to models that fit.

    ``routes``: names of trusted entries of the routing file, where the list is limited to them.
    """

    fit: Fit | None = None
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPage(SearchAnswer):
    """``SearchAnswer`` whose entries may include their fit."""

    models: tuple[ListedModel, ...]


Trusted = Mapping[str, tuple[str, ...]]


def ignore(_: str) -> None:
    """A progress callback that does nothing."""


def find_page(
    query: Query,
    config: Config,
    machine: Machine | None = None,
    progress: Callable[[str], None] = ignore,
    trusted: Trusted | None = None,
) -> ModelPage:
    """The page of models for ``query``; with a machine, only models that fit it.

    ``trusted``: names of trusted entries of the routing file by model: only these models, with a
    machine also those that fit.

    ``progress`` receives the id of each model that is planned. Raises UsageError for an unknown
    source and for filters that a hub cannot apply, RemoteError if the hub fails.
    """
    if machine is not None or trusted is not None:
        return _chosen_page(query, config, machine, progress, trusted or {})
    page = search(query, config)
    models = tuple(_listed(model) for model in page.models)
    return ModelPage(
        page.query, page.corrected, page.total, page.offset, models, page.warnings,
        page.without_filters, page.order, page.left_out,
    )  # fmt: skip


def _chosen_page(
    query: Query, config: Config, machine: Machine | None, progress: Callable[[str], None],
    trusted: Trusted,
) -> ModelPage:  # fmt: skip
    from modelscan.catalog.search.query import search as find

    if query.source in HUBS and query.text and not config.offline:
        raise UsageError(
            f"{query.source} cannot search by --fits or --trusted",
            hint=f"modelscan catalog search {query.text} --source {query.source}",
        )
    with open_index(config.paths) as index:
        sources = index.sources()
        check_source(sources, query.source)
        check_modalities(index, query)
        every = find(index, query._replace(limit=None, offset=0))
        left_out: Counter[LeftOutReason] = Counter()
        left_out[LeftOutReason.OTHER_TASK] = other_uses(index, query, every.total)
        held = not query.text and query.sort == "relevance"
        rows = iter(_held_first(every.rows, machine) if machine and held else every.rows)
        fits = _fits(index, rows, machine, config, progress, left_out)
        end = None if query.limit is None else query.offset + query.limit
        wanted = ((row, fit) for row, fit in fits if fit is not None or row.id in trusted)
        chosen = list(itertools.islice(wanted, end))
    rest = tuple(rows)  # not looked at: each with weights may fit
    possible = [row for row in rest if row.id in trusted or (machine and row.variants)]
    shown = chosen[query.offset :]
    models = tuple(_listed(entry(r), fit, trusted.get(r.id, ())) for r, fit in shown)
    order = order_of(query, [row for row, _ in shown])
    return ModelPage(
        query.text, every.corrected, len(chosen) + len(possible), query.offset, models,
        overlay_warnings(sources), every.without_filters,
        f"those that the devices hold first, then {order}" if machine and held else order,
        groups(left_out), planned=len(every.rows) - len(rest) if machine and possible else None,
    )  # fmt: skip


def _fits(
    index: Index, rows: Iterator[Row], machine: Machine | None, config: Config,
    progress: Callable[[str], None], left_out: Counter[LeftOutReason],
) -> Iterator[tuple[Row, Fit | None]]:  # fmt: skip
    """Each row with its fit; None: it does not fit, or no machine is given."""
    from modelscan.models.fit import fitting

    for row in rows:
        fit = None
        if machine is not None:
            planned = fitting(index, announced((row,), progress), machine, config, left_out)
            fit = next((found for _, found in planned), None)
        yield row, fit


def _held_first(rows: Sequence[Row], machine: Machine) -> list[Row]:
    """The models whose smallest weights fit the devices before those that need host memory, too,
    and would answer slowly.
    """
    free = most_available(machine.free_inventory())
    return sorted(rows, key=lambda row: row.memory_bytes is None or row.memory_bytes > free)


def announced(rows: Iterable[Row], progress: Callable[[str], None]) -> Iterator[Row]:
    """The rows; ``progress`` receives the id of each before it is planned."""
    for row in rows:
        progress(row.id)
        yield row


def _listed(
    model: CatalogEntry, fit: Fit | None = None, routes: tuple[str, ...] = ()
) -> ListedModel:  # fmt: skip
    values = {field.name: getattr(model, field.name) for field in fields(CatalogEntry)}
    return ListedModel(**values, fit=fit, routes=routes)
