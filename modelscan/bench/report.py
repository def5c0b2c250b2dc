"""The report of ``bench run``: ``modelscan.bench.run/1``. Seconds, tokens, tokens per second.

GenieHive's readers find their fields: report_id, observed_at, source, samples[] with results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.bench.distribution import ConfidenceInterval, Distribution
from modelscan.bench.slo import ServiceLevel

TokenSource = Literal["usage", "chunks"]
CheckSource = Literal["timings", "metrics"]


@dataclass(frozen=True, slots=True)
class BenchReceipt:
    """What was measured. Unknown is None.

    ``route`` is the name that was requested, ``service`` the entry of the routing file that
    answered. ``host_load``: the load average of one minute before the run, ``host_load_after``
    after it. ``foreign_requests``: whether the server had other requests meanwhile.
    """

    route: str
    endpoint: str
    requested_model: str
    service: str | None = None
    served_model: str | None = None
    provider: str | None = None
    deployment: str | None = None
    engine: str | None = None
    model: str | None = None
    revision: str | None = None
    sha256: str | None = None
    quantization: str | None = None
    context_tokens: int | None = None
    parallel: int | None = None
    thinking: str | None = None
    hardware: str | None = None
    host_load: float | None = None
    host_load_after: float | None = None
    foreign_requests: bool | None = None


@dataclass(frozen=True, slots=True)
class BenchWorkloadRun:
    """The prompts and the request's parameters. ``hash``: of everything that shapes a request.

    ``cache``: how a prompt's cache was kept from answering: disabled, salted, nonce (a text of its
    own at the start of each prompt) or allowed.
    """

    name: str
    version: int
    hash: str
    input_tokens: int | None
    output_tokens: int | None
    ignore_eos: bool
    seed: int | None
    temperature: float | None
    cases: int
    cache: Literal["disabled", "salted", "nonce", "allowed"]


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Failed requests by class: an HTTP status, no answer in time, a broken stream, no token."""

    status: int = 0
    timeout: int = 0
    broken: int = 0
    empty: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.status + self.timeout + self.broken + self.empty


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """The engine's own figures for the same requests. ``agrees``: its time per token is within
    10 % of the client's, and it counted as many tokens; None: it cannot be compared."""

    source: CheckSource
    prompt_s: float | None
    tpot_s: float | None
    completion_tokens: int | None
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class BenchPoint:
    """One load: so many requests at once (``concurrency``), or per second (``rate``).

    ``output_tokens_per_s`` and ``requests_per_s`` are over the duration, from the first start to
    the last end, summed over ``repeats``; their intervals need repeats. ``prefill_tokens_per_s``:
    computed prompt tokens by time to first token. ``prompt_tokens`` … are means per request.
    ``client_limited``: the load generator itself was at its limit, the figures are not the
    server's.
    """

    concurrency: int | None
    rate: float | None
    repeats: int
    requests: int
    errors: ErrorCounts
    duration_s: float | None
    ttft_s: Distribution
    ttfo_s: Distribution
    tpot_s: Distribution
    chunk_gap_s: Distribution
    e2e_s: Distribution
    queue_s: Distribution
    output_tokens_per_s: float | None
    output_tokens_per_s_interval: ConfidenceInterval | None
    requests_per_s: float | None
    requests_per_s_interval: ConfidenceInterval | None
    decode_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    goodput_requests_per_s: float | None
    goodput_fraction: float | None
    slo: ServiceLevel | None
    prompt_tokens: float | None
    cached_tokens: float | None
    completion_tokens: float | None
    token_source: TokenSource
    pass_rate: float | None
    client_limited: bool
    client_cpu_us_per_chunk: float | None
    server_check: EngineCheck | None


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that some answers of a case did not pass, as it is written in the workload."""

    check: str
    failures: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The answers to one prompt: how many, how many passed every check, and what they failed."""

    id: str
    answers: int
    passed: int
    failed_checks: tuple[FailedCheck, ...]


@dataclass(frozen=True, slots=True)
class SampleResults:
    """The result of one point in GenieHive's fields. ``tokens_per_sec`` is per stream."""

    case_count: int
    pass_rate: float | None
    response_rate: float | None
    empty_visible_response_rate: float | None
    p50_latency_ms: float | None
    ttft_ms: float | None
    tokens_per_sec: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    quality_score: float | None


@dataclass(frozen=True, slots=True)
class BenchSample:
    """What scoring reads of one point."""

    service_id: str
    asset_id: str | None
    workload: str
    observed_at: str
    benchmark_id: str
    results: SampleResults


@dataclass(frozen=True, slots=True)
class BenchReport:
    """A run: what was measured, with which prompts, and one point per load."""

    report_id: str
    observed_at: str
    source: str
    receipt: BenchReceipt
    workload: BenchWorkloadRun
    points: tuple[BenchPoint, ...]
    cases: tuple[CaseResult, ...]
    samples: tuple[BenchSample, ...]
    warnings: tuple[str, ...] = ()
