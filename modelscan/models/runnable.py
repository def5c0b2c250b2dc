"""The open models that run on a machine, best first: what ``catalog runnable`` shows."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from modelscan.catalog.answers import CatalogEntry, LeftOut, LeftOutReason, entry, groups
from modelscan.catalog.browse import order_of
from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.core.errors import UsageError
from modelscan.core.fit import Fit
from modelscan.core.nearest import nearest
from modelscan.models.fit import fitting
from modelscan.models.pages import announced, ignore
from modelscan.planner.context import device_label
from modelscan.planner.describe import most_available

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.types import Row
    from modelscan.core.machine import Machine
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class RunnableModel(CatalogEntry):
    """A model of the catalog with the plan that runs it."""

    fit: Fit


@dataclass(frozen=True, slots=True)
class RunnableModels:
    """Models that ``plan`` has a way to run on the devices ``where``, best first.

    ``total`` counts the open models of the task whose smallest weights of four bits and more fit
    ``available_bytes``; ``models`` are the first of them that have a plan. ``order``: why they are
    in this order; ``left_out``: the other open models, in groups (those without an engine are
    counted up to the last model listed).
    """

    total: int
    available_bytes: int
    where: str
    models: tuple[RunnableModel, ...]
    order: str = ""
    left_out: tuple[LeftOut, ...] = ()


def runnable_models(
    config: Config,
    machine: Machine,
    *,
    task: str = "chat",
    use: str | None = None,
    limit: int | None = 20,
    progress: Callable[[str], None] = ignore,
    only: Query | None = None,
    known: MutableMapping[str, Fit] | None = None,
) -> RunnableModels:
    """Open models for ``task`` that run on ``machine``, at most ``limit`` (None: all).

    ``use``: a use case, which has a task and an order of its own. ``only``: the text and filters of
    a search; with a text the best matches come first. ``known``: as of ``fitting``.

    Models whose weights exceed the devices' memory are left out: they may run with a part in host
    memory, but slowly. ``progress`` receives the id of each model that is planned. Raises
    UsageError for a task that no model of the catalog has.
    """
    inventory = machine.free_inventory()
    available_bytes = most_available(inventory)
    with open_index(config.paths) as index:
        _check_task(task, index.tasks())
        asked = (only or Query())._replace(
            open_weights=True, task=None if use else task, use=use, limit=None, offset=0
        )
        page = search(index, asked._replace(max_memory_bytes=available_bytes))
        ranked = bool(use or asked.text)
        rows = page.rows if ranked else sorted(page.rows, key=lambda r: (-rank_score(r), r.id))
        left_out = _not_candidates(index, asked, page.total)
        fits = fitting(index, announced(rows, progress), machine, config, left_out, known)
        models = tuple(_with_fit(row, fit) for row, fit in itertools.islice(fits, limit))
    where = device_label(inventory.gpus) if inventory.gpus else "the CPU"
    order = order_of(asked, [row for row in rows if row.id in {m.id for m in models}])
    return RunnableModels(
        page.total,
        available_bytes,
        where,
        models,
        order if ranked else _HEURISTIC,
        groups(left_out),
    )


_HEURISTIC = "by size, release date and downloads: a heuristic, no measured quality"


def _not_candidates(index: Index, asked: Query, fitting_memory: int) -> Counter[LeftOutReason]:
    """The open models of other tasks, and those whose smallest weights exceed the memory."""
    of_task = search(index, asked._replace(limit=1)).total
    sized = search(index, asked._replace(limit=1, max_memory_bytes=1 << 62)).total
    every = search(index, Query(open_weights=True, limit=1)).total
    return Counter({
        LeftOutReason.OTHER_TASK: every - of_task,
        LeftOutReason.TOO_LARGE: sized - fitting_memory,
        LeftOutReason.NOTHING_KNOWN: of_task - sized,
    })  # fmt: skip


def _check_task(task: str, tasks: Sequence[str]) -> None:
    if task.lower() not in tasks:
        near = nearest(task, tasks) or ["chat"]
        raise UsageError(
            f"no model of the catalog has the task '{task}': the tasks are {', '.join(tasks)}",
            hint=f"modelscan catalog runnable --task {near[0]}",
            code="unknown_task",
            details={"tasks": list(tasks)},
        )


def _with_fit(row: Row, fit: Fit) -> RunnableModel:
    listed = entry(row)
    values = {field.name: getattr(listed, field.name) for field in fields(CatalogEntry)}
    return RunnableModel(**values, fit=fit)


def rank_score(row: Row) -> float:
    """A heuristic for ordering, not a measured quality: higher is listed first.

    One point per doubling of the parameters, two per year of release, 0.6 per factor of ten in
    downloads and in providers.
    """
    size = math.log2(max(row.parameters or 1, 1) / 1e9 + 0.1)
    year = _year(row.release_date)
    popularity = math.log10(1 + (row.downloads or 0)) + math.log10(1 + row.providers)
    return size + 2.0 * (year - 2024 if year else -1.0) + 0.6 * popularity


def _year(date: str | None) -> float | None:
    """``2025-07`` -> 2025.5; a date without a month counts as June."""
    if not date or not date[:4].isdecimal():
        return None
    month = int(date[5:7]) if date[5:7].isdecimal() else 6
    return int(date[:4]) + (month - 1) / 12
