"""Scores of a route's candidates, 0..1, from what was observed. Pure.

The formula is GenieHive's, with these corrections: a quality is the weighted mean of the parts that
were measured (so that a result without timings is not half a result); without a measured
correctness a result counts at most half; the speed of wrong answers is worth nothing, so that a
fast and wrong model is behind a slow and right one; old results count less. The documentation's
tables are generated from the constants here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

# Weights of the signals of a candidate of a role, and of a candidate without a role.
ROLE_WEIGHTS = {"text": 0.25, "family": 0.12, "guardrail": 0.13, "runtime": 0.25, "bench": 0.25}
SERVICE_WEIGHTS = {"text": 0.20, "runtime": 0.45, "bench": 0.35}

LOADED = 0.35
LATENCY_BANDS = ((1500.0, 0.30), (4000.0, 0.18))  # p50 in ms, at most -> points
LATENCY_BEYOND = 0.05
SPEED_BANDS = ((20.0, 0.20), (8.0, 0.10))  # tokens/s, at least -> points
QUEUE_STEP, QUEUE_MOST = 0.03, 0.15  # points lost per waiting request, and at most
BUSY = 0.10  # points lost where its node reports it as busy

OVERLAP_WEIGHT, QUALITY_WEIGHT = 0.55, 0.45
CORRECTNESS_WEIGHT, SPEED_WEIGHT = 0.65, 0.35
FULL_SPEED = 40.0  # tokens/s from which the throughput counts in full
TTFT_BANDS = ((500.0, 1.0), (1000.0, 0.8), (2500.0, 0.5))  # ms, at most -> value
TTFT_BEYOND = 0.2
WITHOUT_CORRECTNESS = 0.5  # the highest quality of a result without a measured correctness
FRESH_S, EXPIRES_S = 7 * 86_400.0, 90 * 86_400.0  # a result counts in full, then less, then not
_WORD = re.compile(r"[a-z0-9]+")
_LIVE = SERVICE_WEIGHTS["runtime"] * QUEUE_STEP
_LIVE_MOST = SERVICE_WEIGHTS["runtime"] * QUEUE_MOST


@dataclass(frozen=True, slots=True)
class Runtime:
    """What was observed of a backend; milliseconds, tokens per second; None: not known."""

    loaded: bool | None = None
    p50_latency_ms: float | None = None
    tokens_per_s: float | None = None
    queue: int = 0
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A benchmark's result: ``pass_rate`` 0..1 is the correctness; None: not measured."""

    workload: str
    pass_rate: float | None = None
    tokens_per_s: float | None = None
    ttft_ms: float | None = None
    age_s: float = 0.0

    @property
    def freshness(self) -> float:
        """1 for a new result, falling to 0 for one that says nothing any more."""
        return min(1.0, max(0.0, (EXPIRES_S - self.age_s) / (EXPIRES_S - FRESH_S)))


class Signals(NamedTuple):
    """Each signal 0..1; None: it does not apply."""

    text: float | None = None
    family: float | None = None
    guardrail: float | None = None
    runtime: float | None = None
    bench: float | None = None


