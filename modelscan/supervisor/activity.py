"""Whether an engine is in use, from the counters of requests and tokens in its ``/metrics``.

Health checks, ``/v1/models`` and ``/metrics`` itself change none of these counters (observed with
llama.cpp b11549), so the check does not count as use.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from modelscan.supervisor.health import Address, health, metrics, serves
from modelscan.supervisor.load import Requests, parse_requests, samples
from modelscan.supervisor.rundir import ProcessSpec, RunDir

_TICK_S, _LONGEST_TICK_S, _SHORTEST_TICK_S = 1.0, 15.0, 0.1
# Totals that only requests move.
_COUNTERS = {
    "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total", "llamacpp:n_decode_total",
    "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total",
    "sglang:prompt_tokens_total", "sglang:generation_tokens_total", "sglang:num_requests_total",
}  # fmt: skip


def parse_activity(text: str) -> tuple[int, Mapping[str, float]] | None:
    """(running and waiting requests, counters) of a ``/metrics`` page; None if it has neither."""
    counters: dict[str, float] = {}
    for name, value in samples(text):
        if name in _COUNTERS:
            counters[name] = counters.get(name, 0.0) + value
    requests = parse_requests(text) or Requests(0, 0)
    return (requests.running + requests.waiting, counters) if counters else None


class IdleWatch:
    """Checks one engine at intervals: whether it is ready, and since when it is idle.

    An engine without these figures never counts as idle.
    """

    def __init__(self, rundir: RunDir, spec: ProcessSpec, key: str | None) -> None:
        self._rundir, self._spec = rundir, spec
        self._address = Address(spec.host, spec.port, key)
        self._counters: Mapping[str, float] | None = None
        self._active_at: float | None = None  # None: not ready yet
        self._next = time.monotonic() + self._tick_s()

    def wait_s(self) -> float | None:
        """Seconds until the next check; None if there are no more checks."""
        if not self._spec.port:
            return None
        if self._spec.idle_s is None and (self._spec.embedded or self._rundir.is_ready()):
            return None  # the embedded engine reports its readiness in a file
        return max(0.0, self._next - time.monotonic())

    def is_idle(self) -> bool:
        """Check, if due, whether the engine had no request for ``idle_s`` seconds."""
        now = time.monotonic()
        if self.wait_s() is None or now < self._next:
            return False
        self._next = now + self._tick_s()
        if not self._ready() or self._spec.idle_s is None:
            return False
        if self._active_at is None or self._used():
            self._active_at = time.monotonic()
        return time.monotonic() - self._active_at >= self._spec.idle_s

    def _tick_s(self) -> float:
        if self._spec.idle_s is None:
            return _TICK_S
        return min(_LONGEST_TICK_S, max(_SHORTEST_TICK_S, self._spec.idle_s / 4))

    def _ready(self) -> bool:
        if self._rundir.is_ready():
            return True
        if self._spec.embedded or health(self._address) != "ok":
            return False
        if not serves(self._address, self._spec.name):
            return False  # another server uses the port
        self._rundir.write_ready({"run_id": self._spec.run_id})
        return True

    def _used(self) -> bool:
        """Whether there was a request since the last check; a failed check counts as busy."""
        activity = parse_activity(metrics(self._address))
        if activity is None:
            return True
        busy, counters = activity
        before, self._counters = self._counters, counters
        return busy > 0 or counters != before
