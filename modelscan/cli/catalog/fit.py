"""What of the catalog fits this machine: ``--fits``, ``catalog runnable``, ``catalog offers``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.errors import UsageError
from modelscan.core.fit import Fit
from modelscan.core.jsonform import to_json
from modelscan.core.nearest import nearest
from modelscan.core.units import format_bytes, format_count, format_tokens

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.query import Row
    from modelscan.core.fit import Fit
    from modelscan.core.machine import Machine
    from modelscan.core.model import Offering

_COLUMNS = ("MODEL", "PARAMS", "WEIGHTS", "BACKEND", "TOTAL", "TOKENS/S", "RELEASED", "LICENSE")


def runnable(gpu: str | None, task: str, limit: int) -> Document:
    """Open models that run here, ranked by what tends to make a better answer.

    Only those whose smallest weights of four bits and more fit the devices: a larger one may still
    run with part of it in host memory, but slowly.
    """
    from modelscan.catalog.index.current import open_index
    from modelscan.catalog.search.query import Query, search
    from modelscan.deploy.machine import machine_here
    from modelscan.planner.describe import most_available

    config = current().config
    index = open_index(config.paths)
    try:
        _check_task(task, index.tasks())
        machine = machine_here(config, gpu)
        room = most_available(machine.free_inventory())
        query = Query(open_weights=True, task=task, max_memory_bytes=room, limit=None)
        found = search(index, query)
        ranked = sorted(found.rows, key=lambda row: (-merit(row), row.id))
        shown = list(itertools.islice(planned_rows(index, ranked, machine), limit or None))
    finally:
        index.close()
    return _runnable(shown, found.total, machine)


def _check_task(task: str, known: list[str]) -> None:
    if task.lower() not in known:
        near = nearest(task, known) or ["chat"]
        raise UsageError(
            f"no model is known to be for '{task}': the tasks are {', '.join(known)}",
            hint=f"modelscan catalog runnable --task {near[0]}",
            code="unknown_task",
            details={"tasks": known},
        )


def planned_rows(index: Index, rows: Iterable[Row], machine: Machine) -> Iterator[tuple[Row, Fit]]:
    """The rows that ``plan`` finds a way for, in their order; says which one it is at."""
    from modelscan.models.fit import fitting

    def told() -> Iterator[Row]:
        for row in rows:
            progress.update(f"planning {row.id}")
            yield row

    with current().output.status("planning") as progress:
        yield from fitting(index, told(), machine, current().config)


def merit(row: Row) -> float:
    """Bigger helps with each doubling, newer with each half year, wide use a little.

    A rule of thumb for ordering, not a measure of quality.
    """
    size = math.log2(max(row.parameters or 1, 1) / 1e9 + 0.1)
    year = _year(row.release_date)
    used = math.log10(1 + (row.downloads or 0)) + math.log10(1 + row.providers)
    return size + 2.0 * (year - 2024 if year else -1.0) + 0.6 * used


def _year(date: str | None) -> float | None:
    if not date or not date[:4].isdigit():
        return None
    month = int(date[5:7]) if date[5:7].isdigit() else 6
    return int(date[:4]) + (month - 1) / 12


def _runnable(shown: list[tuple[Row, Fit]], total: int, machine: Machine) -> Document:
    from modelscan.catalog.answers import entry
    from modelscan.planner.context import device_label
    from modelscan.planner.describe import most_available

    free = machine.free_inventory()
    room, where = most_available(free), device_label(free.gpus) if free.gpus else "the CPU"
    body = {
        "total": total,
        "available_bytes": room,
        "where": where,
        "models": [{**to_json(entry(row)), "fit": to_json(fit)} for row, fit in shown],
    }
    cells = [_cells(row, fit) for row, fit in shown]
    empty = f"no open model fits {format_bytes(room)} on {where}"
    table = Table(_COLUMNS, cells, numeric=("PARAMS", "TOTAL", "TOKENS/S"), empty=empty)
    ids = [row.id for row, _ in shown]
    hint = f"modelscan plan {ids[0]}" if ids else None
    note = f"\nof {total} open models whose weights fit {format_bytes(room)} on {where}"
    blocks: list[Block] = [table, Note(note)]
    return Document("catalog.runnable", body, blocks, ids, hint=hint)


def _cells(row: Row, fit: Fit) -> tuple[object, ...]:
    return (
        row.id,
        format_count(row.parameters) if row.parameters else None,
        fit.quantization,
        fit.backend,
        format_bytes(fit.needed_bytes),
        None if fit.tokens_per_s is None else f"{fit.tokens_per_s:.3g}",
        row.release_date,
        row.license,
    )


def offers(
    text: str,
    gpu: str | None,
    tokens_per_s: float | None,
    watts: float | None,
    usd_per_kwh: float | None,
) -> Document:
    """Every provider's price and limits, and the power that this machine would use."""
    from modelscan.catalog.offers import blended_price, own_cost, ranked_offers
    from modelscan.catalog.search.lookup import find_model

    model = find_model(text, current().config.paths)
    if tokens_per_s is None and model.variants:
        from modelscan.deploy.machine import machine_here
        from modelscan.models.fit import fit_of

        machine = machine_here(current().config, gpu)
        tokens_per_s = fit_of(model, machine, current().config).tokens_per_s
    own = own_cost(
        _setting("machine_watts", watts),
        _setting("electricity_usd_per_kwh", usd_per_kwh),
        tokens_per_s,
    )
    ranked = ranked_offers(model)
    body = {
        "model": model.id,
        "offers": [
            {**to_json(offer), "blended_usd_per_mtok": blended_price(offer)} for offer in ranked
        ],
        "own_machine": {**to_json(own), "missing": list(own.missing)},
    }
    columns = ("OFFERING", "USD/M IN", "USD/M OUT", "CACHED IN", "CONTEXT", "OUTPUT", "STATUS")
    empty = f"nobody is known to host {model.id}"
    table = Table(columns, [_offer(o) for o in ranked], numeric=columns[1:6], empty=empty)
    if own.usd_per_mtok is None:
        mine = f"unknown: give {', '.join(own.missing)}"
    else:
        mine = f"{own.usd_per_mtok:.4g} USD per million tokens written (power only)"
        mine += f" at {own.tokens_per_s:.3g} tokens/s, one request at a time"
    blocks: list[Block] = [table, Note(""), Fields([("this machine", mine)])]
    return Document("catalog.offers", body, blocks, [o.id for o in ranked])


def _setting(key: str, given: float | None) -> float | None:
    value: Any = given if given is not None else current().config.value(key)
    return None if value is None else float(value)


def _offer(offer: Offering) -> tuple[object, ...]:
    price = offer.pricing
    return (
        offer.id,
        price and price.input_usd_per_mtok,
        price and price.output_usd_per_mtok,
        price and price.cache_read_usd_per_mtok,
        format_tokens(offer.limits.context_tokens),
        format_tokens(offer.limits.output_tokens),
        offer.status,
    )
