"""Results of benchmarks and suites per version: stored once, found by what they measured."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from modelscan.core.nearest import nearest
from modelscan.registry.curation_store import curations_of_version
from modelscan.registry.events import record
from modelscan.registry.matching import contradiction, fits, needles
from modelscan.registry.names import version_reference
from modelscan.registry.policy import ResultKind
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.results import (
    MatchedBy,
    MeasuredSubject,
    ModelResult,
    ModelResults,
    ReportedResult,
    ResultsIngested,
    lower_is_better,
)
from modelscan.registry.stored import find_model, find_version, version_of
from modelscan.registry.types import ModelVersion
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.curation_tables import MODEL_RESULTS
from modelscan.state.server.database import moment
from modelscan.state.server.registry_tables import VERSIONS
from modelscan.state.server.retention import MOST_RESULTS_STORED

_MOST_MATCHES = 20
_TABLE = MODEL_RESULTS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenResults:
    """A report as it was read; ``document``: the SHA-256 of its JSON."""

    report_id: str
    document: str
    subject: MeasuredSubject
    results: tuple[ReportedResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultQuery:
    """Which results are listed; None: any. ``sort``: a metric, the best first.

    ``newest``: of each version, subject, hardware and load only the newest.
    """

    kind: ResultKind | None = None
    name: str | None = None
    slug: str | None = None
    version: str | None = None
    sort: str | None = None
    newest: bool = True
    limit: int = 50
    offset: int = 0


def store_results(
    connection: sa.Connection, who: Actor, given: GivenResults, named: str | None = None
) -> ResultsIngested:
    """Store a report for the version that it measured; ``named``: ``SLUG@VERSION``.

    A repetition changes nothing. Raises RegistryRefused: unknown_*, unmatched, ambiguous, invalid
    (other weights than those of the named version), exists (another report has this id).
    """
    stored = _of_report(connection, given.report_id)
    if stored:
        return _again(connection, given, stored)
    version, matched_by = _matched(connection, given.subject, named)
    now = moment(connection)
    rows = [_row(one, given, version, matched_by, who, now) for one in given.results]
    connection.execute(sa.insert(MODEL_RESULTS), rows)
    _delete_oldest(connection)
    data = {"report_id": given.report_id, "name": given.results[0].name}
    record(
        connection, who, "eval.ingested", slug=version.slug, version=version.version,
        etag=version.etag, data=data, after={**data, "document": given.document},
    )  # fmt: skip
    results = tuple(_result(row) for row in rows)
    return ResultsIngested(
        given.report_id, version.slug, version.version, matched_by, True, results
    )


def results_of_version(connection: sa.Connection, version: ModelVersion) -> tuple[ModelResult, ...]:
    """Every result of a version's weights as they are now, the newest first."""
    place = (_TABLE.slug == version.slug) & (_TABLE.version == version.version)
    return _read(connection, place & (_TABLE.content == version.digest))


def list_results(connection: sa.Connection, query: ResultQuery) -> ModelResults:
    """Results across models. Raises RegistryRefused (invalid) for a metric that none has."""
    wanted = {
        _TABLE.kind: query.kind, _TABLE.name: query.name, _TABLE.slug: query.slug,
        _TABLE.version: query.version,
    }  # fmt: skip
    place = sa.and_(sa.true(), *(column == value for column, value in wanted.items() if value))
    rows = _read(connection, place)
    if query.newest:
        rows = tuple(_newest(rows))
    if query.sort is not None:
        rows = _sorted(rows, query.sort)
    end = query.offset + query.limit
    cursor = _cursor(end) if end < len(rows) else None
    return ModelResults(rows[query.offset : end], query.sort, cursor)


