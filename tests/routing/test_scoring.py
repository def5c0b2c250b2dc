"""Scores: hand-computed values, bounds, and the order that corrections keep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.routing.scoring import (
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
)

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


def test_weights_add_up_to_one() -> None:
    assert sum(ROLE_WEIGHTS.values()) == pytest.approx(1)
    assert sum(SERVICE_WEIGHTS.values()) == pytest.approx(1)


def test_a_benchmark_of_the_same_workload_counts_in_full() -> None:
    assert bench_signal("chat.short", [Result("chat.short", 1.0)]) == pytest.approx(1.0)
    assert bench_signal("chat.short", [Result("other", 1.0)]) == pytest.approx(0.45)
    assert bench_signal("chat.short", []) is None
