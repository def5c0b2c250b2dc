"""Reports and results of ``modelscan bench`` as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_speed, format_tokens

if TYPE_CHECKING:
    from modelscan.bench.compare import BenchCompared, ComparedMetric
    from modelscan.bench.distribution import Distribution
    from modelscan.bench.report import BenchPoint, BenchReport
    from modelscan.bench.samples import StoredSample
    from modelscan.state.config import Config

_POINT = (
    "LOAD", "REQUESTS", "FAILED", "TTFT", "TTFT_P95", "PER_TOKEN", "E2E", "TOKENS/S", "REQUESTS/S",
    "GOOD", "PASSED",
)  # fmt: skip
_OMITTED = ("FAILED", "TTFT_P95", "REQUESTS", "E2E", "REQUESTS/S")  # the last first
_SAMPLE = (
    "ID", "OBSERVED_AT", "SERVICE", "WORKLOAD", "CASES", "PASSED", "TTFT", "TOKENS/S", "MODEL",
)  # fmt: skip
_COMPARE = ("METRIC", "LOAD", "A", "B", "RATIO", "INTERVAL", "DIFFERS")


def report_document(report: BenchReport, config: Config) -> Document[Any]:
    """A report as the document of ``bench run`` and ``bench show``."""
    blocks: list[Block] = [Fields(list(_receipt(report))), _point_table(report.points)]
    speeds = _speed_table(report, config)
    if speeds is not None:
        blocks.append(speeds)
    blocks += _case_notes(report)
    blocks.append(Note("TTFT, PER_TOKEN and E2E are medians; TOKENS/S and REQUESTS/S are those of "
                       "the whole load"))  # fmt: skip
    return Document("bench.run", report, blocks, [report.report_id], report.warnings)


def sample_table(samples: Sequence[StoredSample]) -> Table:
    """The stored results."""
    rows = [
        (
            one.benchmark_id,
            one.observed_at,
            one.service or one.service_id,
            one.workload,
            _whole(one.number("case_count")),
            share(one.number("pass_rate")),
            seconds(_from_ms(one.number("ttft_ms"))),
            format_speed(one.number("tokens_per_sec")),
            one.asset_id,
        )
        for one in samples
    ]
    return Table(
        _SAMPLE, rows, numeric=("CASES", "PASSED", "TTFT", "TOKENS/S"),
        empty="there are no results: modelscan bench run NAME --ingest",
        optional=("TTFT", "PASSED", "CASES", "OBSERVED_AT", "MODEL"), whole=("OBSERVED_AT",),
    )  # fmt: skip


def compare_table(answer: BenchCompared) -> Table:
    """Each quantity of both reports."""
    rows = [
        (
            row.metric,
            _load_text(row.concurrency, row.rate),
            _quantity(row, row.a),
            _quantity(row, row.b),
            None if row.ratio is None else f"{row.ratio:.3f}",
            None
            if row.interval is None
            else f"{row.interval.lower:.3f} to {row.interval.upper:.3f}",
            None if row.differs is None else "yes" if row.differs else "not shown",
        )
        for row in answer.rows
    ]
    return Table(_COMPARE, rows, numeric=("A", "B", "RATIO"), optional=("INTERVAL", "LOAD"))


def seconds(value: float | None) -> str | None:
    """A time in three digits with its unit: ``498 ms``, ``1.02 s``, ``15.8 ms``."""
    if value is None:
        return None
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= 0.9995 * size:
            return f"{format_speed(value / size)} {unit}"
    return "0 ms"


def share(value: float | None) -> str | None:
    """A share 0..1 in percent."""
    return None if value is None else f"{value:.0%}"


def _receipt(report: BenchReport) -> Iterator[tuple[str, object]]:
    one, work = report.receipt, report.workload
    yield "report", report.report_id
    yield "route", one.route if one.service in (None, one.route) else f"{one.route} ({one.service})"
    yield "endpoint", one.endpoint
    yield "model", one.model
    yield "quantization", one.quantization
    yield "engine", one.engine
    yield "hardware", one.hardware
    yield "context", format_tokens(one.context_tokens)
    yield "workload", _workload(report)
    point = report.points[0] if report.points else None
    if point is not None and point.prompt_tokens is not None:
        cached = f", {point.cached_tokens:g} of them cached" if point.cached_tokens else ""
        yield "tokens", f"{point.prompt_tokens:g} in{cached}, {point.completion_tokens:g} out"
    yield "cache", work.cache
    yield "host load", _between(one.host_load, one.host_load_after)
    yield "other requests", {True: "yes", False: "none", None: None}[one.foreign_requests]


def _workload(report: BenchReport) -> str:
    one = report.workload
    if one.input_tokens:
        return f"{one.name}, {one.input_tokens} tokens in, {one.output_tokens} out"
    return f"{one.name}, version {one.version}, {one.cases} prompts"


def _point_table(points: Sequence[BenchPoint]) -> Table:
    rows = [
        (
            _load_text(one.concurrency, one.rate),
            one.requests,
            one.errors.total,
            seconds(_middle(one.ttft_s)),
            seconds(one.ttft_s.p95),
            seconds(_middle(one.tpot_s)),
            seconds(_middle(one.e2e_s)),
            format_speed(one.output_tokens_per_s),
            format_speed(one.requests_per_s),
            share(one.goodput_fraction),
            share(one.pass_rate),
        )
        for one in points
    ]
    keep = [
        at for at, name in enumerate(_POINT)
        if name not in ("GOOD", "PASSED", "TTFT_P95") or any(row[at] is not None for row in rows)
    ]  # fmt: skip
    columns = [_POINT[at] for at in keep]
    return Table(
        columns, [tuple(row[at] for at in keep) for row in rows], numeric=columns[1:],
        optional=[one for one in _OMITTED if one in columns],
    )  # fmt: skip


def _speed_table(report: BenchReport, config: Config) -> Table | None:
    """The estimated speed of the deployment next to the measured one."""
    if report.receipt.deployment is None:
        return None
    from modelscan.cli.deployment_view import speed_table
    from modelscan.state.store import Store

    with Store.look(config.paths.store_file) as store:
        deployment = store.get(report.receipt.deployment)
        rows = [one for one in store.speeds() if one.report_id == report.report_id]
    return speed_table(deployment, rows) if deployment is not None else None


def _case_notes(report: BenchReport) -> Iterator[Note]:
    for case in report.cases:
        if case.failed_checks:
            failed = "; ".join(f"{one.check} ({one.failures})" for one in case.failed_checks)
            yield Note(f"{case.id}: {case.passed} of {case.answers} passed; failed: {failed}")


def _middle(values: Distribution) -> float | None:
    return values.p50 if values.p50 is not None else values.mean


def _load_text(concurrency: int | None, rate: float | None) -> str:
    if concurrency is not None:
        return f"{concurrency} at once"
    return f"{rate:g} per s" if rate is not None else "own times"


def _quantity(row: ComparedMetric, value: float | None) -> str | None:
    if row.metric == "pass_rate":
        return share(value)
    return format_speed(value) if row.metric.endswith("_per_s") else seconds(value)


def _between(before: float | None, after: float | None) -> str | None:
    return None if before is None else f"{before} before, {after} after"


def _from_ms(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
