"""``modelscan serve``: the process that owns the port, the workers and the control application.

The control application runs in this process, on its event loop: it needs the state that the
process has anyway, and the workers go on answering while it is busy. Whatever is reported goes to
``report`` as events.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn
from starlette.routing import BaseRoute

from modelscan.core.errors import ModelscanError
from modelscan.core.reach import read_networks
from modelscan.gateway.control.app import ControlApp, Mount
from modelscan.gateway.control.events import EventName, Report, ServeEvent
from modelscan.gateway.control.figures import figures
from modelscan.gateway.control.gateway import Gateway, read
from modelscan.gateway.control.host import control_server, control_socket, stop_signals
from modelscan.gateway.control.listening import ServeOptions, check_exposure, check_tls, listen
from modelscan.gateway.control.models import routable
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.gateway.control.nodes.secret import Sealer
from modelscan.gateway.control.page_key import PageKey, page_key
from modelscan.gateway.control.reassessment import Reassessment
from modelscan.gateway.control.request_log import request_event
from modelscan.gateway.control.shares import limit_shares
from modelscan.gateway.control.status import WorkerStatus
from modelscan.gateway.control.stream.feed import EventFeed
from modelscan.gateway.control.stream.log import EventLog
from modelscan.gateway.control.supervised import PartSupervisor
from modelscan.gateway.control.threads import in_thread
from modelscan.gateway.control.upkeep import Upkeep
from modelscan.gateway.control.wake.effects import DeploymentEffects
from modelscan.gateway.control.wake.waker import Waker
from modelscan.gateway.control.watch import KeyWatch, Watch
from modelscan.gateway.control.worker import WorkerProcess, all_ready, frame
from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.options import Tls, WorkerOptions
from modelscan.gateway.descriptors import raise_descriptor_limit
from modelscan.gateway.metrics.families import MetricFamily
from modelscan.gateway.metrics.otlp import OtlpResource
from modelscan.gateway.metrics.requests import RequestFigures
from modelscan.gateway.snapshot import FromWorker
from modelscan.state.config import Config
from modelscan.state.server.database import open_server
from modelscan.state.server.keys import hash_key
from modelscan.state.server.nodes import NodeStore
from modelscan.traces.contents import ContentStore
from modelscan.traces.retention import receipt_store
from modelscan.traces.writer import ReceiptWriter

if TYPE_CHECKING:
    from modelscan.gateway.control.push import OtlpPush
    from modelscan.gateway.control.span_push import SpanPush

READY_S = 30.0
_TASKS_END_S = 10.0  # after that the process ends without their clean-up


def serve(
    config: Config,
    options: ServeOptions,
    report: Report,
    *,
    extra: Sequence[BaseRoute] = (),
    mounts: Sequence[Mount] = (),
    companion: Companion | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; returns after the drain.

    ``extra`` are further routes of the control application, ``mounts`` parts of it that other rooms
    bring along; ``companion`` runs next to it. Raises
    UsageError for an address, certificate or routing file that cannot be used, and ModelscanError
    where the port is in use or the workers do not start.
    """
    check_tls(options)
    raise_descriptor_limit()
    with ExitStack() as stack:
        database = stack.enter_context(open_server(config))
        watches = Watch(config.routing_file), KeyWatch(database)
        watches[0].changed(())  # before the first reading: a change during the start is noticed
        watches[1].changed()
        loaded = read(config, database)
        check_exposure(options, len(loaded.keys))
        counters = stack.enter_context(
            contextlib.closing(Counters.create(CounterSizes(workers=options.workers)))
        )
        nodes = NodeRegistry(
            NodeStore(database), Sealer(hash_key(database)),
            networks=read_networks(config.node_networks),
        )  # fmt: skip
        nodes.load()
        gateway = Gateway(config, options, database, counters, loaded, nodes)
        gateway.recall(receipt_store(config, database).recent(time.time()))
        listeners = listen(options)
        own_port = listeners[0][0].getsockname()[1]
        nodes.listens(own_port)
        for one in itertools.chain.from_iterable(listeners):
            stack.enter_context(one)
        key = stack.enter_context(page_key(config, own_port)) if options.loopback else None
        process = GatewayProcess(gateway, listeners, watches, report, companion, key)
        asyncio.run(process.run(extra, mounts))


class Companion(Protocol):
    """Something that runs as long as the gateway accepts requests: the agent of a node."""

    async def run(self, gateway: Gateway, url: str) -> None:
        """Run until cancelled; an error ends the gateway."""

    async def leave(self) -> None:
        """The gateway is about to stop: requests still have answers."""