@lru_cache(maxsize=32_768)  # the same texts are looked at for every table
def tokens(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def text_signal(task: str, candidate: Iterable[str]) -> float:
    """The share of the task's words that occur in the candidate's texts."""
    wanted = tokens(task)
    present = tokens(" ".join(candidate))
    return len(wanted & present) / len(wanted) if wanted else 0.0


def runtime_signal(runtime: Runtime) -> float:
    """Loaded, latency, throughput; less for a queue and for a busy backend."""
    points = LOADED if runtime.loaded else 0.0
    if runtime.p50_latency_ms is not None:
        points += _at_most(runtime.p50_latency_ms, LATENCY_BANDS, LATENCY_BEYOND)
    if runtime.tokens_per_s is not None:
        points += _at_least(runtime.tokens_per_s, SPEED_BANDS)
    points -= min(QUEUE_MOST, QUEUE_STEP * runtime.queue)
    points -= BUSY if runtime.busy else 0.0
    return max(0.0, points)  # the points that can be won are less than 1


def quality(result: Result) -> float | None:
    """0..1 from correctness and speed, over the parts that were measured; None: none was."""
    throughput = result.tokens_per_s
    fast = None if throughput is None else min(1.0, throughput / FULL_SPEED)
    first = None if result.ttft_ms is None else _at_most(result.ttft_ms, TTFT_BANDS, TTFT_BEYOND)
    speed = _mean(((0.5, fast), (0.5, first)))
    if result.pass_rate is None:
        return None if speed is None else min(WITHOUT_CORRECTNESS, speed)
    return _mean(((CORRECTNESS_WEIGHT, result.pass_rate), (SPEED_WEIGHT, speed)))


def bench_signal(workloads: Sequence[str], results: Iterable[Result]) -> float | None:
    """The best likeness of a result's workload to these, and the best quality.

    A likeness counts by the share of right answers, and half where none was measured. None without
    results.
    """
    fresh = [one for one in results if one.freshness > 0]
    if not fresh:
        return None
    overlap = max(best_overlap(workloads, (one,)) * _right(one) * one.freshness for one in fresh)
    return OVERLAP_WEIGHT * overlap + QUALITY_WEIGHT * (best_quality(fresh) or 0.0)


def best_overlap(workloads: Sequence[str], results: Iterable[Result]) -> float:
    """The best likeness of a result's workload to one of these, 0..1."""
    pairs = ((task, one.workload) for one in results for task in workloads)
    return max((_overlap(task, workload) for task, workload in pairs), default=0.0)


def best_quality(results: Iterable[Result]) -> float | None:
    """The best quality, by the age of its result; None: none was measured."""
    qualities = [(quality(one), one.freshness) for one in results]
    return max((value * fresh for value, fresh in qualities if value is not None), default=None)


def trust(workloads: Sequence[str], results: Iterable[Result]) -> float:
    """The share of right answers, by which a measured speed counts: the mean over the results whose
    workloads are most like these; 1 where no correctness was measured."""
    measured = [one for one in results if one.pass_rate is not None and one.freshness > 0]
    if not measured:
        return 1.0
    overlaps = [best_overlap(workloads, (one,)) for one in measured]
    nearest = [one for one, value in zip(measured, overlaps, strict=True) if value == max(overlaps)]
    wrong = sum((1.0 - (one.pass_rate or 0.0)) * one.freshness for one in nearest)
    return 1.0 - wrong / len(nearest)


def score(signals: Signals, weights: dict[str, float]) -> float:
    """The weighted sum, 0..1; a signal that does not apply adds nothing."""
    total = sum(weight * (getattr(signals, name) or 0.0) for name, weight in weights.items())
    return min(1.0, total)


def live_score(base: float | None, in_flight: int) -> float:
    """A candidate's score with the requests that it has now; unknown counts as 0."""
    return (base or 0.0) - min(_LIVE_MOST, _LIVE * in_flight)


def _right(result: Result) -> float:
    return WITHOUT_CORRECTNESS if result.pass_rate is None else result.pass_rate


def _overlap(task: str, workload: str) -> float:
    return 1.0 if task == workload else text_signal(task, (workload,))


def _at_most(value: float, bands: Iterable[tuple[float, float]], beyond: float) -> float:
    return next((points for limit, points in bands if value <= limit), beyond)


def _at_least(value: float, bands: Iterable[tuple[float, float]]) -> float:
    return next((points for limit, points in bands if value >= limit), 0.0)


def _mean(parts: Iterable[tuple[float, float | None]]) -> float | None:
    """The weighted mean of the parts that are present; None without any."""
    present = [(weight, value) for weight, value in parts if value is not None]
    total = sum(weight for weight, _ in present)
    return sum(weight * value for weight, value in present) / total if present else None
