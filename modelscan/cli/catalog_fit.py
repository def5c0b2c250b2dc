"""What of the catalog fits this machine: ``--fits``, ``catalog runnable``, ``catalog offers``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes, format_count, format_tokens

if TYPE_CHECKING:
    from modelscan.catalog.index_read import Index
    from modelscan.catalog.search import Row
    from modelscan.core.model import Model

_CANDIDATES = 400


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that one model may take here: all GPUs together, else free host memory."""

    usable_bytes: int
    where: str  # "2 x H100 80GB" or "CPU"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether the smallest weights fit. ``needed_bytes`` is the catalog's least memory."""

    verdict: str  # fits | does_not_fit | unknown
    needed_bytes: int | None
    available_bytes: int
    quantization: str | None
    where: str

    @property
    def text(self) -> str:
        if self.needed_bytes is None:
            return f"unknown: neither its size nor its weights are known ({self.where})"
        label = self.quantization or "the weights as released"
        needed = f"{label} needs about {format_bytes(self.needed_bytes)}"
        verb = "yes" if self.verdict == "fits" else "no"
        return f"{verb}: {needed}, {format_bytes(self.available_bytes)} on {self.where}"


def room(gpu: str | None) -> Room:
    """The memory of the (real or simulated) hardware."""
    from modelscan.gpu.inventory import inventory

    found = inventory(gpu)
    sizes = [g.free_bytes or g.memory_bytes or 0 for g in found.gpus]
    if sum(sizes):
        first = found.gpus[0].name
        count = len(found.gpus)
        return Room(sum(sizes), f"{count} x {first}" if count > 1 else first)
    host = found.host
    return Room(host.free_bytes or host.memory_bytes or 0, "the CPU")


def fit_of(model: Model, gpu: str | None) -> Fit:
    """The least memory of a model against the memory here."""
    from modelscan.catalog.sizing import least_memory

    here = room(gpu)
    least = least_memory(model)
    if least is None:
        return Fit("unknown", None, here.usable_bytes, None, here.where)
    fits = least.memory_bytes <= here.usable_bytes
    verdict = "fits" if fits else "does_not_fit"
    return Fit(verdict, least.memory_bytes, here.usable_bytes, least.quantization, here.where)


def alternatives(index: Index, model: Model, count: int = 5) -> list[str]:
    """Open models of the same task and abilities: the lab's own first, then the most used."""
    from modelscan.catalog.alternatives import among

    return among(index, model, limit=count)


def runnable(gpu: str | None, task: str, limit: int) -> Document:
    """Open models whose weights fit, ranked by what tends to make a better answer."""
    from modelscan.catalog.index_read import open_index
    from modelscan.catalog.search import Query, search

    here = room(gpu)
    index = open_index(current().config.paths)
    try:
        query = Query(
            open_weights=True, task=task, max_memory_bytes=here.usable_bytes, limit=_CANDIDATES
        )
        found = search(index, query)
    finally:
        index.close()
    ranked = sorted(found.rows, key=lambda row: (-merit(row), row.id))
    rows = ranked[:limit] if limit else ranked
    return _runnable(rows, found.total, here)


def merit(row: Row) -> float:
    """Bigger helps with each doubling, newer with each half year; few downloads count against.

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


def _runnable(rows: list[Row], total: int, here: Room) -> Document:
    from modelscan.cli.catalog import row_json

    models = [row_json(row) for row in rows]
    body = {
        "total": total,
        "available_bytes": here.usable_bytes,
        "where": here.where,
        "models": models,
    }
    cells = [
        (row.id, format_count(row.parameters) if row.parameters else None, row.memory_for,
         format_bytes(row.memory_bytes), format_tokens(row.context_tokens), row.release_date,
         row.license)
        for row in rows
    ]  # fmt: skip
    columns = ("MODEL", "PARAMS", "WEIGHTS", "NEEDS", "CONTEXT", "RELEASED", "LICENSE")
    empty = f"no open model fits {format_bytes(here.usable_bytes)} on {here.where}"
    table = Table(columns, cells, numeric=("PARAMS", "NEEDS", "CONTEXT"), empty=empty)
    note = Note(f"\n{total} open models fit {format_bytes(here.usable_bytes)} on {here.where}")
    hint = f"modelscan plan {rows[0].id}" if rows else None
    return Document("catalog.runnable", body, [table, note], [r.id for r in rows], hint=hint)


def offers(
    text: str, tokens_per_s: float | None, watts: float | None, usd_per_kwh: float | None
) -> Document:
    """Every provider's price and limits, and the power that this machine would use."""
    from modelscan.catalog.lookup import find_model
    from modelscan.catalog.offers import blended_price, own_cost, ranked_offers

    config = current().config
    model = find_model(text, config.paths)
    own = own_cost(
        _setting("machine_watts", watts), _setting("electricity_usd_per_kwh", usd_per_kwh),
        tokens_per_s,
    )  # fmt: skip
    ranked = ranked_offers(model)
    body = {
        "model": model.id,
        "offers": [
            {**to_json(offer), "blended_usd_per_mtok": blended_price(offer)} for offer in ranked
        ],
        "own_machine": {**to_json(own), "missing": list(own.missing)},
    }
    rows = [_offer(offer) for offer in ranked]
    columns = ("OFFERING", "USD/M IN", "USD/M OUT", "CACHED IN", "CONTEXT", "OUTPUT", "STATUS")
    table = Table(columns, rows, numeric=columns[1:6], empty=f"nobody is known to host {model.id}")
    mine = f"{own.usd_per_mtok:.4g} USD per million tokens (power only)" if own.usd_per_mtok else (
        f"unknown: give {', '.join(own.missing)}"
    )  # fmt: skip
    blocks: list[Block] = [table, Note(""), Fields([("this machine", mine)])]
    return Document("catalog.offers", body, blocks, [o.id for o in ranked])


def _setting(key: str, given: float | None) -> float | None:
    value: Any = given if given is not None else current().config.get(key)
    return None if value is None else float(value)


def _offer(offer: Any) -> tuple[object, ...]:
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
