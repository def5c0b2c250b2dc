"""What a key may do now: expiry, scope, budget, requests per minute, requests at once."""

from __future__ import annotations

import math

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.state import LiveKey

_MINUTE = 60


def check_key(key: LiveKey, wall: float) -> None:
    """Raise RefusedError if a key cannot be used at a UNIX time."""
    expires_at = key.key.expires_at
    if expires_at is not None and wall >= expires_at:
        raise RefusedError(Cause.EXPIRED_KEY, f"the key {key.key.name} has expired")


def check_inference(counters: Counters, key: LiveKey, wall: float) -> None:
    """Raise RefusedError if a key may not send a request to a model now; else count the request."""
    if not key.infer:
        raise RefusedError(Cause.SCOPE, f"the key {key.key.name} lacks the scope infer")
    if key.key.spent_out:
        raise RefusedError(Cause.BUDGET, f"the budget of the key {key.key.name} is used up")
    count_request(counters, key, wall)


def count_request(counters: Counters, key: LiveKey, wall: float) -> None:
    """Count a request in the current minute, over all workers; over the limit: 429.

    The last 60 s are estimated as this minute's count plus the last minute's, weighted by how much
    of it is still inside.
    """
    minute, second = divmod(wall, _MINUTE)
    _turn_page(counters, key, int(minute))
    counters.add(key.current, 1)
    limit = key.key.requests_per_minute
    if limit is not None:
        now, before = _used(counters, key, int(minute))
        if now > limit or now + before * (1 - second / _MINUTE) > limit:
            counters.add(key.current, -1)
            wait = _wait(limit, now - 1, before, second)
            text = f"the key {key.key.name} may send {limit} requests per minute"
            raise RefusedError(Cause.RATE, text, retry_after=wait)
    counters.put(key.last_used, int(wall))


def _turn_page(counters: Counters, key: LiveKey, minute: int) -> None:
    """Begin a new minute in this worker's own cells."""
    last = counters.own(key.minute)
    if last == minute:
        return
    counters.put(key.previous, counters.own(key.current) if last == minute - 1 else 0)
    counters.put(key.current, 0)
    counters.put(key.minute, minute)


def _used(counters: Counters, key: LiveKey, minute: int) -> tuple[int, int]:
    """Requests of this minute and of the last one, over all workers."""
    now = before = 0
    for worker in range(counters.sizes.workers):
        counted = counters.of_worker(key.minute, worker)
        if counted == minute:
            now += counters.of_worker(key.current, worker)
            before += counters.of_worker(key.previous, worker)
        elif counted == minute - 1:
            before += counters.of_worker(key.current, worker)
    return now, before


def _wait(limit: int, now: int, before: int, second: float) -> int:
    """Seconds after which one more request is below the limit, as far as is known."""
    left = _MINUTE - second
    if now + 1 <= limit and before:
        share = (limit - now - 1) / before  # of the last minute that may still be inside
        return max(1, math.ceil(_MINUTE * (1 - share) - second))
    return max(1, math.ceil(left))


def enter(counters: Counters, key: LiveKey) -> None:
    """Count one more request under way for a key; over its limit: 429."""
    counters.add(key.in_flight, 1)
    limit = key.key.max_concurrent
    if limit is not None and counters.total(key.in_flight) > limit:
        counters.add(key.in_flight, -1)
        text = f"the key {key.key.name} may have {limit} requests under way"
        raise RefusedError(Cause.CONCURRENCY, text, retry_after=1)


def leave(counters: Counters, key: LiveKey) -> None:
    """One request less under way for a key."""
    counters.add(key.in_flight, -1)
