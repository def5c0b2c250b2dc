"""Waiting for an engine's requests before it is ended, and what is cut when the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from modelscan.supervisor.health import Address
from modelscan.supervisor.load import EngineLoad, load_of
from modelscan.targets.events import RequestsCut

_POLL_S = 0.1
_AGAIN_S = 0.5  # a request that was read but not yet queued is in no counter for a moment
_LOOKS = 2


def drain(
    name: str, address: Address, drain_s: float, alive: Callable[[], bool]
) -> RequestsCut | None:
    """Wait until nothing runs or waits (seen twice), at most ``drain_s`` seconds.

    Returns what ending the engine now cuts; None if nothing.
    """
    begun, idle = time.monotonic(), 0
    while alive():
        load = load_of(address)
        idle = idle + 1 if load.idle else 0
        left_s = begun + drain_s - time.monotonic()
        if idle >= (_LOOKS if drain_s > 0 else 1) or (load.idle and left_s <= 0):
            return None
        if left_s <= 0:
            return _cut(name, load, time.monotonic() - begun)
        time.sleep(min(left_s, _pause_s(load)))
    return None


def _pause_s(load: EngineLoad) -> float:
    """Until the next look. Without a connection, only a new one could bring a request."""
    connected = load.connections is None or load.connections.open > 0
    return _AGAIN_S if load.idle and connected else _POLL_S


def _cut(name: str, load: EngineLoad, waited_s: float) -> RequestsCut:
    requests, links = load.requests, load.connections
    return RequestsCut(
        name,
        requests.running if requests else None,
        requests.waiting if requests else None,
        links.open if links else None,
        round(waited_s, 1),
    )
