"""Waiting for full backends: a request is in the queue of each backend that could serve it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelscan.gateway.counters import BackendRow, Counters
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.parts import Queued
from modelscan.gateway.data.state import LiveBackend

_MOST_S = 60


class Queues:
    """All requests of this worker that wait. Other workers' backends become free without notice,
    so that ``poll`` is called from time to time."""

    __slots__ = ("_counters", "_waiting")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._waiting: dict[int, Queued] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, choices: Sequence[Attempt], limit: int) -> bool:
        """Whether fewer than ``limit`` requests of all workers wait for one of the backends."""
        return any(self._length(attempt.backend) < limit for attempt in choices)

    def _length(self, backend: LiveBackend) -> int:
        return self._counters.total(self._counters.backend(backend.slot, BackendRow.WAITING))

    def estimate_s(self, backend: LiveBackend) -> int:
        """Whole seconds until a place may be free, for Retry-After: 1 to 60."""
        places = backend.limit or 1
        seconds = backend.mean_s * (self._length(backend) + 1) / places
        return max(1, min(_MOST_S, math.ceil(seconds)))

    def add(self, exchange: Queued) -> None:
        self._waiting[id(exchange)] = exchange
        for attempt in exchange.waiting_at:
            attempt.backend.waiting.add(exchange.line, exchange)
            self._count(attempt.backend, 1)

    def remove(self, exchange: Queued, choices: Sequence[Attempt]) -> None:
        """Take a request out of all of its queues."""
        if self._waiting.pop(id(exchange), None) is None:
            return
        for attempt in choices:
            attempt.backend.waiting.remove(exchange.line, exchange)
            self._count(attempt.backend, -1)

    def _count(self, backend: LiveBackend, amount: int) -> None:
        self._counters.add(self._counters.backend(backend.slot, BackendRow.WAITING), amount)

    def poll(self) -> None:
        """Start what has a place now."""
        for exchange in list(self._waiting.values()):
            for attempt in exchange.waiting_at:
                backend = attempt.backend
                backend.waiting.start_next(backend)
