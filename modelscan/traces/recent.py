"""What recent answers of a backend say about its speed: the signals of scores and listings."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.receipt import Receipt
from modelscan.routing.scoring import Runtime
from modelscan.routing.table import GENERATING

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians of the last answers; milliseconds and tokens per second, None: not measured.

    ``source``: the requests of the gateway; where there were none, the backend's own node, or a
    benchmark.
    """

    p50_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_s: float | None = None
    requests: int = 0
    source: Literal["requests", "node", "benchmark"] | None = None


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
            len(self.durations_ms), "requests" if self.durations_ms else None,
        )  # fmt: skip


class RuntimeHistory:
    """The recent answers of every backend, by its name."""

    def __init__(self) -> None:
        self._recent: dict[str, Recent] = {}
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Count a batch; ``answered`` are requests that the backend did not fail.

        Of a batch, the last ones are enough for the medians: this runs for every request.
        """
        self.requests.update(one.backend for one in receipts if one.backend is not None)
        self.answered.update(one.backend for one in receipts if one.backend and one.status < 500)
        for receipt in receipts[-_KEPT:]:
            if receipt.backend is not None:
                self._recent.setdefault(receipt.backend, Recent()).add(receipt)

    def latency(self, backend: str) -> Latency:
        """The medians of a backend."""
        recent = self._recent.get(backend)
        return Latency() if recent is None else recent.latency()

    def slow_ms(self, backend: str) -> float | None:
        """The time within which 95 % of a backend's last answers came."""
        recent = self._recent.get(backend)
        if recent is None or not recent.durations_ms:
            return None
        values = sorted(recent.durations_ms)
        return round(values[math.ceil(0.95 * len(values)) - 1], 3)

    def keep(self, backends: Container[str]) -> None:
        """Forget the speed of all other backends."""
        self._recent = {name: one for name, one in self._recent.items() if name in backends}

    def seed(self, receipts: Iterable[Receipt], served: Mapping[str, str]) -> None:
        """Take over the speed from older requests, the oldest first; ``served``: the model that
        each backend serves now, for what it served before says nothing."""
        for one in receipts:
            name = one.backend
            if name is not None and one.served_model == served.get(name):
                self._recent.setdefault(name, Recent()).add(one)

    def runtime(self, backend: str, loaded: bool | None, others: int) -> Runtime:
        """A backend's signals for the scores; ``others``: other clients' requests there. The
        gateway's own ones are live counters.
        """
        latency = self.latency(backend)
        return Runtime(loaded, latency.p50_ms, latency.tokens_per_s, others)


def _median(values: deque[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None
