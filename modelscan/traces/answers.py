"""The results of ``modelscan trace``: typed values, each with one JSON form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.request_id import trace_id_of
from modelscan.state.clock import text_of
from modelscan.state.server.audit import local_user, record_audit
from modelscan.traces.choices import ChoiceStore, ContentOf
from modelscan.traces.content_view import ContentView
from modelscan.traces.contents import ContentStore
from modelscan.traces.cost import CostInputs, OwnCosts, TraceCost, named_models, trace_cost
from modelscan.traces.dataset import DatasetBuilder, DatasetWish, TraceDataset
from modelscan.traces.export import ExportFormat, TraceExport, TraceExported
from modelscan.traces.known_values import known_values
from modelscan.traces.prices import PriceBook, catalog_models, read_prices
from modelscan.traces.pricing import own_costs, pricer
from modelscan.traces.redaction.redact import Redactor
from modelscan.traces.retention import receipt_store
from modelscan.traces.rollups import HOUR_S, busy_time, delete_sums, read_sums
from modelscan.traces.spans import Price, Span, span_of
from modelscan.traces.store import ReceiptFilter, ReceiptStore

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase


@dataclass(frozen=True, slots=True)
class SpanList:
    """The newest requests first."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class SpanShown:
    """One request."""

    span: Span


@dataclass(frozen=True, slots=True)
class TraceStatus:
    """What is recorded and how much is stored. ``receipts``: whether requests are recorded;
    ``content_of``: whose texts are kept: everything, routes and roles, keys. Sizes in bytes."""

    receipts: bool
    content: bool
    content_of: ContentChosen
    stored_receipts: int
    oldest_at: str | None
    stored_contents: int
    content_bytes: int
    receipt_bytes: int
    keep_receipts_s: float
    keep_receipts_bytes: int
    keep_contents_s: float
    file: str


@dataclass(frozen=True, slots=True)
class ContentChosen:
    """Whose texts are kept."""

    everything: bool
    routes: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TracePruned:
    """What was deleted; ``sums``: rows of hourly sums, only where they were to go, too."""

    receipts: int
    contents: int
    sums: int


@dataclass(frozen=True, slots=True)
class TraceAccess:
    """The settings and the database, for every question about requests."""

    config: Config
    database: ServerDatabase

    @property
    def store(self) -> ReceiptStore:
        """The receipts."""
        return receipt_store(self.config, self.database)

    @property
    def contents(self) -> ContentStore:
        """The kept texts."""
        return ContentStore(self.database)

    def own_costs(self, given: OwnCosts | None = None) -> OwnCosts:
        """The options, else the settings."""
        return own_costs(self.config, given)

    def prices(self, file: Path | None = None) -> PriceBook:
        """The catalog's prices, and those of a file."""
        own = {} if file is None else read_prices(file)
        return PriceBook(catalog_models(self.config.paths), own, "" if file is None else file.name)

    def price(self) -> Price:
        """Prices of single requests."""
        return pricer(self.config)


def list_spans(
    access: TraceAccess,
    *,
    limit: int,
    since_s: float | None = None,
    route: str | None = None,
    status: int | None = None,
) -> SpanList:
    """The newest requests; ``since_s``: not older than so many seconds."""
    receipts = access.store.newest(limit, ReceiptFilter(_since(since_s), route, status))
    price = access.price()
    return SpanList(tuple(span_of(one, price) for one in receipts))


def _since(since_s: float | None) -> float | None:
    return None if since_s is None else time.time() - since_s


def show_span(access: TraceAccess, trace_id: str) -> SpanShown:
    """The request with that id, with its texts if they were kept; also by a client's own
    id. Raises UsageError."""
    receipt = access.store.find(trace_id) or access.store.find(trace_id_of(trace_id))
    if receipt is None:
        raise UsageError(
            f"there is no request '{trace_id}'", hint="modelscan trace list", code="unknown_trace"
        )
    content = ContentView(access.contents).of(receipt)
    return SpanShown(span_of(receipt, access.price(), content))


