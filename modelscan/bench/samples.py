"""Benchmark results in the server's database: stored once each, read for scoring.

The same result may come again and again: its id, workload and service identify it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from modelscan.bench.report_reader import GivenReport, GivenSample, ResultValue
from modelscan.core.jsonform import to_json
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor, local_user, record_audit
from modelscan.state.server.database import ServerDatabase, record_change
from modelscan.state.server.retention import MOST_REPORTS_STORED, MOST_SAMPLES_STORED
from modelscan.state.server.tables import BENCH_REPORTS, SAMPLES

CHANGED = "samples"


@dataclass(frozen=True, slots=True)
class ServiceMatch:
    """The entry of the routing file that a sample is about; None with the ``reason``."""

    service: str | None
    reason: str | None = None


Resolve = Callable[["GivenSample | StoredSample"], ServiceMatch]


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One stored result. ``service`` is the entry of the routing file that it is about (None: no
    entry was found), ``service_id`` the name that the report has. Times are RFC 3339.

    ``results`` has the fields of GenieHive: case_count, pass_rate, response_rate, p50_latency_ms,
    ttft_ms, tokens_per_sec, prompt_tokens, completion_tokens, quality_score, and any others.
    """

    benchmark_id: str
    service_id: str
    asset_id: str | None
    workload: str
    observed_at: str
    results: Mapping[str, ResultValue]
    source: str | None
    service: str | None
    report_id: str | None

    def number(self, name: str) -> float | None:
        """A field of ``results`` as a number; None where it has none."""
        value = self.results.get(name)
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True, slots=True)
class BenchList:
    """The stored results, the newest first."""

    samples: tuple[StoredSample, ...]


@dataclass(frozen=True, slots=True)
class UnmatchedSample:
    """A sample (its benchmark's id) without an entry of the routing file, and why."""

    sample: str
    reason: str


@dataclass(frozen=True, slots=True)
class BenchIngested:
    """How many samples were stored, how many were there already, and what they are about."""

    accepted: int
    duplicates: int
    matched_services: tuple[str, ...]
    unmatched: tuple[UnmatchedSample, ...]


def ingest(
    database: ServerDatabase, report: GivenReport, resolve: Resolve, who: Actor | None = None
) -> BenchIngested:
    """Store a report's samples, and the report where it has an id; a repetition changes nothing.

    A sample whose service is unknown is stored too: its service may come later. One with the id of
    a stored sample but other results replaces it. ``who`` brings them (None: the user of this
    machine). Raises ModelscanError where the database fails.
    """
    matches = [(sample, resolve(sample)) for sample in report.samples]
    with database.writing() as connection:
        stored = [_store(connection, sample, match, report) for sample, match in matches]
        _store_report(connection, report)
        _delete_oldest(connection)
        if any(stored):
            record_change(connection, CHANGED)
            target = report.report_id or f"{sum(stored)} results"
            ids = [sample.benchmark_id for sample in report.samples]
            record_audit(connection, who or local_user(), "bench.ingest", target, after=ids)
    return BenchIngested(
        accepted=sum(stored),
        duplicates=len(stored) - sum(stored),
        matched_services=tuple(dict.fromkeys(m.service for _, m in matches if m.service)),
        unmatched=tuple(
            UnmatchedSample(sample.benchmark_id, match.reason or "its service is unknown")
            for sample, match in matches
            if match.service is None
        ),
    )


def samples(
    database: ServerDatabase,
    *,
    service: str | None = None,
    workload: str | None = None,
    since: float | None = None,
    limit: int | None = None,
) -> tuple[StoredSample, ...]:
    """The stored results, the newest first; ``since``: a UNIX time.

    ``service``: an entry of the routing file, or the name that the reports have.
    """
    query = sa.select(SAMPLES).order_by(SAMPLES.c.observed_at.desc(), SAMPLES.c.id.desc())
    if service is not None:
        query = query.where((SAMPLES.c.service == service) | (SAMPLES.c.service_id == service))
    if workload is not None:
        query = query.where(SAMPLES.c.workload == workload)
    if since is not None:
        query = query.where(SAMPLES.c.observed_at >= since)
    with database.reading() as connection:
        rows = connection.execute(query.limit(limit)).mappings().all()
    return tuple(map(_stored, rows))


