"""Receipts on their way to the serving process: batches, bounded, never waiting for a disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from modelscan.core.receipt import Receipt
from modelscan.gateway.data.limits import BATCH, MAX_RECEIPTS

Send = Callable[[tuple[Receipt, ...], int], bool]


class Receipts:
    """``send`` gets a batch and the number of dropped ones; False: the reader is behind."""

    __slots__ = ("_dropped", "_rows", "_send")

    def __init__(self, send: Send) -> None:
        self._rows: deque[Receipt] = deque()
        self._dropped = 0
        self._send = send

    def add(self, receipt: Receipt) -> None:
        """Keep a receipt until it is sent; the oldest one is dropped if there are too many."""
        rows = self._rows
        rows.append(receipt)
        if len(rows) >= BATCH and not len(rows) % BATCH:
            self.flush()
        if len(rows) > MAX_RECEIPTS:
            rows.popleft()
            self._dropped += 1

    def flush(self) -> None:
        """Send what there is, in batches."""
        rows = self._rows
        while rows:
            batch = tuple(rows.popleft() for _ in range(min(BATCH, len(rows))))
            if not self._send(batch, self._dropped):
                rows.extendleft(reversed(batch))
                return
            self._dropped = 0

    def __len__(self) -> int:
        return len(self._rows)