def find_cost(
    access: TraceAccess,
    *,
    since_s: float | None = None,
    prices: Path | None = None,
    own: OwnCosts | None = None,
    against: Sequence[str] = (),
) -> TraceCost:
    """The costs; ``against``: hosted models to compare with. Raises UsageError for unknown ones."""
    from modelscan.catalog.search.lookup import find_model

    since = _since(since_s)
    with access.database.reading() as connection:
        sums, busy = read_sums(connection, since), busy_time(connection, since)
    inputs = CostInputs(sums, busy, access.own_costs(own), access.prices(prices))
    models = named_models(against, lambda text: find_model(text, access.config.paths))
    begin = None if since is None else text_of(since // HOUR_S * HOUR_S)
    return trace_cost(inputs, models, begin)


def trace_status(access: TraceAccess) -> TraceStatus:
    """What is recorded, and how much is stored."""
    store, contents = access.store, access.contents.count()
    choices = ChoiceStore(access.database).read()
    oldest = next(iter(store.each()), None)
    return TraceStatus(
        receipts=choices.receipts,
        content=choices.content,
        content_of=ContentChosen(choices.everything, choices.routes, choices.keys),
        stored_receipts=store.count(),
        oldest_at=None if oldest is None else text_of(oldest.at),
        stored_contents=contents.requests,
        content_bytes=contents.bytes,
        receipt_bytes=store.used_bytes(),
        keep_receipts_s=store.keep_s,
        keep_receipts_bytes=store.keep_bytes,
        keep_contents_s=store.contents_keep_s,
        file=access.database.place.shown,
    )


@dataclass(frozen=True, slots=True)
class TraceSwitch:
    """What to switch: receipts, or with ``content`` texts: of everything, or of routes and keys."""

    content: bool = False
    routes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def switch_traces(access: TraceAccess, switch: TraceSwitch, on: bool) -> TraceStatus:
    """Record (or not) what is named. Raises UsageError for names without ``content``."""
    store = ChoiceStore(access.database)
    if not switch.content and (switch.routes or switch.keys):
        raise UsageError(
            "routes and keys are chosen for texts: add --content",
            hint=f"modelscan trace {'on' if on else 'off'} --content",
        )
    names: list[tuple[ContentOf, str]] = [
        *(("route", name) for name in switch.routes),
        *(("key", name) for name in switch.keys),
    ]  # fmt: skip
    if not switch.content:
        store.record(on)
    elif not names and not on:
        store.keep_no_content()
    for of, name in names or ([("everything", "")] if switch.content and on else []):
        store.keep_content(of, name, on)
    return trace_status(access)


def prune_traces(access: TraceAccess, older_than_s: float, *, sums: bool = False) -> TracePruned:
    """Delete what is older; ``sums``: the hourly sums, too."""
    before = time.time() - older_than_s
    receipts = access.store.delete_before(before)
    contents = access.contents.delete_before(before)
    with access.database.writing() as connection:
        deleted = delete_sums(connection, before) if sums else 0
        record_audit(connection, local_user(), "trace.prune", text_of(before), after=receipts)
    return TracePruned(receipts, contents, deleted)


def export_file(
    access: TraceAccess,
    file: Path,
    format: ExportFormat,
    *,
    only: ReceiptFilter,
    with_content: bool = False,
) -> TraceExported:
    """Write requests to a file, redacted. Raises ModelscanError if a secret would remain."""
    texts = ContentView(access.contents) if with_content else None
    redactor = Redactor(known_values(access.config))
    return TraceExport(access.store.each(only), redactor, access.price(), texts).write(file, format)


def write_dataset(
    access: TraceAccess, file: Path, wish: DatasetWish, only: ReceiptFilter
) -> TraceDataset:
    """Write kept conversations for training. Raises UsageError without consent."""
    wish.check()
    redactor = Redactor(known_values(access.config))
    texts = ContentView(access.contents)
    return DatasetBuilder(access.store.each(only), texts, redactor, wish).write(file)
