"""Several gateways on one database: the limits of keys hold for all of them together.

Each gateway has a share of each limit, in cells that its workers read; no request waits for the
database. Shares are exchanged every 0.25 s. While the database is away the last ones stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.threads import in_thread
from modelscan.gateway.counters import KeyCap, KeyRow
from modelscan.gateway.data.admission import used_in_minute
from modelscan.state.server.shares import (
    GatewayLease,
    KeyShare,
    KeyUse,
    Others,
    SharedKey,
)

TICK_S = 0.25
_BEAT_S = 2.0
_JOIN_S = 2.0  # that a start waits for the other gateways to give up what they have
_LEAVE_S = 5.0
_SMOOTH = 0.3
_LEAST = 0.05  # requests per second that count as demand
_WHOLE = KeyShare(None, None)


class KeyCells:
    """The cells of the keys' limits and counts, by the key's name."""

    def __init__(self, gateway: Gateway, clock: Callable[[], float] = time.time) -> None:
        self._gateway = gateway
        self._clock = clock
        self._demand: dict[str, float] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def shared_keys(self) -> tuple[SharedKey, ...]:
        """The keys with limits that the workers know."""
        known = self._gateway.key_rows
        keys = (
            SharedKey(one.name, KeyShare(one.limits.requests_per_minute, one.limits.max_concurrent))
            for one in self._gateway.loaded.keys
            if one.name in known
        )
        return tuple(key for key in keys if key.limits != _WHOLE)

    def use(self, key: str) -> KeyUse:
        """What a key uses here now; rounded up."""
        counters, slot = self._gateway.counters, self._gateway.key_rows.get(key)
        if slot is None:  # revoked a moment ago
            return KeyUse()
        used = used_in_minute(counters, slot, self._clock())
        flying = counters.total(counters.key(slot, KeyRow.IN_FLIGHT))
        return KeyUse(math.ceil(used), max(0, flying), self._demand.get(key, 0.0))

    def measure(self, keys: Sequence[SharedKey], passed_s: float) -> None:
        """Take note of how many requests each key sent since the last call."""
        rows = self._gateway.key_rows
        slots = {key.name: rows[key.name] for key in keys if key.name in rows}
        seen = {name: self._counts(slot) for name, slot in slots.items()}
        for name, (current, refused) in seen.items():
            before = self._seen.get(name, (current, refused))
            more = current - before[0] if current >= before[0] else current
            flying = self._gateway.counters.total(
                self._gateway.counters.key(slots[name], KeyRow.IN_FLIGHT)
            )
            rate = (more + refused - before[1] + flying) / passed_s
            demand = self._demand.get(name, 0.0)
            demand += (rate - demand) * _SMOOTH
            self._demand[name] = round(demand, 2) if demand >= _LEAST else 0.0
        self._seen = seen

    def _counts(self, slot: int) -> tuple[int, int]:
        counters = self._gateway.counters
        rows = (KeyRow.CURRENT, KeyRow.REFUSED)
        current, refused = (counters.total(counters.key(slot, row)) for row in rows)
        return current, refused

    def lower(self, key: str, share: KeyShare) -> None:
        """Let smaller shares be in effect at once."""
        for cap, value in _caps(share):
            now = self._value(key, cap)
            if value is not None and (now is None or value < now):
                self._set(key, cap, value)

    def put(self, key: str, share: KeyShare) -> None:
        """Let shares be in effect; None: the whole limit."""
        for cap, value in _caps(share):
            self._set(key, cap, value)

    def is_empty(self, key: str) -> bool:
        """Whether nothing of some limit may be used here."""
        return any(self._value(key, cap) == 0 for cap in KeyCap)

    def _value(self, key: str, cap: KeyCap) -> int | None:
        counters, slot = self._gateway.counters, self._gateway.key_rows.get(key)
        cell = 0 if slot is None else counters.cells[counters.cap(slot, cap)]
        return cell - 1 if cell else None

    def _set(self, key: str, cap: KeyCap, value: int | None) -> None:
        slot = self._gateway.key_rows.get(key)
        if slot is not None:
            self._gateway.counters.set_cap(slot, cap, value)


def _caps(share: KeyShare) -> tuple[tuple[KeyCap, int | None], ...]:
    return (KeyCap.RATE, share.requests), (KeyCap.CONCURRENT, share.concurrent)


class LimitShares:
    """This gateway among the others."""

    def __init__(self, gateway: Gateway, lease: GatewayLease, cells: KeyCells) -> None:
        self._gateway = gateway
        self._lease = lease
        self._cells = cells
        self._others = Others()
        self._keys: tuple[SharedKey, ...] = ()
        self._beat_at = self._ticked_at = 0.0
        self._busy = True
        self.due = asyncio.Event()

    async def join(self) -> None:
        """Be known to the others, and wait a moment for a share of what they have."""
        await in_thread(self._lease.join)
        end = time.monotonic() + _JOIN_S
        await in_thread(self.tick)
        while self._waits() and time.monotonic() < end:
            await asyncio.sleep(TICK_S / 2)
            await in_thread(self.tick)

    def _waits(self) -> bool:
        alive = self._gateway.shares_limits and self._others.alive
        return bool(alive) and any(self._cells.is_empty(key.name) for key in self._keys)

    async def run(self) -> None:
        """Exchange shares until the task is cancelled; at once where a key is new."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.due.wait(), TICK_S)
            self.due.clear()
            with contextlib.suppress(ModelscanError):  # the last shares stay in effect
                await in_thread(self.tick)

    async def leave(self) -> None:
        """Give everything back."""
        uses = {key.name: self._cells.use(key.name) for key in self._cells.shared_keys()}
        with contextlib.suppress(ModelscanError, asyncio.TimeoutError):  # the others notice it
            await asyncio.wait_for(in_thread(self._lease.leave, uses), _LEAVE_S)

    def tick(self) -> None:
        """Exchange shares if something changed. Raises ModelscanError without a database."""
        others = self._lease.others()
        with self._gateway.share_lock:
            self._gateway.shares_limits |= others.any
            keys = self._cells.shared_keys()
        if others.any:
            self._share(keys, others)
        elif self._gateway.shares_limits or keys != self._keys:
            self._have_all(keys)
        self._keys = keys
        if time.monotonic() >= self._beat_at:
            self._lease.beat()
            self._beat_at = time.monotonic() + _BEAT_S

    def _share(self, keys: tuple[SharedKey, ...], others: Others) -> None:
        now = time.monotonic()
        self._cells.measure(keys, max(now - self._ticked_at, TICK_S))
        self._ticked_at = now
        busy = any(not self._cells.use(key.name).idle for key in keys)
        if busy or self._busy or self._is_new(keys, others):
            others, shares = self._lease.exchange(keys, self._cells)
            for name, share in shares.items():
                self._cells.put(name, share)
            self._beat_at = now + _BEAT_S
        self._others, self._busy = others, busy

    def _is_new(self, keys: tuple[SharedKey, ...], others: Others) -> bool:
        before = self._others
        moved = others.alive != before.alive or others.number != before.number
        return moved or bool(others.gone or before.gone) or keys != self._keys

    def _have_all(self, keys: tuple[SharedKey, ...]) -> None:
        """No other gateway is left: every limit is this one's, whole."""
        if self._lease.settle_alone():
            with self._gateway.share_lock:
                self._gateway.shares_limits = False
                for key in (*keys, *self._cells.shared_keys()):
                    self._cells.put(key.name, _WHOLE)
            self._others, self._busy = Others(), True


def limit_shares(gateway: Gateway, address: str) -> LimitShares:
    """The shares of a gateway that starts."""
    from modelscan import __version__

    lease = GatewayLease(gateway.database, address, __version__)
    return LimitShares(gateway, lease, KeyCells(gateway))
