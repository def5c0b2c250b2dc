"""A serving process in small: opens sockets, starts real workers, sends snapshots, reads receipts."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from modelscan.core.access import key_digest
from modelscan.core.receipt import Receipt
from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data.channel import frame
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.listener import open_sockets
from modelscan.gateway.data.options import Tls, WorkerOptions
from modelscan.gateway.snapshot import Access, FromWorker, Key, Snapshot, WaitingForWake
from modelscan.routing.table import Backend, GatewayLimits, RouteCandidate, RouteEntry, RouteTable

HASH_KEY = hashlib.sha256(b"tests").digest()
TOKEN = "sk-ms-1"
DEADLINE_S = 60.0
_decode = msgspec.msgpack.Decoder(FromWorker).decode


def key(token: str = TOKEN, name: str = "key1", slot: int = 0, **fields: object) -> Key:
    """A key with the scope infer."""
    digest = key_digest(token.encode(), HASH_KEY)
    return replace(Key(name, digest, ("infer",), slot), **fields)  # type: ignore[arg-type]


def access(*keys: Key, **fields: object) -> Access:
    return replace(Access(keys, HASH_KEY, None), **fields)  # type: ignore[arg-type]


def backend(name: str, port: int, **fields: object) -> Backend:
    return replace(Backend(name, "http", "127.0.0.1", port), **fields)  # type: ignore[arg-type]


def route(name: str, *candidates: int | RouteCandidate, **fields: object) -> RouteEntry:
    found = tuple(c if isinstance(c, RouteCandidate) else RouteCandidate(c) for c in candidates)
    entry = RouteEntry(name, "model", None, "least_loaded", found)
    return replace(entry, **fields)  # type: ignore[arg-type]


def table(
    backends: Sequence[Backend], *routes: RouteEntry, revision: int = 1, **fields: object
) -> RouteTable:
    entries = {entry.name: entry for entry in routes}
    made = RouteTable(revision, tuple(backends), entries, None, GatewayLimits())
    return replace(made, **fields)  # type: ignore[arg-type]


class Gateway:
    """Workers that run. ``receipts`` grows as they report."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        workers: int = 1,
        control: str | None = None,
        tls: Tls | None = None,
        timing: Timing | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.snapshot = snapshot
        self.counters = Counters.create(
            CounterSizes(workers=workers, backends=64, keys=64, turns=64)
        )
        self.receipts: list[Receipt] = []
        self.revisions: dict[int, int] = {}
        self.waiting: dict[int, tuple[WaitingForWake, ...]] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        self._channels: list[socket.socket] = []
        self._news = threading.Condition()
        self._readers: list[threading.Thread] = []
        sockets = open_sockets(host, port, workers)
        self.port: int = sockets[0][0].getsockname()[1]
        for worker, listening in enumerate(sockets):
            self._start(worker, listening, control, tls, timing or Timing())
        for listening in sockets:
            for one in listening:
                one.close()
        self.wait_for(lambda: len(self.revisions) == workers)

    def _start(
        self,
        worker: int,
        listening: list[socket.socket],
        control: str | None,
        tls: Tls | None,
        timing: Timing,
    ) -> None:
        mine, other = socket.socketpair()
        descriptors = tuple(one.fileno() for one in listening)
        options = WorkerOptions(
            worker, descriptors, other.fileno(), self.counters.fileno(), control, tls, timing
        )
        command = [sys.executable, "-m", "modelscan.gateway.data", *options.arguments()]
        self.processes.append(
            subprocess.Popen(command, pass_fds=options.descriptors(), env=_environment())
        )
        other.close()
        self._channels.append(mine)
        mine.sendall(frame(self.snapshot))
        reader = threading.Thread(target=self._read, args=(worker, mine), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, worker: int, channel: socket.socket) -> None:
        with channel.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                message = _decode(stream.read(int.from_bytes(size, "big")))
                with self._news:
                    if message.revision is not None:
                        self.revisions[worker] = message.revision
                    self.receipts.extend(message.receipts)
                    if message.waiting is not None:
                        self.waiting[worker] = message.waiting
                    self._news.notify_all()

    def wait_for(self, condition: object, timeout_s: float = DEADLINE_S) -> None:
        """Until a condition over what the workers reported, or over the counters, is true."""
        end = time.monotonic() + timeout_s
        with self._news:
            while not condition():  # type: ignore[operator]
                left = end - time.monotonic()
                if left < 0:  # a deadline that ends a hang
                    raise AssertionError(f"not reached: {self.revisions} {self.receipts[-3:]}")
                for process in self.processes:
                    assert process.poll() is None, f"a worker ended: {process.returncode}"
                self._news.wait(min(0.02, left))

    def send(self, snapshot: Snapshot) -> None:
        """Another snapshot, in use when this returns."""
        self.snapshot = snapshot
        for channel in self._channels:
            channel.sendall(frame(snapshot))
        revision = snapshot.table.revision
        self.wait_for(lambda: all(found == revision for found in self.revisions.values()))

    def hang_up(self) -> None:
        """As if the serving process had ended."""
        for channel in self._channels:
            channel.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """SIGTERM, then the end."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(DEADLINE_S)

    def kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.kill()
            for reader in self._readers:
                reader.join()
            for channel in self._channels:
                channel.close()
            self.counters.close()


def _environment() -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent.parent
    return {**os.environ, "PYTHONPATH": str(root)}
