"""One worker: what its connections share, its snapshots, its deadlines, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from typing import cast

import msgspec

from modelscan.core.receipt import Receipt
from modelscan.gateway.counters import BackendRow, Counters, GlobalRow
from modelscan.gateway.data import admission, listener
from modelscan.gateway.data.channel import Channel
from modelscan.gateway.data.client import ClientConnection
from modelscan.gateway.data.content import kept_content
from modelscan.gateway.data.control import control_route
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.exchange import Exchange
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.options import WorkerOptions
from modelscan.gateway.data.parts import ClientSide
from modelscan.gateway.data.queues import Queues
from modelscan.gateway.data.receipts import Receipts
from modelscan.gateway.data.record import receipt_of, refusal_receipt
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.reuse import ReusableAnswers
from modelscan.gateway.data.state import (
    GatewayState,
    LiveBackend,
    LiveKey,
    LiveRoute,
    StateBuilder,
    close_unused,
)
from modelscan.gateway.data.waking import Waking
from modelscan.gateway.data.writes import Writes
from modelscan.gateway.descriptors import raise_descriptor_limit
from modelscan.gateway.snapshot import FromWorker, WaitingForWake
from modelscan.routing.table import Backend

_POLL_S = 0.01


class Worker:
    """``now`` and ``wall`` are the loop's and the UNIX time of the last sweep."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: WorkerOptions) -> None:
        self.loop = loop
        self.options = options
        self.timing = options.timing
        self.counters = Counters.attach(options.counters, options.worker)
        self.queues = Queues(self.counters)
        self.waking = Waking(self.counters, self._report_waiting, loop.call_soon, time.time)
        self.receipts = Receipts(self._send_receipts)
        self.reusable = ReusableAnswers()
        self.stopping = False
        self.now, self.wall = loop.time(), time.time()
        self.state: GatewayState
        self.control: LiveRoute | None = None
        self.writes = Writes(loop)
        self._builder = StateBuilder(loop, self.counters, options.timing, self.writes)
        self._clients: set[ClientConnection] = set()
        self._channel = Channel(self._apply, self.stop)
        self._building = False
        self._next_snapshot: bytes | None = None
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._trace_prefix = os.urandom(12).hex()
        self._traced = 0
        self._polling = False
        counters = self.counters
        self._connections = counters.overall(GlobalRow.CONNECTIONS)
        self._held = counters.overall(GlobalRow.HELD_BYTES)
        self._requests = counters.overall(GlobalRow.REQUESTS) + counters.worker

    # Snapshots

    def _apply(self, snapshot: bytes) -> None:
        """A snapshot arrived: a large one is put in use while requests go on. Of several that
        arrive meanwhile the last one counts."""
        if not self._ready.is_set():
            self._use(self._builder.build(snapshot, None), None)
        elif self._building:
            self._next_snapshot = snapshot
        else:
            self._building = True
            self._build(self._builder.steps(snapshot, self.state))

    def _build(self, steps: Iterator[GatewayState | None]) -> None:
        state = next(steps)
        if state is None:
            self.loop.call_soon(self._build, steps)
            return
        self._building = False
        self._use(state, self.state)
        if self._next_snapshot is not None:
            snapshot, self._next_snapshot = self._next_snapshot, None
            self._apply(snapshot)

    def _use(self, state: GatewayState, before: GatewayState | None) -> None:
        self.state = state
        self.reusable.clear()
        self._ready.set()
        if before is not None:
            close_unused(before, self.state)
            self._channel.send(FromWorker(True, self.state.revision))
            if self.waking:
                self.waking.apply(self.state)

    def live_backend(self, spec: Backend) -> LiveBackend:
        """A backend outside the table, in the last slot."""
        return self._builder.backend(spec, self.counters.sizes.backends - 1, 5.0)

    def same_key(self, facts: HeadFacts) -> LiveKey | None:
        """The key of a head that was read before the last snapshot. Raises RefusedError."""
        if facts.key is None or self.state.open:
            return None
        key = self.state.keys.get(facts.key.key.digest)
        if key is None:
            raise RefusedError(Cause.WRONG_KEY, "the key is not valid any more")
        return key

    # Connections

    def client_arrived(self, client: ClientConnection) -> bool:
        """Count a connection; False: there are too many."""
        self._clients.add(client)
        self.counters.add(self._connections, 1)
        most = self.state.limits.max_connections
        return self.counters.total(self._connections) <= most

    def client_left(self, client: ClientConnection) -> None:
        """A connection is closed."""
        self._clients.discard(client)
        self.counters.add(self._connections, -1)

    def hold(self, count: int) -> None:
        """Count bytes of request bodies in memory. Raises RefusedError over the limit."""
        self.counters.add(self._held, count)
        if count > 0 and self.counters.total(self._held) > self.state.limits.max_held_bytes:
            text = "the bodies of all requests exceed the gateway's memory limit"
            raise RefusedError(Cause.MEMORY, text, retry_after=1)

    def release(self, count: int) -> None:
        """Bytes of request bodies are not in memory any more."""
        self.counters.add(self._held, -count)

    def reset_on_close(self, transport: asyncio.Transport) -> None:
        """End a connection by a reset: for an answer whose end is the connection's end."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # Exchanges

    def exchange_begins(self, exchange: Exchange) -> None:
        """Count a request."""
        self.counters.cells[self._requests] += 1

    def exchange_over(self, exchange: Exchange) -> None:
        """A request is over: count, and write its receipt."""
        if exchange.plan.recorded:
            if exchange.plan.key is not None:
                admission.leave(self.counters, exchange.plan.key)
            receipt = receipt_of(exchange, exchange.request.trace_id, self.wall)
            self.receipts.add(receipt)
            if exchange.plan.keeps_content:
                self._send_content(receipt, exchange)

    def refused(self, client: ClientSide, request: ClientRequest, refusal: RefusedError) -> None:
        """A request to a model that was refused before a backend was chosen."""
        if request.operation is not None:
            receipt = refusal_receipt(request, refusal, request.trace_id, self.wall, client.address)
            self.receipts.add(receipt)

    def trace_id(self) -> str:
        """An identifier that no other request has."""
        self._traced += 1
        return f"{self._trace_prefix}{self._traced:08x}"

    def count_failure(self, backend: LiveBackend) -> None:
        """Count a failed attempt."""
        self.counters.add(self.counters.backend(backend.slot, BackendRow.FAILURES), 1)

    def poll_queues(self) -> None:
        """Look from time to time whether another worker made a place free."""
        if not self._polling and self.counters.sizes.workers > 1:
            self._polling = True
            self.loop.call_later(_POLL_S, self._poll)

    def _report_waiting(self, waiting: tuple[WaitingForWake, ...]) -> bool:
        return self._channel.send(FromWorker(True, self.state.revision, waiting=waiting))

    def _poll(self) -> None:
        self._polling = False
        self.queues.poll()
        if self.queues:
            self.poll_queues()

    # Receipts and deadlines

    def _send_receipts(self, receipts: tuple[msgspec.Raw, ...], dropped: int) -> bool:
        encoded = cast(tuple[Receipt, ...], receipts)  # the same bytes as of the receipts
        return self._channel.send(FromWorker(True, self.state.revision, encoded, dropped))

    def _send_content(self, receipt: Receipt, exchange: Exchange) -> None:
        tail = None if exchange.answer is None else exchange.answer.tail
        content = kept_content(receipt, exchange.request.body, tail)
        self._channel.send(FromWorker(True, self.state.revision, contents=(content,)))

    def _sweep(self) -> None:
        self.now = now = self.loop.time()
        self.wall = time.time()
        for client in tuple(self._clients):
            client.sweep(now)
        self.state.refresh_health(self.counters, now)
        for backend in self.state.backends:
            backend.pool.sweep(now)
        if self.control is not None:
            self.control.backends[0].pool.sweep(now)
        self.receipts.flush()
        if self.waking.unsent:
            self.waking.send()
        self.loop.call_later(self.timing.sweep_s, self._sweep)

    def _renew(self, tls: listener.ServerTls) -> None:
        """Use renewed certificates, without a restart."""
        tls.renew()
        self.loop.call_later(self.timing.renew_s, self._renew, tls)

    # Life

    def stop(self) -> None:
        """Take no more connections, finish what is at work."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until SIGTERM or the end of the serving process."""
        raise_descriptor_limit()
        self.loop.add_signal_handler(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the serving process
        sock = socket.socket(fileno=self.options.channel)
        await self.loop.connect_accepted_socket(lambda: self._channel, sock)
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ready, self._stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.is_set():
            await self._serve()
        for wait in waits:
            wait.cancel()

    async def _serve(self) -> None:
        if self.options.control is not None:
            self.control = control_route(self, self.options.control)
        tls = None if self.options.tls is None else listener.ServerTls(self.options.tls)
        servers = await listener.accept(
            self.loop, lambda: ClientConnection(self), self.options.listen, tls
        )
        if tls is not None:
            self._renew(tls)
        self._sweep()
        self._channel.send(FromWorker(True, self.state.revision))
        await self._stop.wait()
        self.stopping = True
        for server in servers:
            server.close()
        await self._drain()

    async def _drain(self) -> None:
        """Idle connections close now, the others with their answer, at most ``drain_s`` long."""
        self.waking.refuse_all()
        for client in tuple(self._clients):
            client.close_if_idle()
        end = self.loop.time() + self.timing.drain_s
        while self._clients and self.loop.time() < end:
            await asyncio.sleep(0.02)
        for client in tuple(self._clients):
            client.transport.abort()
        await asyncio.sleep(0)
        self.receipts.flush()
        await self._channel.close()
