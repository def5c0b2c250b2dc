"""The results of requests under one load, added up. Pure but for the seeded resampling."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modelscan.bench.distribution import Distribution, distribution, over_repeats
from modelscan.bench.report import (
    BenchPoint,
    BenchSample,
    EngineCheck,
    ErrorCounts,
    SampleResults,
)
from modelscan.bench.slo import ServiceLevel, is_good
from modelscan.bench.stream import RequestResult

AGREEMENT = 0.10  # a server's time per token may differ by this share
BUSY_CORE = 0.70  # of one core: above it the load generator is at its limit
BUSY_STREAM = 0.05  # of one core, per stream that is open


@dataclass(frozen=True, slots=True)
class ClientUse:
    """The CPU time of this process during a point, and the events that it received."""

    cpu_s: float
    chunks: int


@dataclass(frozen=True, slots=True)
class BenchLoad:
    """What the server was given: ``concurrency`` or ``rate`` (requests per second)."""

    concurrency: int | None
    rate: float | None
    slo: ServiceLevel | None
    seed: int


def point(
    load: BenchLoad,
    repeats: Sequence[Sequence[RequestResult]],
    use: ClientUse,
    server_check: EngineCheck | None = None,
    pass_rate: float | None = None,
) -> BenchPoint:
    """The figures of one load; ``repeats``: the requests of each repetition."""
    results = [one for repeat in repeats for one in repeat]
    answered = [one for one in results if one.error is None]
    durations = [_duration_s(repeat) for repeat in repeats]
    duration = sum(durations)

    def spread(value: Callable[[RequestResult], float | None]) -> Distribution:
        return distribution(
            [_known(map(value, _answered(repeat))) for repeat in repeats], load.seed
        )

    tokens = _all_known(one.completion_tokens for one in answered)
    token_rates = [_per_s(_tokens(repeat), s) for repeat, s in zip(repeats, durations, strict=True)]
    request_rates = [
        _per_s(len(_answered(repeat)), s) for repeat, s in zip(repeats, durations, strict=True)
    ]
    tpot = spread(lambda one: one.tpot_s)
    good = None if load.slo is None else sum(is_good(one, load.slo) for one in results)
    return BenchPoint(
        concurrency=load.concurrency,
        rate=load.rate,
        repeats=len(repeats),
        requests=len(results),
        errors=_errors(results),
        duration_s=round(duration, 6) if results else None,
        ttft_s=spread(lambda one: one.ttft_s),
        ttfo_s=spread(lambda one: one.ttfo_s),
        tpot_s=tpot,
        chunk_gap_s=_gaps(repeats, load.seed),
        e2e_s=spread(lambda one: one.e2e_s),
        queue_s=spread(lambda one: one.queue_s),
        output_tokens_per_s=_round(_per_s(None if tokens is None else sum(tokens), duration)),
        output_tokens_per_s_interval=over_repeats(_known(token_rates)),
        requests_per_s=_round(_per_s(len(answered), duration)),
        requests_per_s_interval=over_repeats(_known(request_rates)),
        decode_tokens_per_s=_round(1 / tpot.mean) if tpot.mean else None,
        prefill_tokens_per_s=_round(_prefill(answered)),
        goodput_requests_per_s=None if good is None else _round(_per_s(good, duration)),
        goodput_fraction=None if good is None or not results else _round(good / len(results)),
        slo=load.slo,
        prompt_tokens=_mean(one.prompt_tokens for one in answered),
        cached_tokens=_mean(one.cached_tokens for one in answered),
        completion_tokens=_mean(one.completion_tokens for one in answered),
        token_source="chunks" if tokens is None or not tokens else "usage",
        pass_rate=pass_rate,
        client_limited=_is_limited(use, results, duration),
        client_cpu_us_per_chunk=_round(1e6 * use.cpu_s / use.chunks) if use.chunks else None,
        server_check=server_check,
    )


def sample(
    done: BenchPoint, benchmark_id: str, service_id: str, asset_id: str | None, workload: str,
    observed_at: str,
) -> BenchSample:  # fmt: skip
    """A point in GenieHive's fields; its medians as there, in milliseconds."""
    requests, failed = done.requests, done.errors.total
    return BenchSample(
        service_id, asset_id, workload, observed_at, benchmark_id,
        SampleResults(
            case_count=requests,
            pass_rate=done.pass_rate,
            response_rate=round(1 - failed / requests, 4) if requests else None,
            empty_visible_response_rate=(
                round((done.errors.empty + _without_output(done)) / requests, 4)
                if requests else None
            ),
            p50_latency_ms=_milliseconds(done.e2e_s),
            ttft_ms=_milliseconds(done.ttft_s),
            tokens_per_sec=done.decode_tokens_per_s,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
            quality_score=None,
        ),
    )  # fmt: skip


