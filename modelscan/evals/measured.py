"""The results of a report of ``bench run``, ``eval run`` or GenieHive, as the registry stores them.

A load whose generator was at its own limit says nothing about the model, and an eval that is not
valid has no score: they are left out, or refused where nothing else is left.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from modelscan.bench.distribution import Distribution
from modelscan.bench.report import BenchPoint, BenchReport
from modelscan.bench.report_reader import ReportFault, read_report
from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.evals.report import EvalReport
from modelscan.registry.result_store import GivenResults
from modelscan.registry.results import MeasuredSubject, ReportedResult
from modelscan.state.clock import seconds_of

MOST_BYTES = 64 << 20
_BENCH, _EVAL = "modelscan.bench.run/1", "modelscan.eval.run/1"
_AHEAD_S = 300.0  # clocks of two machines may differ so much
_FIGURES = (
    "output_tokens_per_s", "requests_per_s", "prefill_tokens_per_s", "goodput_requests_per_s",
    "goodput_fraction", "pass_rate",
)  # fmt: skip
_DISTRIBUTIONS = ("ttft_s", "ttfo_s", "tpot_s", "chunk_gap_s", "e2e_s", "queue_s")
_HINT = "modelscan bench run ROUTE -o FILE, or modelscan eval run SUITE --route ROUTE -o FILE"


def read_results(text: bytes | str, now: float) -> GivenResults:
    """The results of a report's JSON text; ``now`` is a UNIX time.

    Raises UsageError for anything that is no such report, has no result, or is from the future.
    """
    if len(text) > MOST_BYTES:
        raise _refused(f"it has {len(text):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        document = json_value(text)
    except ValueError as error:
        raise _refused(f"it is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise _refused("it is not a JSON object")
    return results_of(document, now)


def read_results_file(file: Path, now: float) -> GivenResults:
    """The results of a file. Raises UsageError like ``read_results``, with the file's name."""
    try:
        with open(file, "rb") as stream:
            text = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint=_HINT) from error
    try:
        return read_results(text, now)
    except UsageError as error:
        raise UsageError(f"{file}: {error.message}", hint=error.hint, code=error.code) from error


def results_of(document: Mapping[str, Any], now: float) -> GivenResults:
    """The results of a report."""
    schema = document.get("schema")
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    try:
        if schema == _BENCH:
            given = _of_bench(from_json(BenchReport, document), digest)
        elif schema == _EVAL:
            given = _of_eval(from_json(EvalReport, document), digest)
        elif schema is None and "samples" in document:
            given = _of_samples(document, digest, now)
        else:
            raise _refused(f"its schema is {schema!r}, not {_BENCH} or {_EVAL}")
    except NotReadable as error:
        raise _refused(str(error)) from error
    if not given.report_id.strip() or len(given.report_id) > 200:
        raise _refused("its id has 1 to 200 characters")
    ahead_s = max(one.observed_at for one in given.results) - now
    if ahead_s > _AHEAD_S:
        raise _refused(f"it was measured {ahead_s:,.0f} s in the future, by this machine's clock")
    return given


def _of_bench(report: BenchReport, digest: str) -> GivenResults:
    receipt, workload = report.receipt, report.workload
    at = _moment(report.observed_at, "observed_at")
    results = tuple(
        ReportedResult(
            id=f"{report.report_id}/{_load(point)}",
            report_id=report.report_id,
            kind="workload",
            name=workload.name,
            digest=workload.hash,
            observed_at=at,
            hardware=receipt.hardware,
            concurrency=point.concurrency,
            metrics=dict(_figures(point)),
        )
        for point in report.points
        if point.requests and not point.client_limited
    )
    if not results:
        raise _refused("it has no load that says something about the model")
    subject = MeasuredSubject(
        model=receipt.model, revision=receipt.revision, sha256=receipt.sha256,
        quantization=receipt.quantization,
    )  # fmt: skip
    return GivenResults(
        report_id=report.report_id, document=digest, subject=subject, results=_distinct(results)
    )


