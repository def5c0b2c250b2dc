"""What a key may do now: expiry, scope, budget, requests per minute, requests at once."""

from __future__ import annotations

import math

from modelscan.gateway.counters import Counters, KeyRow
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.state import LiveKey
from modelscan.gateway.scopes import needed
from modelscan.routing.table import Operation

_MINUTE = 60


def check_key(key: LiveKey, wall: float) -> None:
    """Raise RefusedError if a key cannot be used at a UNIX time."""
    expires_at = key.key.expires_at
    if expires_at is not None and wall >= expires_at:
        raise RefusedError(Cause.EXPIRED_KEY, f"the key {key.key.name} has expired")


def check_inference(counters: Counters, key: LiveKey, operation: Operation, wall: float) -> None:
    """Raise RefusedError if a key may not send a request to a model now; else count the request."""
    if operation not in key.operations:
        text = f"the key {key.key.name} lacks the scope {needed(operation)}"
        raise RefusedError(Cause.SCOPE, text)
    if key.key.spent_out:
        raise RefusedError(Cause.BUDGET, f"the budget of the key {key.key.name} is used up")
    count_request(counters, key, wall)


def count_request(counters: Counters, key: LiveKey, wall: float) -> None:
    """Count a request in the current minute, over all workers; over the limit: 429.

    The last 60 s are estimated as this minute's count plus the last minute's, weighted by how much
    of it is still inside.
    """
    whole = key.key.requests_per_minute
    if whole is not None:
        limit = _allowed(counters, key.rate_cap, whole)
        minute, second = divmod(wall, _MINUTE)
        _turn_page(counters, key, int(minute))
        counters.add(key.current, 1)
        now, before = _used(counters, key.minute, key.current, key.previous, int(minute))
        if now > limit or now + before * (1 - second / _MINUTE) > limit:
            counters.add(key.current, -1)
            counters.add(key.refused, 1)
            wait = 1 if limit < whole else _wait(limit, now - 1, before, second)
            text = f"the key {key.key.name} may send {whole} requests per minute"
            text += _shared(limit, whole)
            raise RefusedError(Cause.RATE, text, retry_after=wait)
    counters.cells[key.last_used + counters.worker] = int(wall)


def _allowed(counters: Counters, cap: int, whole: int) -> int:
    """The limit here: where several gateways share it, this one's part at the moment."""
    share = counters.cells[cap]
    return whole if not share else min(whole, share - 1)


def _shared(limit: int, whole: int) -> str:
    return f", {limit} of them at this gateway at the moment" if limit < whole else ""


def _turn_page(counters: Counters, key: LiveKey, minute: int) -> None:
    """Begin a new minute in this worker's own cells."""
    last = counters.own(key.minute)
    if last == minute:
        return
    counters.put(key.previous, counters.own(key.current) if last == minute - 1 else 0)
    counters.put(key.current, 0)
    counters.put(key.minute, minute)


def used_in_minute(counters: Counters, slot: int, wall: float) -> float:
    """Requests of a key in the last 60 s, over all workers, as ``count_request`` estimates them."""
    minute, second = divmod(wall, _MINUTE)
    rows = (KeyRow.MINUTE, KeyRow.CURRENT, KeyRow.PREVIOUS)
    minutes, current, previous = (counters.key(slot, row) for row in rows)
    now, before = _used(counters, minutes, current, previous, int(minute))
    return now + before * (1 - second / _MINUTE)


def _used(
    counters: Counters, minutes: int, current: int, previous: int, minute: int
) -> tuple[int, int]:
    """Requests of this minute and of the last one, over all workers."""
    now = before = 0
    for worker in range(counters.sizes.workers):
        counted = counters.of_worker(minutes, worker)
        if counted == minute:
            now += counters.of_worker(current, worker)
            before += counters.of_worker(previous, worker)
        elif counted == minute - 1:
            before += counters.of_worker(current, worker)
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
    counters.cells[key.in_flight + counters.worker] += 1
    whole = key.key.max_concurrent
    if whole is None:
        return
    limit = _allowed(counters, key.concurrent_cap, whole)
    if counters.total(key.in_flight) > limit:
        counters.add(key.in_flight, -1)
        counters.add(key.refused, 1)
        text = f"the key {key.key.name} may have {whole} requests under way"
        text += _shared(limit, whole)
        raise RefusedError(Cause.CONCURRENCY, text, retry_after=1)


def leave(counters: Counters, key: LiveKey) -> None:
    """One request less under way for a key."""
    counters.add(key.in_flight, -1)
