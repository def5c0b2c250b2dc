"""Results of benchmarks and suites of one version of a model, as gates and tables read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelscan.registry.policy import ResultKind

MatchedBy = Literal["sha256", "revision", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSubject:
    """What a report says about the weights that it measured; None: unknown."""

    model: str | None
    revision: str | None
    sha256: str | None
    quantization: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedResult:
    """One result of a report: a suite, or a workload at one load.

    ``id`` is the report's id, for a load with ``/4`` (requests at once) or ``/2.5/s``. ``name`` is
    the suite or workload, ``digest`` identifies its tasks. ``metrics`` have their units in their
    names; ``observed_at`` is a UNIX time.
    """

    id: str
    report_id: str
    kind: ResultKind
    name: str
    digest: str
    observed_at: float
    hardware: str | None
    concurrency: int | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """A stored result of a version. ``observed_at`` and ``ingested_at`` are RFC 3339, ``by`` is
    who sent it; ``matched_by``: how its version was found.
    """

    id: str
    report_id: str
    kind: ResultKind
    name: str
    digest: str
    slug: str
    version: str
    matched_by: MatchedBy
    observed_at: str
    hardware: str | None
    quantization: str | None
    concurrency: int | None
    metrics: Mapping[str, float]
    by: str
    ingested_at: str


@dataclass(frozen=True, slots=True)
class ResultsIngested:
    """A report that was stored (``new``) or was there already.

    ``flagged``: ids of the curations whose gates it does not meet any more.
    """

    report_id: str
    slug: str
    version: str
    matched_by: MatchedBy
    new: bool
    results: tuple[ModelResult, ...]
    flagged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelResults:
    """Results, in the order that was requested; ``sort``: the metric that orders them.

    ``ingested``: the reports that were stored by this command.
    """

    results: tuple[ModelResult, ...]
    sort: str | None = None
    next_cursor: str | None = None
    ingested: tuple[ResultsIngested, ...] = ()


_LOWER = ("ttft", "ttfo", "tpot", "e2e", "queue", "chunk_gap", "p50_latency", "error", "cost")


def lower_is_better(metric: str) -> bool:
    """Whether the best value of a metric is the lowest: times, errors and costs."""
    return metric.startswith(_LOWER)
