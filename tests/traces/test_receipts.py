"""Receipts: stored, bounded, and never a reason to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import msgspec
import pytest

from modelscan.core.errors import ModelscanError
from modelscan.core.receipt import KeptContent, Receipt
from modelscan.state.server.database import ServerDatabase
from modelscan.traces import store as stores
from modelscan.traces.store import ReceiptStore
from modelscan.traces.writer import ReceiptWriter


def receipt(number: int, at: float = 1000.0) -> Receipt:
    return Receipt(f"{number:032x}", at, "chat", "coder", reasons=("alias", "only backend"),
                   status=200, stream=True, ttft_s=0.5, input_tokens=3)  # fmt: skip


@pytest.fixture
def store(server_database: ServerDatabase) -> ReceiptStore:
    return ReceiptStore(server_database)


def test_what_is_written_is_read(store: ReceiptStore) -> None:
    store.write([receipt(1), receipt(2)])
    assert store.newest(5) == [receipt(2), receipt(1)]
    assert store.find(f"{1:032x}") == receipt(1)
    assert store.find("f" * 32) is None


def test_rows_of_this_release_stay_readable() -> None:
    """A receipt is stored as an array: a new field comes last and has a default."""
    assert Receipt.__struct_fields__[29:36] == (
        "left_hosts", "left_kinds", "tools", "choice", "depth", "window_tokens", "window_source",
    )  # fmt: skip
    old = msgspec.msgpack.encode(msgspec.structs.astuple(receipt(1))[:29])
    assert msgspec.msgpack.decode(old, type=Receipt) == receipt(1)
    assert Receipt.__struct_fields__[:29] == (
        "trace_id", "at", "operation", "requested_model", "route", "role", "reasons",
        "served_model", "backend", "host", "tier", "status", "error", "stream", "ttft_s",
        "duration_s", "queue_s", "input_tokens", "output_tokens", "cached_tokens",
        "reasoning_tokens", "finish_reason", "retries", "fallback_from", "key", "client",
        "bytes_in", "bytes_out", "left_machine_bytes",
    )  # fmt: skip


def test_old_receipts_go_by_age_and_by_size(
    store: ReceiptStore, server_database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([receipt(n, at=float(n)) for n in range(100)])
    assert store.prune(now=stores.KEEP_S + 40) == 40
    monkeypatch.setattr(stores, "DELETED_AT_ONCE", 50)
    assert ReceiptStore(server_database, keep_bytes=1).prune(now=0.0) == 50
    assert [one.at for one in store.newest(99)] == [float(n) for n in range(99, 89, -1)]


class StuckStore:
    """A disk that does not answer, then one that is full, then a good one."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.failures = 1
        self.rows: list[Receipt] = []

    def write(self, batch: Sequence[Receipt], recorded: bool) -> None:
        self.go.wait()
        if self.failures:
            self.failures -= 1
            raise ModelscanError("no space is left")
        self.rows += batch

    def prune(self, now: float) -> int:
        return 0


def test_a_stuck_disk_drops_the_oldest_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscan.traces.writer._RETRY_S", 0.01)
    disk = StuckStore()
    writer = ReceiptWriter(disk, most_waiting=10)  # type: ignore[arg-type]
    writer.start()
    for number in range(25):
        writer.add([receipt(number)])
    assert writer.dropped == 15
    disk.go.set()
    assert writer.flush(30)
    writer.close()
    assert disk.rows[-1] == receipt(24)
    assert (writer.error, len({one.trace_id for one in disk.rows})) == (None, len(disk.rows))


class FailingOnce:
    """A store of texts, or of receipts when it deletes, that fails the first time."""

    def __init__(self) -> None:
        self.failed = False
        self.texts: list[KeptContent] = []

    def fail(self) -> None:
        if not self.failed:
            self.failed = True
            raise ModelscanError("the database is busy")

    def write(self, texts: Sequence[KeptContent]) -> None:
        self.fail()
        self.texts += texts


def test_what_fails_after_the_receipts_does_not_store_them_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither texts nor the deletion of old rows; and the texts are written with the next ones."""
    monkeypatch.setattr("modelscan.traces.writer._RETRY_S", 0.01)
    monkeypatch.setattr("modelscan.traces.writer._PRUNE_EVERY_S", 0.0)
    disk, contents, deletion = StuckStore(), FailingOnce(), FailingOnce()
    disk.failures = 0
    disk.go.set()
    monkeypatch.setattr(disk, "prune", lambda _: deletion.fail() or 0)
    writer = ReceiptWriter(disk, contents=contents)  # type: ignore[arg-type]
    writer.start()
    kept = [KeptContent(f"{n:032x}", 1.0, b"?", b"!") for n in range(3)]
    for number, text in enumerate(kept):
        writer.add_texts([text])
        writer.add([receipt(number)])
        assert writer.flush(30)
    writer.close(30)
    assert disk.rows == [receipt(number) for number in range(3)]
    assert contents.failed and deletion.failed and contents.texts == kept


def test_a_receipt_that_no_database_takes_is_dropped_alone(store: ReceiptStore) -> None:
    """A number of more than 64 bits, for example: those behind it are written."""
    first, last = (receipt(number, time.time()) for number in (0, 2))
    huge = msgspec.structs.replace(first, input_tokens=2**63, key="k")
    with pytest.raises(ModelscanError) as caught:
        store.write([huge])
    assert caught.value.code == "unstorable"
    writer = ReceiptWriter(store)
    errors: list[BaseException] = []
    writer.start(errors.append)
    writer.add([first, huge, last])
    assert writer.flush(60)
    writer.close(60)
    assert store.newest(5) == [last, first]
    assert (writer.written, writer.dropped, errors) == (2, 1, [])


class FaultyStore(StuckStore):
    """A store with a fault of its own, once; and it refuses one receipt always."""

    def write(self, batch: Sequence[Receipt], recorded: bool) -> None:
        if receipt(1) in batch:
            raise ZeroDivisionError("one")
        self.rows += batch

    def prune(self, now: float) -> int:
        if self.failures:
            self.failures -= 1
            raise KeyError("once")
        return 0


def test_errors_of_this_program_do_not_end_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscan.traces.writer._RETRY_S", 0.01)
    disk, errors = FaultyStore(), list[BaseException]()
    writer = ReceiptWriter(disk)  # type: ignore[arg-type]
    writer.start(errors.append)
    writer.add([receipt(number) for number in range(3)])
    assert writer.flush(60)
    writer.add([receipt(3)])
    assert writer.flush(60)
    writer.close(60)
    assert disk.rows == [receipt(0), receipt(2), receipt(3)]
    assert {type(one) for one in errors} == {ZeroDivisionError, KeyError}
    assert (writer.written, writer.dropped) == (3, 1)