def offset_of(cursor: str | None) -> int:
    """Where a page begins. Raises RegistryRefused (invalid)."""
    if cursor is None:
        return 0
    try:
        number = int(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError:
        number = -1
    if not 0 <= number <= MOST_RESULTS_STORED:
        raise RegistryRefused("invalid", "the cursor is not one of an earlier page")
    return number


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode()


def _newest(rows: Iterable[ModelResult]) -> Iterable[ModelResult]:
    """The newest report of each version, subject and hardware, with all its loads."""
    chosen: dict[tuple[object, ...], str] = {}
    for row in rows:  # the newest first
        key = (row.slug, row.version, row.kind, row.name, row.hardware)
        if chosen.setdefault(key, row.report_id) == row.report_id:
            yield row


def _sorted(rows: Sequence[ModelResult], metric: str) -> tuple[ModelResult, ...]:
    """The best first; those without the metric last."""
    known = {name for row in rows for name in row.metrics}
    if rows and metric not in known:
        near = nearest(metric, known)
        raise RegistryRefused(
            "invalid", f"no result has the metric '{metric}'; there are {', '.join(sorted(known))}",
            hint=f"modelscan registry evals --sort {near[0] if near else min(known)}",
        )  # fmt: skip
    sign = 1.0 if lower_is_better(metric) else -1.0
    return tuple(
        sorted(rows, key=lambda row: (metric not in row.metrics, sign * row.metrics.get(metric, 0)))
    )


def _read(connection: sa.Connection, place: sa.ColumnElement[bool]) -> tuple[ModelResult, ...]:
    query = sa.select(MODEL_RESULTS).where(place)
    ordered = query.order_by(_TABLE.observed_at.desc(), _TABLE.number)
    return tuple(_result(row) for row in connection.execute(ordered).mappings())


def _of_report(connection: sa.Connection, report_id: str) -> Sequence[sa.RowMapping]:
    query = sa.select(MODEL_RESULTS).where(_TABLE.report_id == report_id).order_by(_TABLE.number)
    return connection.execute(query).mappings().all()


def _again(
    connection: sa.Connection, given: GivenResults, stored: Sequence[sa.RowMapping]
) -> ResultsIngested:
    first = stored[0]
    if first["document"] != given.document:
        raise RegistryRefused(
            "exists", f"another report has the id {given.report_id} already",
            hint=f"modelscan registry evals --model {first['slug']}@{first['version']}",
        )  # fmt: skip
    results = tuple(_result(row) for row in stored)
    flagged = tuple(
        one.id
        for one in curations_of_version(connection, first["slug"], first["version"])
        if one.flagged
    )
    one = results[0]
    return ResultsIngested(
        given.report_id, one.slug, one.version, one.matched_by, False, results, flagged
    )


def _matched(
    connection: sa.Connection, subject: MeasuredSubject, named: str | None
) -> tuple[ModelVersion, MatchedBy]:
    if named is not None:
        version = _named(connection, named)
        wrong = contradiction(subject, version)
        if wrong is not None:
            raise RegistryRefused(
                "invalid", f"the report is not about '{version.name}': {wrong}",
                hint=f"modelscan registry show {version.name}",
            )  # fmt: skip
        return version, "named"
    for by, text in needles(subject):
        query = sa.select(VERSIONS.c.body, VERSIONS.c.etag).where(
            VERSIONS.c.body.contains(text, autoescape=True)
        )
        rows = connection.execute(query.limit(_MOST_MATCHES)).all()
        versions = [one for one in (version_of(*row) for row in rows) if fits(subject, one, by)]
        if len(versions) == 1:
            return versions[0], by
        if versions:
            raise _ambiguous(versions)
    known = any(True for _ in needles(subject))
    raise RegistryRefused(
        "unmatched",
        "no version in the registry has the report's checksum or revision"
        if known
        else "the report has neither a checksum nor a commit of what it measured",
        hint="modelscan registry eval ingest FILE --model SLUG@VERSION",
    )


def _named(connection: sa.Connection, named: str) -> ModelVersion:
    slug, number = version_reference(named)
    if number is not None:
        return find_version(connection, slug, number)
    model = find_model(connection, slug)
    if model.latest_version is None:
        raise RegistryRefused(
            "unknown_version", f"'{slug}' has no published version: name one, as {slug}@1",
            hint=f"modelscan registry show {slug}",
        )  # fmt: skip
    return find_version(connection, slug, int(model.latest_version))


def _ambiguous(versions: Sequence[ModelVersion]) -> RegistryRefused:
    names = [one.name for one in versions]
    return RegistryRefused(
        "ambiguous", f"the report fits several versions: {', '.join(names[:5])}",
        hint=f"modelscan registry eval ingest FILE --model {names[0]}",
        details={"versions": names},
    )  # fmt: skip


def _row(
    one: ReportedResult, given: GivenResults, version: ModelVersion, by: MatchedBy, who: Actor,
    now: float,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": one.id, "report_id": given.report_id, "document": given.document, "kind": one.kind,
        "name": one.name, "digest": one.digest, "slug": version.slug, "version": version.version,
        "content": version.digest, "matched_by": by, "observed_at": one.observed_at,
        "hardware": one.hardware,
        "quantization": given.subject.quantization or version.quantization,
        "concurrency": one.concurrency, "metrics": dict(one.metrics), "actor": who.name[:512],
        "ingested_at": now,
    }  # fmt: skip


def _result(row: sa.RowMapping | dict[str, Any]) -> ModelResult:
    names = (
        "id", "report_id", "kind", "name", "digest", "slug", "version", "matched_by", "hardware",
        "quantization", "concurrency", "metrics",
    )  # fmt: skip
    return ModelResult(
        **{name: row[name] for name in names},
        observed_at=text_of(row["observed_at"]),
        by=row["actor"],
        ingested_at=text_of(row["ingested_at"]),
    )


def with_flags(ingested: ResultsIngested, flagged: Iterable[str]) -> ResultsIngested:
    """The answer with the curations that it flagged."""
    return replace(ingested, flagged=tuple(flagged))


def _delete_oldest(connection: sa.Connection) -> None:
    newest = connection.execute(sa.select(sa.func.max(_TABLE.number))).scalar() or 0
    old = _TABLE.number <= newest - MOST_RESULTS_STORED
    connection.execute(sa.delete(MODEL_RESULTS).where(old))
