"""What recent answers of a backend say about its speed: the signals of scores and listings."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.receipt import Receipt
from modelscan.routing.scoring import Runtime

_KEPT = 64
LOW_COMPLEXITY_MS, BACKGROUND_MS = 1500.0, 4000.0
GENERATING = ("chat", "completions", "responses", "messages")

Suitability = Literal[
    "good_for_low_complexity", "usable_for_background_tasks", "available_but_slow", "cold_only",
    "unknown",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians of the last answers; milliseconds and tokens per second, None: not measured."""

    p50_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_s: float | None = None
    requests: int = 0


@dataclass(slots=True)
class Recent:
    """The last answers of one backend."""

    durations_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    ttfts_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, receipt: Receipt) -> None:
        """Count a complete answer; a refused or broken one says nothing about the speed."""
        if receipt.status != 200 or receipt.duration_s is None:
            return
        self.durations_ms.append(receipt.duration_s * 1e3)
        first = receipt.ttft_s
        if first is not None:
            self.ttfts_ms.append(first * 1e3)
        tokens = receipt.output_tokens
        if tokens and receipt.operation in GENERATING:
            decoding = receipt.duration_s - (first or 0.0) if receipt.stream else receipt.duration_s
            if decoding > 0:
                self.speeds.append(tokens / decoding)

    def latency(self) -> Latency:
        """The medians."""
        return Latency(
            _median(self.durations_ms), _median(self.ttfts_ms), _median(self.speeds),
            len(self.durations_ms),
        )  # fmt: skip


class RuntimeHistory:
    """The recent answers of every backend, by its name."""

    def __init__(self) -> None:
        self._recent: dict[str, Recent] = {}
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Count a batch; ``answered`` are requests that the backend did not fail."""
        for receipt in receipts:
            if receipt.backend is not None:
                self._recent.setdefault(receipt.backend, Recent()).add(receipt)
                self.requests[receipt.backend] += 1
                self.answered[receipt.backend] += receipt.status < 500

    def latency(self, backend: str) -> Latency:
        """The medians of a backend."""
        recent = self._recent.get(backend)
        return Latency() if recent is None else recent.latency()

    def runtime(self, backend: str, loaded: bool | None) -> Runtime:
        """A backend's signals for the scores; queues are live counters, not history."""
        latency = self.latency(backend)
        return Runtime(loaded, latency.p50_ms, latency.tokens_per_s)


def suitability(loaded: bool | None, p50_ms: float | None) -> Suitability:
    """Which work a backend is fit for, by the median time of its answers."""
    if loaded is False:
        return "cold_only"
    if p50_ms is None:
        return "unknown"
    if p50_ms <= LOW_COMPLEXITY_MS:
        return "good_for_low_complexity"
    return "usable_for_background_tasks" if p50_ms <= BACKGROUND_MS else "available_but_slow"


def _median(values: deque[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None
