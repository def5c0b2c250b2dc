"""Counters that all workers of one gateway share: rate limits, requests under way, turns, health.

One block of memory is mapped into every process. A counter is a row of cells, one per worker; each
cell has one writer, so that no lock is needed, and a reader sums the row. A limit is kept by
"increment, then sum; over the limit: decrement and refuse": it is never exceeded.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from modelscan.routing import choose

_MAGIC = 0x6D73_636F_756E_7431
_HEADER = struct.Struct("<6q")
_HEADER_CELLS = 8


class BackendState(IntEnum):
    """What the prober observed last; written by the serving process only. Not probed yet: UP.

    ASLEEP: its deployment does not run, and a request may start it.
    """

    UP = choose.UP
    HALF_OPEN = choose.HALF_OPEN
    COOLING = choose.COOLING
    ASLEEP = choose.ASLEEP
    DOWN = choose.DOWN


class BackendRow(IntEnum):
    """The counters of one backend."""

    IN_FLIGHT = 0
    FAILURES = 1
    WAITING = 2


class KeyRow(IntEnum):
    """The counters of one key; MINUTE is the number of the minute that CURRENT counts.

    REFUSED are requests for which this gateway's share of a limit was too small.
    """

    IN_FLIGHT = 0
    MINUTE = 1
    CURRENT = 2
    PREVIOUS = 3
    LAST_USED = 4
    REFUSED = 5


class KeyCap(IntEnum):
    """The part of a key's limit that this gateway may use; written by the serving process only.

    The cell has one more than the number; 0: the whole limit.
    """

    RATE = 0
    CONCURRENT = 1


class GlobalRow(IntEnum):
    """The counters of the whole gateway; HELD_BYTES are request bodies in memory."""

    CONNECTIONS = 0
    HELD_BYTES = 1
    REQUESTS = 2


@dataclass(frozen=True, slots=True)
class CounterSizes:
    """How many rows there are; fixed when the gateway starts."""

    workers: int = 1
    backends: int = 16_384
    keys: int = 4096
    turns: int = 1024

    @property
    def rows(self) -> int:
        """How many rows of counters there are."""
        backends = self.backends * len(BackendRow)
        return backends + self.keys * len(KeyRow) + self.turns + len(GlobalRow)

    @property
    def total_bytes(self) -> int:
        """The size of the block."""
        single = self.backends + self.keys * len(KeyCap)
        return 8 * (_HEADER_CELLS + self.rows * self.workers + single)


class Counters:
    """The mapped block, as a worker (``worker`` 0..n-1) or the serving process (-1) sees it.

    ``cells`` are all numbers; code that runs for each request changes its own ones directly.
    """

    __slots__ = (
        "_caps",
        "_fd",
        "_keys",
        "_map",
        "_overall",
        "_states",
        "_turns",
        "cells",
        "sizes",
        "worker",
    )

    def __init__(self, fd: int, sizes: CounterSizes, worker: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, sizes.total_bytes)
        self.cells = memoryview(self._map).cast("q")
        self.sizes = sizes
        self.worker = worker
        self._keys = _HEADER_CELLS + sizes.backends * len(BackendRow) * sizes.workers
        self._turns = self._keys + sizes.keys * len(KeyRow) * sizes.workers
        self._overall = self._turns + sizes.turns * sizes.workers
        self._states = self._overall + len(GlobalRow) * sizes.workers
        self._caps = self._states + sizes.backends

    @classmethod
    def create(cls, sizes: CounterSizes) -> Counters:
        """A new block, all zero, for the serving process; its descriptor is to be inherited."""
        fd = _anonymous_file()
        os.ftruncate(fd, sizes.total_bytes)
        counters = cls(fd, sizes, -1)
        header = (_MAGIC, sizes.workers, sizes.backends, sizes.keys, sizes.turns, 0)
        counters._map[: _HEADER.size] = _HEADER.pack(*header)
        return counters

    @classmethod
    def attach(cls, fd: int, worker: int) -> Counters:
        """The block behind an inherited descriptor. ValueError: it is not one."""
        magic, *sizes, _ = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
        if magic != _MAGIC:
            raise ValueError("the descriptor is not a block of gateway counters")
        return cls(fd, CounterSizes(*sizes), worker)

    def fileno(self) -> int:
        """The descriptor to inherit."""
        return self._fd

    def close(self) -> None:
        """Unmap the block and close the descriptor."""
        self.cells.release()
        self._map.close()
        os.close(self._fd)

    # Where rows are: the index of the row's first cell.

    def backend(self, slot: int, row: BackendRow) -> int:
        """One kind of row after the other, so that a view over all backends is one slice."""
        if not 0 <= slot < self.sizes.backends:
            raise ValueError(f"backend slot {slot} of {self.sizes.backends}")
        return _HEADER_CELLS + (row * self.sizes.backends + slot) * self.sizes.workers

    def key(self, slot: int, row: KeyRow) -> int:
        """The row of a key."""
        if not 0 <= slot < self.sizes.keys:
            raise ValueError(f"key slot {slot} of {self.sizes.keys}")
        return self._keys + (slot * len(KeyRow) + row) * self.sizes.workers

    def turn(self, slot: int) -> int:
        """The row of a route's turns; several routes may share one."""
        return self._turns + (slot % self.sizes.turns) * self.sizes.workers

    def overall(self, row: GlobalRow) -> int:
        """The row of a counter of the whole gateway."""
        return self._overall + row * self.sizes.workers

    def cap(self, slot: int, cap: KeyCap) -> int:
        """The single cell with this gateway's share of a key's limit."""
        if not 0 <= slot < self.sizes.keys:
            raise ValueError(f"key slot {slot} of {self.sizes.keys}")
        return self._caps + slot * len(KeyCap) + cap

    def set_cap(self, slot: int, cap: KeyCap, share: int | None) -> None:
        """Set the share (None: the whole limit); only the serving process does."""
        self.cells[self.cap(slot, cap)] = 0 if share is None else share + 1

    # Cells. A worker changes only its own one.

    def add(self, at: int, amount: int) -> None:
        """Change this worker's cell."""
        self.cells[at + self.worker] += amount

    def put(self, at: int, value: int) -> None:
        """Set this worker's cell."""
        self.cells[at + self.worker] = value

    def own(self, at: int) -> int:
        """This worker's cell."""
        return self.cells[at + self.worker]

    def of_worker(self, at: int, worker: int) -> int:
        """A worker's cell."""
        return self.cells[at + worker]

    def total(self, at: int) -> int:
        """The sum over the workers."""
        workers = self.sizes.workers
        return self.cells[at] if workers == 1 else sum(self.cells[at : at + workers])

    # Health: one cell per backend, written by the serving process.

    def state(self, slot: int) -> BackendState:
        """The state of a backend."""
        return BackendState(self.cells[self._states + slot])

    def state_number(self, slot: int) -> int:
        """The state as ``routing.choose`` reads it."""
        return self.cells[self._states + slot]

    def set_state(self, slot: int, state: BackendState) -> None:
        """Write the state of a backend; only the serving process does."""
        self.cells[self._states + slot] = state

    def forget_worker(self, worker: int) -> None:
        """Zero what a dead worker had under way; what it counted stays."""
        rows = [self.overall(row) for row in (GlobalRow.CONNECTIONS, GlobalRow.HELD_BYTES)]
        for slot in range(self.sizes.backends):
            rows.append(self.backend(slot, BackendRow.IN_FLIGHT))
            rows.append(self.backend(slot, BackendRow.WAITING))
        rows.extend(self.key(slot, KeyRow.IN_FLIGHT) for slot in range(self.sizes.keys))
        for at in rows:
            self.cells[at + worker] = 0

    def last_used(self, slot: int) -> int:
        """When a key was used last, in UNIX seconds; 0: not since the start."""
        at = self.key(slot, KeyRow.LAST_USED)
        return max(self.cells[at : at + self.sizes.workers])


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("modelscan-counters")
    file, path = tempfile.mkstemp(prefix="modelscan-counters")
    Path(path).unlink()
    return file