def timings_check(results: Iterable[RequestResult]) -> EngineCheck | None:
    """llama.cpp's own times of the answered requests next to the client's; None without them."""
    timed = [(one, one.timings) for one in results if one.error is None and one.timings]
    if not timed:
        return None
    server = _known(timings.tpot_s for _, timings in timed)
    client = _known(one.tpot_s for one, _ in timed)
    counted = sum(timings.predicted_tokens for _, timings in timed)
    given = _all_known(one.completion_tokens for one, _ in timed)
    tpot = statistics.fmean(server) if server else None
    return EngineCheck(
        source="timings",
        prompt_s=_round(statistics.fmean(timings.prompt_s for _, timings in timed)),
        tpot_s=_round(tpot),
        completion_tokens=counted,
        agrees=agrees(statistics.fmean(client) if client else None, tpot)
        and (given is None or sum(given) == counted),
    )


def agrees(client: float | None, server: float | None) -> bool | None:
    """Whether two times per token differ by at most 10 %; None: one is unknown."""
    if not client or not server:
        return None
    return abs(client / server - 1) <= AGREEMENT


def _without_output(done: BenchPoint) -> int:
    """Answers with tokens of which none is visible."""
    return done.ttft_s.n - done.ttfo_s.n


def _milliseconds(values: Distribution) -> float | None:
    middle = values.p50 if values.p50 is not None else values.mean
    return None if middle is None else round(1000 * middle, 3)


def _answered(repeat: Iterable[RequestResult]) -> list[RequestResult]:
    return [one for one in repeat if one.error is None]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _all_known(values: Iterable[int | None]) -> list[int] | None:
    """The values; None if one of them is unknown: a sum would be too small."""
    rows = list(values)
    known = [value for value in rows if value is not None]
    return known if len(known) == len(rows) else None


def _tokens(repeat: Iterable[RequestResult]) -> int | None:
    tokens = _all_known(one.completion_tokens for one in _answered(repeat))
    return None if tokens is None else sum(tokens)


def _duration_s(repeat: Sequence[RequestResult]) -> float:
    if not repeat:
        return 0.0
    return max(one.ended_s for one in repeat) - min(one.started_s for one in repeat)


def _gaps(repeats: Sequence[Sequence[RequestResult]], seed: int) -> Distribution:
    """All gaps; their number is large, so that no interval is computed by resampling."""
    groups = [[gap for one in _answered(repeat) for gap in one.chunk_gaps_s] for repeat in repeats]
    return distribution(groups, seed)


def _errors(results: Iterable[RequestResult]) -> ErrorCounts:
    classes = [one.error for one in results if one.error is not None]
    return ErrorCounts(
        classes.count("status"), classes.count("timeout"), classes.count("broken"),
        classes.count("empty"),
    )  # fmt: skip


def _prefill(answered: Iterable[RequestResult]) -> float | None:
    """Computed prompt tokens by time to first token, the mean over the requests' sums."""
    rows = [
        (one.new_prompt_tokens, one.ttft_s)
        for one in answered
        if one.new_prompt_tokens is not None and one.ttft_s
    ]
    return sum(tokens for tokens, _ in rows) / sum(s for _, s in rows) if rows else None


def _is_limited(use: ClientUse, results: Iterable[RequestResult], duration: float) -> bool:
    """Whether the load generator used too much of a core for its times to be the server's."""
    open_s = sum(one.total_s or 0.0 for one in results)
    if duration <= 0 or open_s <= 0:
        return False
    return use.cpu_s > BUSY_CORE * duration or use.cpu_s > BUSY_STREAM * open_s + 0.05


def _per_s(amount: float | None, duration: float) -> float | None:
    return None if amount is None or duration <= 0 else amount / duration


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return _round(statistics.fmean(known)) if known else None


def _round(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None else float(f"{value:.6g}")
