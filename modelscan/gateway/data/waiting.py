"""Requests that wait for a full backend: each key gets its turn, however many one of them sends."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Protocol


class Waiter(Protocol):
    """A request that waits."""

    def start(self, backend: Room) -> None:
        """Its turn has come, and its request is counted as under way at the backend."""

    def choose_again(self) -> None:
        """Its backend is no longer in the table."""


class Room(Protocol):
    """A backend: ``take`` counts one more request under way, or says that it is full."""

    def take(self) -> bool:
        """Count one more request under way; False: the backend is full."""


class WaitingRequests:
    """The queue of one backend in one worker: round robin over keys, in order within a key."""

    __slots__ = ("_by_key", "_count")

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, waiter: Waiter) -> None:
        """The last one of its key's line."""
        self._by_key.setdefault(key, deque()).append(waiter)
        self._count += 1

    def remove(self, key: str, waiter: Waiter) -> None:
        """A request that no longer waits: its client left, or it waited for too long."""
        line = self._by_key.get(key)
        if line is None or waiter not in line:
            return
        line.remove(waiter)
        self._count -= 1
        if not line:
            del self._by_key[key]

    def start_next(self, backend: Room) -> None:
        """Start requests while the backend has room."""
        while self._count and backend.take():
            self._pop().start(backend)

    def start_all(self) -> None:
        """The backend is no longer in the table: every request chooses again."""
        while self._count:
            self._pop().choose_again()

    def _pop(self) -> Waiter:
        key, line = next(iter(self._by_key.items()))
        waiter = line.popleft()
        self._count -= 1
        if line:
            self._by_key.move_to_end(key)
        else:
            del self._by_key[key]
        return waiter
