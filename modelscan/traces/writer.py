"""The thread that writes receipts: a stuck disk costs receipts, never requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from modelscan.core.errors import ModelscanError
from modelscan.core.receipt import KeptContent, Receipt
from modelscan.state.server.failures import UNSTORABLE
from modelscan.traces.contents import ContentStore
from modelscan.traces.store import DELETED_AT_ONCE, ReceiptStore

MOST_WAITING = 50_000
MOST_TEXTS = 100
BATCH = 2_000
_PRUNE_EVERY_S = 60.0
_RETRY_S = 1.0
_GATHER_S = 0.5


class ReceiptWriter:
    """Takes receipts from the event loop and writes them in its own thread."""

    def __init__(
        self,
        store: ReceiptStore,
        most_waiting: int = MOST_WAITING,
        contents: ContentStore | None = None,
    ) -> None:
        """``contents``: where texts are written of requests that are kept by choice."""
        self._store = store
        self._contents = contents
        self._texts: deque[KeptContent] = deque(maxlen=MOST_TEXTS)
        self.recorded = True
        self._waiting: deque[Receipt] = deque()
        self._most = most_waiting
        self._change = threading.Condition()
        self._closing = False
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self, on_error: Callable[[BaseException], None] = lambda _: None) -> None:
        """Start the thread; it calls ``on_error`` with an error that is none of the database's."""
        self._on_error = on_error
        self._thread.start()

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Queue receipts; the oldest ones are dropped, and counted, where too many wait."""
        with self._change:
            self._waiting.extend(receipts)
            while len(self._waiting) > self._most:
                self._waiting.popleft()
                self.dropped += 1
            self._change.notify()

    def add_texts(self, texts: Sequence[KeptContent]) -> None:
        """Queue texts; they are written with the next receipts."""
        with self._change:
            self._texts.extend(texts)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, for at most ``timeout_s``, and end the thread."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits; False after ``timeout_s``."""
        with self._change:
            return self._change.wait_for(lambda: not self._waiting, timeout_s)

    def _run(self) -> None:
        prune_at = 0.0
        while True:
            batch = self._batch()
            if not batch:
                return
            try:
                self._write(batch)
                self._write_texts()
                if time.monotonic() >= prune_at:
                    all_gone = self._store.prune(time.time()) < DELETED_AT_ONCE
                    prune_at = time.monotonic() + (_PRUNE_EVERY_S if all_gone else 0.0)
            except ModelscanError as error:
                self.error = error.message
                if self._closing:
                    return
                time.sleep(_RETRY_S)
            except Exception as error:  # noqa: BLE001 - reported; this thread must not end
                self.error = f"{type(error).__name__}: {error}"
                self._on_error(error)
                time.sleep(_RETRY_S)
            else:
                self.error = None

    def _write(self, batch: list[Receipt]) -> None:
        """Store a batch. Receipts that cannot be stored are dropped, and counted: those behind
        them must not wait for ever. Raises ModelscanError without a database."""
        try:
            self._store.write(batch, self.recorded)
        except ModelscanError as error:
            if error.code != UNSTORABLE:
                raise
            self._write_each(batch)
        except Exception as error:  # noqa: BLE001 - a row that no database takes
            self._on_error(error)
            self._write_each(batch)
        else:
            self._take_out(
                batch, stored=True
            )  # what fails after this must not store them a second time

    def _write_each(self, batch: list[Receipt]) -> None:
        for receipt in batch:
            try:
                self._store.write([receipt], self.recorded)
            except ModelscanError as error:
                if error.code != UNSTORABLE:
                    raise
                self._take_out([receipt], stored=False)
            except Exception as error:  # noqa: BLE001 - a row that no database takes
                self._on_error(error)
                self._take_out([receipt], stored=False)
            else:
                self._take_out([receipt], stored=True)

    def _write_texts(self) -> None:
        with self._change:
            texts = list(self._texts)
        if texts and self._contents is not None:
            self._contents.write(texts)
            with self._change:
                for text in texts:  # some may have been dropped meanwhile
                    if self._texts and self._texts[0] is text:
                        self._texts.popleft()

    def _batch(self) -> list[Receipt]:
        """The oldest receipts that wait; they stay queued until they are written."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            # A transaction costs as much as hundreds of rows: a short wait makes fewer of them.
            self._change.wait_for(lambda: len(self._waiting) >= BATCH or self._closing, _GATHER_S)
            return [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]

    def _take_out(self, batch: list[Receipt], *, stored: bool) -> None:
        """They wait no more."""
        with self._change:
            for receipt in batch:  # some may have been dropped meanwhile
                if self._waiting and self._waiting[0] is receipt:
                    self._waiting.popleft()
            self.written += len(batch) if stored else 0
            self.dropped += 0 if stored else len(batch)
            self._change.notify_all()