class GatewayProcess:
    """One run of the gateway."""

    def __init__(
        self,
        gateway: Gateway,
        listeners: list[list[socket.socket]],
        watches: tuple[Watch, KeyWatch],
        report: Report,
        companion: Companion | None = None,
        key: PageKey | None = None,
    ) -> None:
        self._page_key = key
        self._gateway = gateway
        self._listeners = listeners
        self._companion = companion
        self._feed = EventFeed(gateway.database)
        self._log = EventLog(gateway.database)
        report = self._log.noting(report)
        self._report = report
        self._workers: list[WorkerProcess] = []
        self._writer = ReceiptWriter(
            receipt_store(gateway.config, gateway.database),
            contents=ContentStore(gateway.database),
        )
        self._shares = limit_shares(gateway, self.url)
        self._supervisor = PartSupervisor(report, gateway.faults)
        note = self._supervisor.note
        self._upkeep = Upkeep(gateway, watches, report, self._publish, self._log, note)
        self._requests = RequestFigures()
        self._push: OtlpPush | None = None
        self._spans: SpanPush | None = None
        if gateway.config.otlp_endpoint:
            from modelscan.gateway.control.collector import CollectorNotes
            from modelscan.gateway.control.push import OtlpPush
            from modelscan.gateway.control.span_push import SpanPush

            notes = CollectorNotes(report)
            self._push = OtlpPush(gateway.config, self.figures, self._resource, notes)
            self._spans = SpanPush(gateway.config, self._resource, notes, report)
        effects = DeploymentEffects(gateway.config)
        self._waker = Waker(gateway, effects, self._publish, self._upkeep.reload, report, note)

    async def run(self, extra: Sequence[BaseRoute], mounts: Sequence[Mount] = ()) -> None:
        """Start everything, serve, and drain."""
        stopped = stop_signals()
        loop = asyncio.get_running_loop()

        def note(error: BaseException) -> None:
            loop.call_soon_threadsafe(self._supervisor.note, "receipts", error)

        self._writer.start(note)
        self._gateway.snapshot()  # gives the keys their rows
        await self._shares.join()
        with control_socket() as (folder, control):
            app = ControlApp(
                self._gateway, self.workers, self._writer, self.figures, self._report, self._feed,
                self._page_key,
            ).build(extra, mounts)  # fmt: skip
            server = control_server(app)
            tasks = [asyncio.create_task(server.serve([control]))]
            try:
                await self._start(folder / "control.sock", tasks)
                self._announce()
                await self._accompanied(stopped, tasks)
            finally:
                await self._end(stopped, tasks, server)
        self._event("stopped", "stopped")

    async def _start(self, control: Path, tasks: list[asyncio.Task[Any]]) -> None:
        """Start the workers; raises ModelscanError if they do not accept connections."""
        gateway = self._gateway
        options = self._worker_options(control)
        await self._waker.step()  # the first snapshot says what is asleep
        snapshot = frame(gateway.snapshot())
        self._workers = [
            WorkerProcess(index, sockets, options, self._received, self._ended, snapshot)
            for index, sockets in enumerate(self._listeners)
        ]
        run = self._supervisor.run
        tasks += [asyncio.create_task(run(f"worker {one.index}", one.run)) for one in self._workers]
        if not await all_ready(self._workers, READY_S):
            raise ModelscanError(
                f"the gateway's workers did not start within {READY_S:g} s",
                hint="modelscan doctor",
                code="workers",
            )
        loops = self._upkeep.loops()
        loops |= {"shares of limits": self._shares.run, "waking": self._waker.run}
        loops |= {"events": self._feed.run, "log of events": self._log.run}
        loops["curated tags"] = Reassessment(gateway, self._report).run
        if self._push is not None:
            loops["sending of metrics"] = self._push.run
        if self._spans is not None:
            loops["sending of spans"] = self._spans.run
        tasks += [asyncio.create_task(run(part, loop)) for part, loop in loops.items()]

    def _worker_options(self, control: Path) -> WorkerOptions:
        """What all workers are started with; each adds its own descriptors."""
        options = self._gateway.options
        cert, ca = options.tls_cert, options.client_ca
        tls = None
        if cert is not None:
            tls = Tls(str(cert), str(options.tls_key or cert), None if ca is None else str(ca))
        return WorkerOptions(
            worker=0,
            listen=(),
            channel=-1,
            counters=self._gateway.counters.fileno(),
            control=str(control),
            tls=tls,
            timing=Timing(drain_s=options.drain_s),
        )

    async def _accompanied(self, stopped: asyncio.Event, tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for a signal next to the companion, which has its last word before the drain."""
        companion = self._companion
        if companion is None:
            await self._until(stopped, tasks)
            return
        task = asyncio.create_task(
            self._supervisor.run(
                "node agent", lambda: companion.run(self._gateway, self.url),
                final=(ModelscanError,),
            )
        )  # fmt: skip
        try:
            await self._until(stopped, [*tasks, task])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await companion.leave()

    async def _until(self, stopped: asyncio.Event, tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for a signal; an error of a task ends the gateway with it."""
        waiting = asyncio.create_task(stopped.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in done - {waiting}:
            task.result()
            raise ModelscanError("a part of the gateway ended", hint="modelscan doctor")

    async def _end(
        self, stopped: asyncio.Event, tasks: list[asyncio.Task[Any]], server: uvicorn.Server
    ) -> None:
        """Let running requests end, then stop; a second signal ends them at once."""
        drain_s = self._gateway.options.drain_s
        self._feed.close()  # readers of events have no last answer to wait for
        flying = sum(worker.process is not None for worker in self._workers)
        if flying:
            self._event("stopping", f"stopping: running requests have up to {drain_s:g} s")
        stopped.clear()
        for worker in self._workers:
            worker.stop()
        ends = asyncio.create_task(self._workers_end())
        again = asyncio.create_task(stopped.wait())
        await asyncio.wait([ends, again], timeout=drain_s + 5, return_when=asyncio.FIRST_COMPLETED)
        for worker in self._workers:
            worker.kill()
        await ends
        again.cancel()
        server.should_exit = True
        await asyncio.wait(tasks[:1], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_TASKS_END_S)
        await in_thread(self._writer.close)
        await self._shares.leave()

    async def _workers_end(self) -> None:
        while any(worker.process is not None for worker in self._workers):
            await asyncio.sleep(0.02)

    # What happens meanwhile

    def _received(self, index: int, message: FromWorker) -> None:
        self._writer.dropped += message.dropped
        if message.contents:
            self._writer.add_texts(message.contents)
            if self._spans is not None:
                self._spans.add_texts(message.contents)
        if message.waiting is not None:
            self._waker.waiting(index, message.waiting)
        if message.receipts:
            self._writer.recorded = self._gateway.loaded.traces.receipts
            self._gateway.runtime.add(message.receipts)
            self._requests.add(message.receipts)
            self._writer.add(message.receipts)
            if self._spans is not None and self._writer.recorded:
                self._spans.add(message.receipts)
            if self._gateway.options.log_requests:
                for receipt in message.receipts:
                    self._report(request_event(receipt))

    def _ended(self, index: int, code: int) -> None:
        self._gateway.counters.forget_worker(index)
        self._waker.waiting(index, ())
        how = f"signal {-code}" if code < 0 else f"status {code}"
        self._event("worker", f"worker {index} ended ({how}); starting it again",
                    worker=index, status=code)  # fmt: skip

    def _publish(self) -> None:
        """Send the workers the new state."""
        snapshot = frame(self._gateway.snapshot())
        for worker in self._workers:
            worker.send(snapshot)
        self._shares.due.set()

    # What is reported

    def workers(self) -> tuple[WorkerStatus, ...]:
        """The state of the worker processes."""
        return tuple(WorkerStatus(w.index, w.ready.is_set(), w.restarts) for w in self._workers)

    def figures(self) -> Iterator[MetricFamily]:
        """Every metric with its value now."""
        return figures(self._gateway, self._requests, self.workers(), self._writer)

    def _resource(self) -> OtlpResource:
        from modelscan import __version__

        gateway = self._gateway
        engines = {one.name: one.engine for one in gateway.table.backends if one.engine}
        port = self._listeners[0][0].getsockname()[1]
        instance = f"{socket.gethostname()}:{port}"
        return OtlpResource(__version__, instance, gateway.started_at, engines)

    @property
    def url(self) -> str:
        """The gateway's root, as a client of this machine writes it."""
        return self._gateway.options.url(self._listeners[0][0].getsockname()[1])

    def _announce(self) -> None:
        gateway = self._gateway
        options = gateway.options
        keys = len(gateway.loaded.keys)
        access = f"{keys} key{'s' * (keys != 1)}" if keys else "no keys, this machine only"
        count = f"{options.workers} worker{'s' * (options.workers != 1)}"
        self._event(
            "ready", f"modelscan serves {self.url}/v1 ({count}, {access})",
            url=self.url, workers=options.workers, keys=keys, exposed=not options.loopback,
            routes=[entry.name for entry in routable(gateway)],
        )  # fmt: skip
        if not options.loopback and options.tls_cert is None:
            self._event("warning", "requests and keys are not encrypted: add --tls-cert FILE")
        self._upkeep.warn_missing(())

    def _event(self, name: EventName, text: str, **values: Any) -> None:
        self._report(ServeEvent(name, text, values))
