"""Scores: hand-computed values, bounds, and the order that corrections keep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.routing.scoring import (
    EXPIRES_S,
    FRESH_S,
    ROLE_WEIGHTS,
    SERVICE_WEIGHTS,
    Result,
    Runtime,
    Signals,
    bench_signal,
    live_score,
    quality,
    runtime_signal,
    score,
    text_signal,
    trust,
)
from modelscan.routing.select import measured
from modelscan.routing.world import ProviderObservation

_PART = st.none() | st.floats(0, 1)
_MS = st.none() | st.floats(0, 20_000)
_SPEED = st.none() | st.floats(0, 500)


def test_the_share_of_the_tasks_words() -> None:
    assert text_signal("fast JSON answers", ("json-extractor", "answers quickly")) == 2 / 3
    assert text_signal("", ("x",)) == 0


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        (Runtime(), 0.0),
        (Runtime(True), 0.35),
        (Runtime(True, 1500, 20), 0.85),
        (Runtime(True, 1501, 8), 0.63),
        (Runtime(True, 4001, 7.9), 0.40),
        (Runtime(True, 900, 28, queue=2), 0.79),
        (Runtime(True, 900, 28, queue=50), 0.70),
        (Runtime(True, 900, 28, queue=50, busy=True), 0.60),
        (Runtime(False, queue=3), 0.0),
    ],
)
def test_runtime_by_the_published_bands(runtime: Runtime, expected: float) -> None:
    assert runtime_signal(runtime) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Result("w", 1.0, 40, 400), 1.0),
        (Result("w", 1.0), 1.0),
        (Result("w", None, 80, 100), 0.5),
        (Result("w", 0.5, 80, 100), 0.675),
        (Result("w", 0.5), 0.5),
        (Result("w"), None),
    ],
)
def test_qualities(result: Result, expected: float | None) -> None:
    """A result without timings is not half a result; speed without correctness is at most half."""
    assert quality(result) == (None if expected is None else pytest.approx(expected))


@settings(max_examples=100, deadline=None)
@given(_SPEED, _MS, _SPEED, _MS)
def test_wrong_but_fast_ranks_below_right(
    speed: float | None, ttft: float | None, other_speed: float | None, other_ttft: float | None
) -> None:
    right, wrong = Result("w", 1.0, speed, ttft), Result("w", 0.4, other_speed, other_ttft)
    assert (quality(right) or 0) > (quality(wrong) or 0)


@settings(max_examples=150, deadline=None)
@given(_PART, _SPEED, _MS, st.floats(0, 1), st.floats(0, 100), st.floats(0, 5000))
def test_a_quality_is_in_bounds_and_grows_with_each_part(
    passed: float | None, speed: float | None, ttft: float | None, more: float, faster: float,
    sooner: float,
) -> None:  # fmt: skip
    value = quality(Result("w", passed, speed, ttft))
    if value is None:
        return
    assert 0 <= value <= 1
    better = Result(
        "w",
        None if passed is None else min(1.0, passed + more),
        None if speed is None else speed + faster,
        None if ttft is None else max(0.0, ttft - sooner),
    )
    assert (quality(better) or 0) >= value - 1e-12


_SIGNALS = st.builds(Signals, _PART, _PART, _PART, _PART, _PART)


@settings(max_examples=100, deadline=None)
@given(_SIGNALS, st.integers(0, 4), st.floats(0, 1), st.integers(0, 99))
def test_a_score_is_in_bounds_and_grows_with_each_signal(
    signals: Signals, at: int, more: float, in_flight: int
) -> None:
    for weights in (ROLE_WEIGHTS, SERVICE_WEIGHTS):
        value = score(signals, weights)
        assert 0 <= value <= 1
        name = Signals._fields[at]
        raised = signals._replace(**{name: min(1.0, (getattr(signals, name) or 0) + more)})
        assert score(raised, weights) >= value - 1e-12
        assert live_score(value, in_flight + 1) <= live_score(value, in_flight) <= value


@pytest.mark.parametrize(
    ("weights", "published"),
    [(ROLE_WEIGHTS, (0.25, 0.12, 0.13, 0.25, 0.25)), (SERVICE_WEIGHTS, (0.2, 0, 0, 0.45, 0.35))],
)
def test_each_signal_has_its_published_weight(
    weights: dict[str, float], published: tuple[float, ...]
) -> None:
    for name, weight in zip(Signals._fields, published, strict=True):
        assert score(Signals()._replace(**{name: 1.0}), weights) == pytest.approx(weight)
    assert score(Signals(1, 1, 1, 1, 1), weights) == pytest.approx(1)


@pytest.mark.parametrize(("queue", "lost"), [(0, 0), (1, 0.0135), (5, 0.0675), (50, 0.0675)])
def test_a_queue_costs_what_it_costs_of_the_runtime_signal(queue: int, lost: float) -> None:
    assert live_score(0.5, queue) == pytest.approx(0.5 - lost)
    assert live_score(None, queue) == pytest.approx(-lost)


def test_a_benchmark_of_the_same_workload_counts_in_full() -> None:
    short = ("chat.short",)
    assert bench_signal(short, [Result("chat.short", 1.0)]) == pytest.approx(1.0)
    assert bench_signal(short, [Result("other", 1.0)]) == pytest.approx(0.45)
    assert bench_signal(short, []) is None
    both = [Result("other", 1.0), Result("chat.short", 0.0)]
    assert bench_signal(short, both) == pytest.approx(0.45)
    assert bench_signal(short, [Result("chat.short", None, 80, 100)]) == pytest.approx(0.5)
    assert bench_signal(("else", "chat.short"), [Result("chat.short", 1.0)]) == pytest.approx(1.0)


def test_the_speed_of_wrong_answers_is_worth_nothing() -> None:
    short = ("chat.short",)
    assert trust(short, []) == 1.0
    assert trust(short, [Result("chat.short", None, 80, 100)]) == 1.0
    assert trust(short, [Result("chat.short", 0.25), Result("other", 1.0)]) == 0.25
    assert trust(("nothing",), [Result("a", 0.5), Result("b", 1.0)]) == 0.75


_DAY = 86_400


@pytest.mark.parametrize(
    ("days", "counts"), [(0, 1.0), (7, 1.0), (48.5, 0.5), (90, 0.0), (900, 0.0), (-3, 1.0)]
)
def test_old_results_count_less(days: float, counts: float) -> None:
    right = Result("w", 1.0, age_s=days * _DAY)
    assert bench_signal(("w",), [right]) == (pytest.approx(counts) if counts else None)
    wrong = Result("w", 0.0, 500, 10, age_s=days * _DAY)
    assert trust(("w",), [wrong]) == pytest.approx(1 - counts)


_RUNTIMES = st.builds(Runtime, st.booleans(), st.none() | st.floats(1, 9000), _SPEED)


@settings(max_examples=200, deadline=None)
@given(_RUNTIMES, _SPEED, _MS, st.floats(0, 0.3))
def test_a_wrong_and_fast_service_is_behind_a_right_and_slow_one(
    fast: Runtime, speed: float | None, ttft: float | None, share: float
) -> None:
    """Whatever was observed: the right one is loaded, slow and nothing else."""
    slow = ProviderObservation(runtime=Runtime(True, 9000, 1), results=(Result("w", 1.0, 1, 9000),))
    wrong = ProviderObservation(runtime=fast, results=(Result("w", share, speed, ttft),))
    for weights in (SERVICE_WEIGHTS, ROLE_WEIGHTS):
        values = [score(measured(Signals(), one, ("w",)), weights) for one in (slow, wrong)]
        assert values[0] > values[1]


@pytest.mark.parametrize(
    ("ttft", "value"),
    [(500, 1.0), (501, 0.8), (1000, 0.8), (1001, 0.5), (2500, 0.5), (2501, 0.2)],
)
def test_the_time_to_the_first_token_in_bands(ttft: float, value: float) -> None:
    assert quality(Result("w", 1.0, None, ttft)) == pytest.approx(0.65 + 0.35 * value)


def test_a_result_without_an_age_is_new() -> None:
    assert Result("w").age_s == 0.0 and Result("w").freshness == 1.0
    assert Result("w", age_s=FRESH_S + (EXPIRES_S - FRESH_S) / 2).freshness == pytest.approx(0.5)
    assert Result("w", age_s=EXPIRES_S * 2).freshness == 0.0