def stored_report(database: ServerDatabase, report_id: str) -> Mapping[str, Any] | None:
    """A stored report as it came; None if there is none with that id."""
    query = sa.select(BENCH_REPORTS.c.document).where(BENCH_REPORTS.c.report_id == report_id)
    with database.reading() as connection:
        document: Mapping[str, Any] | None = connection.execute(query).scalar()
    return document


def report_ids(database: ServerDatabase) -> tuple[str, ...]:
    """The ids of the stored reports, the newest first."""
    query = sa.select(BENCH_REPORTS.c.report_id).order_by(BENCH_REPORTS.c.observed_at.desc())
    with database.reading() as connection:
        return tuple(connection.execute(query).scalars())


def sample_rows(stored: Sequence[StoredSample]) -> list[dict[str, Any]]:
    """The samples as a GenieHive reads and writes them (``observed_at`` stays RFC 3339)."""
    names = ("benchmark_id", "service_id", "asset_id", "workload", "observed_at", "results")
    return [{name: to_json(getattr(one, name)) for name in names} for one in stored]


def _store(
    connection: sa.Connection, sample: GivenSample, match: ServiceMatch, report: GivenReport
) -> bool:
    """Insert or replace one sample; False if it is stored already."""
    place = (
        (SAMPLES.c.benchmark_id == sample.benchmark_id)
        & (SAMPLES.c.workload == sample.workload)
        & (SAMPLES.c.service_id == sample.service_id)
    )
    values = {
        "asset_id": sample.asset_id,
        "observed_at": sample.observed_at,
        "results": dict(sample.results),
        "source": sample.source,
        "service": match.service,
        "report_id": report.report_id,
    }
    row = connection.execute(sa.select(SAMPLES).where(place)).mappings().first()
    if row is None:
        names = ("benchmark_id", "workload", "service_id")
        identity = {name: getattr(sample, name) for name in names}
        connection.execute(sa.insert(SAMPLES).values(**identity, **values))
        return True
    changed = any(row[name] != value for name, value in values.items())
    if changed:
        connection.execute(sa.update(SAMPLES).where(place).values(values))
    return bool(row["results"] != values["results"])


def _store_report(connection: sa.Connection, report: GivenReport) -> None:
    """Keep the whole report, so that it can be shown and compared."""
    if report.report_id is None or report.document is None:
        return
    times = [sample.observed_at for sample in report.samples]
    values = {
        "observed_at": report.observed_at or max(times, default=0.0),
        "document": dict(report.document),
    }
    place = BENCH_REPORTS.c.report_id == report.report_id
    if not connection.execute(sa.update(BENCH_REPORTS).where(place).values(values)).rowcount:
        connection.execute(sa.insert(BENCH_REPORTS).values(report_id=report.report_id, **values))


def _delete_oldest(connection: sa.Connection) -> None:
    """Neither table grows without a limit."""
    newest = connection.execute(sa.select(sa.func.max(SAMPLES.c.id))).scalar() or 0
    connection.execute(sa.delete(SAMPLES).where(SAMPLES.c.id <= newest - MOST_SAMPLES_STORED))
    order = sa.select(BENCH_REPORTS.c.report_id).order_by(BENCH_REPORTS.c.observed_at.desc())
    kept = connection.execute(order.limit(MOST_REPORTS_STORED)).scalars().all()
    if len(kept) == MOST_REPORTS_STORED:
        old = BENCH_REPORTS.c.report_id.not_in(kept)
        connection.execute(sa.delete(BENCH_REPORTS).where(old))


def _stored(row: Any) -> StoredSample:
    return StoredSample(
        row["benchmark_id"], row["service_id"], row["asset_id"], row["workload"],
        text_of(row["observed_at"]), row["results"], row["source"], row["service"],
        row["report_id"],
    )  # fmt: skip
