"""What of the catalog fits this machine: ``--fits``, ``catalog runnable``, ``catalog offers``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.nearest import nearest
from modelscan.core.units import format_bytes, format_count, format_tokens

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.query import Row
    from modelscan.core.gpu import Inventory
    from modelscan.core.model import Model, Offering
    from modelscan.core.plan import Decision

_CANDIDATES = 400
_COLUMNS = ("MODEL", "PARAMS", "WEIGHTS", "BACKEND", "NEEDS", "TOKENS/S", "RELEASED", "LICENSE")


@dataclass(frozen=True, slots=True)
class Room:
    """The hardware, and the memory one model may take of it: the GPUs', else free host memory."""

    inventory: Inventory
    usable_bytes: int
    where: str  # "2 x H100 80GB" or "the CPU"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs here, and how. ``basis``: estimate (the planner's) | lower_bound."""

    verdict: str  # fits | does_not_fit | unknown
    needed_bytes: int | None
    available_bytes: int
    where: str
    quantization: str | None = None
    backend: str | None = None
    context_tokens: int | None = None
    tokens_per_s: float | None = None
    basis: str | None = None

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if self.needed_bytes is None:
            return f"unknown: neither its size nor its weights are known ({self.where})"
        room = f"{format_bytes(self.available_bytes)} free on {self.where}"
        needed = format_bytes(self.needed_bytes)
        if self.verdict != "fits":
            what = f"{self.quantization} needs" if self.quantization else "the smallest needs"
            return f"no: {what} {needed}, {room}"
        label = self.quantization or "the weights as released"
        how = f" with {self.backend}" if self.backend else ""
        speed = f", about {self.tokens_per_s:.3g} tokens/s" if self.tokens_per_s else ""
        return f"yes: {label}{how} takes {needed}{speed}; {room}"


def room(gpu: str | None) -> Room:
    """The (real or simulated) hardware and its memory."""
    from modelscan.gpu.inventory import inventory

    found = inventory(gpu)
    total = sum(g.free_bytes or g.memory_bytes or 0 for g in found.gpus)
    if total:
        first, count = found.gpus[0].name, len(found.gpus)
        return Room(found, total, f"{count} x {first}" if count > 1 else first)
    return Room(found, found.host.free_bytes or found.host.memory_bytes or 0, "the CPU")


def fit_of(model: Model, here: Room) -> Fit:
    """The planner's answer; where it has none, the catalog's least memory against what is free."""
    decision = _decision(model, here)
    if decision is not None and decision.plan is not None:
        plan = decision.plan
        speed = plan.estimate.speed
        return Fit(
            "fits", plan.estimate.total_bytes, here.usable_bytes, here.where, plan.quantization,
            plan.backend, plan.context_tokens, speed.decode_tokens_per_s if speed else None,
            "estimate",
        )  # fmt: skip
    if decision is not None and decision.no_fit is not None and decision.no_fit.needed_bytes:
        needed = decision.no_fit.needed_bytes
        return Fit("does_not_fit", needed, here.usable_bytes, here.where, basis="estimate")
    return _bound(model, here)


def _decision(model: Model, here: Room) -> Decision | None:
    from modelscan.core.workload import Workload
    from modelscan.models.from_catalog import from_model
    from modelscan.models.from_local import from_path
    from modelscan.planner.decide import decide

    workload = Workload()
    local = [v.repo for v in model.variants if v.source == "local_path"]
    try:
        if local:
            subject = from_path(local[0], workload, name=model.id)
        else:
            subject = from_model(model, current().config, workload)
        return decide(subject, here.inventory, workload, explain=False)
    except ModelscanError:  # no variant that an engine here loads, or nothing to size it by
        return None


def _bound(model: Model, here: Room) -> Fit:
    from modelscan.catalog.sizing import lower_bound_memory

    least = lower_bound_memory(model)
    if least is None:
        return Fit("unknown", None, here.usable_bytes, here.where)
    verdict = "fits" if least.memory_bytes <= here.usable_bytes else "does_not_fit"
    return Fit(
        verdict, least.memory_bytes, here.usable_bytes, here.where, least.quantization,
        basis="lower_bound",
    )  # fmt: skip


def runnable(gpu: str | None, task: str, limit: int) -> Document:
    """Open models that run here, ranked by what tends to make a better answer."""
    from modelscan.catalog.index.current import open_index
    from modelscan.catalog.search.query import Query, search

    index = open_index(current().config.paths)
    try:
        _check_task(task, index.tasks())
        here = room(gpu)
        query = Query(
            open_weights=True, task=task, max_memory_bytes=here.usable_bytes, limit=_CANDIDATES
        )
        found = search(index, query)
        ranked = sorted(found.rows, key=lambda row: (-merit(row), row.id))
        fitting = _fitting(index, ranked, here, limit or len(ranked))
    finally:
        index.close()
    return _runnable(fitting, found.total, here)


def _check_task(task: str, known: list[str]) -> None:
    if task.lower() not in known:
        near = nearest(task, known) or ["chat"]
        raise UsageError(
            f"no model is known to be for '{task}': the tasks are {', '.join(known)}",
            hint=f"modelscan catalog runnable --task {near[0]}",
            code="unknown_task",
            details={"tasks": known},
        )


def _fitting(index: Index, ranked: list[Row], here: Room, limit: int) -> list[tuple[Row, Fit]]:
    """The first ``limit`` that the planner finds a way for."""
    kept: list[tuple[Row, Fit]] = []
    with current().output.status("planning") as progress:
        for row in ranked:
            progress.update(f"planning {row.id}")
            fit = fit_of(index.model(row.row), here)
            if fit.verdict == "fits" and fit.basis == "estimate":
                kept.append((row, fit))
            if len(kept) >= limit:
                break
    return kept


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


def _runnable(fitting: list[tuple[Row, Fit]], total: int, here: Room) -> Document:
    from modelscan.cli.catalog.app import row_json

    body = {
        "total": total,
        "available_bytes": here.usable_bytes,
        "where": here.where,
        "models": [{**row_json(row), "fit": to_json(fit)} for row, fit in fitting],
    }
    cells = [_cells(row, fit) for row, fit in fitting]
    empty = f"no open model fits {format_bytes(here.usable_bytes)} on {here.where}"
    table = Table(_COLUMNS, cells, numeric=("PARAMS", "NEEDS", "TOKENS/S"), empty=empty)
    note = f"\nof {total} open models whose weights fit {format_bytes(here.usable_bytes)}"
    ids = [row.id for row, _ in fitting]
    hint = f"modelscan plan {ids[0]}" if ids else None
    blocks: list[Block] = [table, Note(f"{note} on {here.where}")]
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
        tokens_per_s = fit_of(model, room(gpu)).tokens_per_s
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
    value: Any = given if given is not None else current().config.get(key)
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