def _of_eval(report: EvalReport, digest: str) -> GivenResults:
    receipt, suite = report.receipt, report.suite
    if report.status != "valid" or not report.scores:
        because = f": {report.reason}" if report.reason else ""
        raise _refused(f"the run {report.eval_id} is {report.status} and has no score{because}")
    metrics = {one.metric: one.value for one in report.scores}
    others = {"tokens_per_s": report.tokens_per_s, "cost_usd": report.cost_usd}
    metrics |= {name: value for name, value in others.items() if value is not None}
    result = ReportedResult(
        id=report.eval_id,
        report_id=report.eval_id,
        kind="suite",
        name=suite.name,
        digest=suite.hash,
        observed_at=_moment(report.finished_at, "finished_at"),
        hardware=receipt.hardware,
        concurrency=None,
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
    )
    subject = MeasuredSubject(
        model=receipt.model, revision=receipt.revision, sha256=receipt.sha256,
        quantization=receipt.quantization,
    )  # fmt: skip
    return GivenResults(
        report_id=report.eval_id, document=digest, subject=subject, results=(result,)
    )


def _of_samples(document: Mapping[str, Any], digest: str, now: float) -> GivenResults:
    """GenieHive's report: the numbers of its samples under their names there.

    It names a service and neither checksum nor commit, so that a person says of which version it
    is. Its own id is that of every run of a model and workload: the content makes the id here.
    """
    try:
        samples = read_report(document, now).samples
    except ReportFault as error:
        raise _refused(str(error)) from error
    names = sorted({one.asset_id or one.service_id for one in samples})
    if len(names) != 1:
        what = f"results of several models ({', '.join(names[:5])})" if names else "no result"
        raise _refused(f"it has {what}, and a report is stored for one version")
    report_id = f"g-{digest[:16]}"
    results = tuple(
        ReportedResult(
            id=f"{report_id}/{number}",
            report_id=report_id,
            kind="workload",
            name=one.workload,
            digest=hashlib.sha256(one.workload.encode()).hexdigest(),
            observed_at=one.observed_at,
            hardware=None,
            concurrency=None,
            metrics={
                name: float(value)
                for name, value in one.results.items()
                if isinstance(value, (int, float)) and not isinstance(value, bool)
            },
        )
        for number, one in enumerate(samples, 1)
    )
    subject = MeasuredSubject(model=names[0], revision=None, sha256=None, quantization=None)
    return GivenResults(report_id=report_id, document=digest, subject=subject, results=results)


def _load(point: BenchPoint) -> str:
    """A load in an id: requests at once, or per second."""
    return f"{point.rate:g}/s" if point.concurrency is None else str(point.concurrency)


def _figures(point: BenchPoint) -> Iterator[tuple[str, float]]:
    """The figures of a load under their names in the report (``ttft_s.p95``)."""
    speed = point.decode_tokens_per_s
    values: dict[str, float | None] = {name: getattr(point, name) for name in _FIGURES}
    values["tokens_per_s"] = speed
    values["error_rate"] = point.errors.total / point.requests
    for name in _DISTRIBUTIONS:
        given: Distribution = getattr(point, name)
        plain = to_json(given)
        values |= {f"{name}.{one.name}": plain[one.name] for one in fields(given)
                   if one.name not in ("n", "interval")}  # fmt: skip
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            yield name, float(value)


def _distinct(results: tuple[ReportedResult, ...]) -> tuple[ReportedResult, ...]:
    if len({one.id for one in results}) < len(results):
        raise _refused("it has the same load twice")
    return results


def _moment(text: str, name: str) -> float:
    moment = seconds_of(text)
    if moment is None or not 0 <= moment < 1e11:
        raise _refused(f"{name}: {text!r} is not a time such as 2026-01-31T09:30:00Z")
    return moment


def _refused(reason: str) -> UsageError:
    return UsageError(f"this report cannot be stored: {reason}", hint=_HINT, code="bad_report")
