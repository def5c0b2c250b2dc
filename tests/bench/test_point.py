"""Percentiles, intervals, goodput and the sums of a load, against numbers computed by hand."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest

from modelscan.bench.distribution import distribution, interval, over_repeats
from modelscan.bench.point import BenchLoad, ClientUse, agrees, point, sample, timings_check
from modelscan.bench.slo import ServiceLevel, is_good, parse_slo
from modelscan.bench.stream import EngineTimings, RequestResult
from modelscan.core.errors import UsageError

IDLE = ClientUse(0.0, 0)


def done(start: float = 0.0, ttft: float = 0.2, tokens: int = 11, tpot: float = 0.05,
         **fields: Any) -> RequestResult:  # fmt: skip
    e2e = ttft + (tokens - 1) * tpot
    values: dict[str, Any] = {
        "status": 200, "started_s": start, "ended_s": start + e2e, "ttft_s": ttft, "ttfo_s": ttft,
        "e2e_s": e2e, "total_s": e2e, "tpot_s": tpot if tokens > 1 else None, "events": tokens,
        "chunk_gaps_s": (tpot,) * (tokens - 1), "prompt_tokens": 100, "completion_tokens": tokens,
        "cached_tokens": 20,
    }  # fmt: skip
    return RequestResult(**{**values, **fields})


def error(kind: Any, start: float = 0.0) -> RequestResult:
    return RequestResult(kind, "why", started_s=start, ended_s=start + 1.0, total_s=1.0)


def of(*results: RequestResult, slo: ServiceLevel | None = None, **load: Any) -> Any:
    return point(BenchLoad(1, None, slo, 7), [list(results)], IDLE, **load)


@pytest.mark.parametrize(
    ("count", "known"),
    [(1, ""), (2, "p50"), (9, "p50"), (10, "p50 p90"), (19, "p50 p90"), (20, "p50 p90 p95"),
     (99, "p50 p90 p95"), (100, "p50 p90 p95 p99")],
)  # fmt: skip
def test_a_percentile_needs_enough_values(count: int, known: str) -> None:
    found = distribution([[float(n) for n in range(count)]])
    names = ("p50", "p90", "p95", "p99")
    assert [name for name in names if getattr(found, name) is not None] == known.split()
    assert found.n == count and found.min == 0.0 and found.max == count - 1


def test_percentiles_are_linear() -> None:
    values = [random.Random(3).expovariate(1) for _ in range(200)]
    found = distribution([values])
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert found.p50 == pytest.approx(statistics.median(values))
    assert [found.p90, found.p95, found.p99] == pytest.approx([cuts[89], cuts[94], cuts[98]])


def test_no_values_have_no_distribution() -> None:
    assert distribution([]).n == 0 and distribution([[], []]).mean is None


def test_intervals_contain_the_mean_as_often_as_they_claim() -> None:
    """Of exponential values, a skewed distribution like that of latencies."""
    for size, least in ((40, 0.88), (300, 0.90)):
        rng = random.Random(1)
        hits = 0
        for trial in range(100):
            found = interval([[rng.expovariate(1) for _ in range(size)]], trial)
            assert found is not None
            hits += found.lower <= 1.0 <= found.upper
        assert hits >= 100 * least


def test_the_method_of_an_interval_is_stated() -> None:
    few = [0.1, 0.2, 0.4]
    assert interval([[0.1]]) is None and interval([]) is None
    assert (one := interval([few])) is not None and one.method == "bootstrap"
    assert interval([few], 7) == interval([few], 7)
    assert (many := interval([few * 100])) is not None and many.method == "normal"
    repeats = interval([[1.0, 2.0], [2.0, 3.0], []])
    assert repeats is not None and repeats.method == "t_over_repeats"
    # Two repeats with the means 1.5 and 2.5: t(1) = 12.706, s / sqrt(2) = 0.5.
    assert (repeats.lower, repeats.upper) == (pytest.approx(-4.353), pytest.approx(8.353))
    assert over_repeats([1.0]) is None


def test_the_sums_of_a_load() -> None:
    one = of(done(0.0), done(0.5, ttft=0.4), error("status", 0.2))
    assert one.duration_s == pytest.approx(1.4)  # from 0.0 to 0.5 + 0.4 + 10 * 0.05
    assert one.output_tokens_per_s == pytest.approx(22 / 1.4, abs=1e-4)
    assert one.requests_per_s == pytest.approx(2 / 1.4, abs=1e-4)
    assert one.decode_tokens_per_s == pytest.approx(20.0)
    assert one.prefill_tokens_per_s == pytest.approx(160 / 0.6, abs=1e-3)  # computed tokens only
    assert one.requests == 3 and one.errors.status == 1 and one.errors.total == 1
    assert (one.prompt_tokens, one.cached_tokens, one.completion_tokens) == (100, 20, 11)
    assert one.ttft_s.mean == pytest.approx(0.3) and one.ttft_s.n == 2
    assert one.token_source == "usage" and one.goodput_fraction is None and one.pass_rate is None


def test_unknown_tokens_are_not_summed() -> None:
    one = of(done(), done(1.0, completion_tokens=None, tpot_s=None))
    assert one.output_tokens_per_s is None and one.token_source == "chunks"
    assert one.requests_per_s is not None and one.completion_tokens == 11


def test_a_load_without_an_answer() -> None:
    one = of(error("broken"), error("timeout"), error("empty"))
    assert (one.errors.broken, one.errors.timeout, one.errors.empty) == (1, 1, 1)
    assert one.ttft_s.mean is None and one.decode_tokens_per_s is None
    assert one.requests_per_s == 0.0 and one.prompt_tokens is None
    assert of().duration_s is None


def test_repeats_give_the_rates_an_interval() -> None:
    repeats = [[done(0.0)], [done(10.0)], [done(20.0, ttft=0.3)]]
    one = point(BenchLoad(1, None, None, 7), repeats, IDLE)
    assert one.repeats == 3 and one.duration_s == pytest.approx(0.7 + 0.7 + 0.8)
    found = one.output_tokens_per_s_interval
    assert found is not None and found.method == "t_over_repeats"
    assert found.lower < 33 / 2.2 < found.upper


def test_goodput() -> None:
    slo = ServiceLevel(ttft_s=0.5, tpot_s=0.06)
    results = [done(), done(1.0, ttft=0.6), done(2.0, tpot=0.07), error("status", 3.0),
               done(4.0, tokens=1)]  # fmt: skip
    assert [is_good(one, slo) for one in results] == [True, False, False, False, False]
    assert is_good(done(tokens=1), ServiceLevel(ttft_s=0.5))  # no limit on the time per token
    one = of(*results, slo=slo)
    assert one.goodput_fraction == 0.2
    assert one.goodput_requests_per_s == pytest.approx(1 / 4.2, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("ttft=500ms,tpot=50ms", ServiceLevel(0.5, 0.05)),
        (" e2e = 1.5s ", ServiceLevel(e2e_s=1.5)),
        ("ttft_s=2s", ServiceLevel(2.0)),
        ("tpot=50", ServiceLevel(tpot_s=0.05)),
        ("e2e=1m", ServiceLevel(e2e_s=60.0)),
    ],
)
def test_limits_are_read(text: str, limits: ServiceLevel) -> None:
    assert parse_slo(text) == limits


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "is not a limit"), ("ttft", "is not a limit"), ("ttft=fast", "is not a limit"),
     ("tfft=5ms", "no limit 'tfft'"), ("ttft=1s,ttft=2s", "given twice"),
     ("ttft=0", "more than 0"), ("ttft=-5ms", "is not a limit"), ("itl=50ms", "no limit 'itl'")],
)  # fmt: skip
def test_wrong_limits_are_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse_slo(text)


def test_the_engines_own_times() -> None:
    timings = EngineTimings(0.18, 80, 0.5, 11)
    check = timings_check([done(timings=timings), error("broken")])
    assert check is not None and check.agrees is True and check.source == "timings"
    assert check.tpot_s == pytest.approx(0.05) and check.completion_tokens == 11
    slower = timings_check([done(tpot=0.06, timings=timings)])
    assert slower is not None and slower.agrees is False
    fewer = timings_check([done(tokens=11, timings=EngineTimings(0.18, 80, 0.5, 10))])
    assert fewer is not None and fewer.agrees is False
    assert timings_check([done()]) is None
    assert agrees(None, 0.05) is None and agrees(0.0545, 0.05) and not agrees(0.056, 0.05)


def test_the_queue_is_what_the_engine_does_not_see() -> None:
    one = of(done(ttft=0.9, timings=EngineTimings(0.2, 80, 0.5, 11)))
    assert one.queue_s.mean == pytest.approx(0.7)
    assert of(done()).queue_s.n == 0


def test_a_busy_load_generator_is_marked() -> None:
    load, results = BenchLoad(4, None, None, 7), [[done(), done(0.1)]]
    assert not point(load, results, ClientUse(0.01, 22)).client_limited
    busy = point(load, results, ClientUse(0.8, 22))
    assert busy.client_limited and busy.client_cpu_us_per_chunk == pytest.approx(36363.6, abs=0.1)


def test_a_point_as_a_sample_of_geniehive() -> None:
    results = [done(), done(1.0, ttfo_s=None), error("empty", 2.0)]
    made = sample(
        of(*results, pass_rate=0.5), "b-1/1", "coder", "lab/m", "shape", "2026-01-01T00:00:00Z"
    )
    found = made.results
    assert (found.case_count, found.pass_rate, found.quality_score) == (3, 0.5, None)
    assert found.response_rate == pytest.approx(0.6667)
    assert found.empty_visible_response_rate == pytest.approx(0.6667)
    assert (found.ttft_ms, found.p50_latency_ms) == (200.0, 700.0)
    assert found.tokens_per_sec == pytest.approx(20.0)  # per stream, not of the whole load
    alone = sample(of(done()), "b-1/1", "coder", None, "shape", "2026-01-01T00:00:00Z").results
    assert alone.ttft_ms == 200.0  # of one value the median is that value
