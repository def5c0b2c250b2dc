"""``modelscan serve``: the process that owns the port, the workers and the control application.

The control application runs in this process, on its event loop: it needs the state that the
process has anyway, and the workers go on answering while it is busy. Whatever is reported goes to
``report`` as events.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import uvicorn
from starlette.routing import BaseRoute

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.app import ControlApp
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway, GatewayInputs, read, sentence, spent_budgets
from modelscan.gateway.control.listening import ServeOptions, check_exposure, check_tls, listen
from modelscan.gateway.control.prober import HealthChange, Prober
from modelscan.gateway.control.status import WorkerStatus
from modelscan.gateway.control.watch import TICK_S, Watch
from modelscan.gateway.control.worker import WorkerProcess, all_ready, frame
from modelscan.gateway.counters import Counters, Sizes
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.options import Tls, WorkerOptions
from modelscan.gateway.snapshot import FromWorker
from modelscan.state.config import Config
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyStore
from modelscan.traces.store import ReceiptStore
from modelscan.traces.writer import ReceiptWriter

READY_S = 30.0
_SCORES_EVERY_S = 15.0
_BUDGETS_EVERY_S = 1.0

EventName = Literal[
    "ready", "reloaded", "invalid", "backend", "worker", "stopping", "stopped", "warning"
]


@dataclass(frozen=True, slots=True)
class ServeEvent:
    """Something that happened, as a sentence and as values for scripts."""

    name: EventName
    text: str
    values: dict[str, Any] = field(default_factory=dict)


Report = Callable[[ServeEvent], None]


def serve(
    config: Config,
    options: ServeOptions,
    report: Report,
    *,
    extra: Sequence[BaseRoute] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; returns after the drain.

    ``extra`` are further routes of the control application. Raises UsageError for an address,
    certificate or routing file that cannot be used, and ModelscanError where the port is in use or
    the workers do not start.
    """
    check_tls(options)
    with ExitStack() as stack:
        database = stack.enter_context(ServerDatabase.open(config.paths.state))
        loaded = read(config, database)
        check_exposure(options, len(loaded.keys))
        counters = stack.enter_context(
            contextlib.closing(Counters.create(Sizes(workers=options.workers)))
        )
        gateway = Gateway(config, options, database, counters, loaded)
        listeners = listen(options)
        for one in itertools.chain.from_iterable(listeners):
            stack.enter_context(one)
        serving = GatewayProcess(gateway, listeners, report)
        asyncio.run(serving.run(extra))


class GatewayProcess:
    """One run of the gateway."""

    def __init__(
        self, gateway: Gateway, listeners: list[list[socket.socket]], report: Report
    ) -> None:
        self._gateway = gateway
        self._listeners = listeners
        self._report = report
        self._workers: list[WorkerProcess] = []
        self._writer = ReceiptWriter(ReceiptStore(gateway.database))
        self._refused: tuple[str, ...] = ()
        self._scored = 0

    async def run(self, extra: Sequence[BaseRoute]) -> None:
        """Start everything, serve, and drain."""
        stopped = _stop_signals()
        self._writer.start()
        with _control_socket() as (folder, control):
            app = ControlApp(self._gateway, self.workers, self._writer).build(extra)
            server = _uvicorn(app)
            tasks = [asyncio.create_task(server.serve([control]))]
            try:
                await self._start(folder / "control.sock", tasks)
                self._announce()
                await self._until(stopped, tasks)
            finally:
                await self._end(stopped, tasks, server)
        self._event("stopped", "stopped")

    async def _start(self, control: Path, tasks: list[asyncio.Task[Any]]) -> None:
        """Start the workers; raises ModelscanError if they do not accept connections."""
        gateway = self._gateway
        options = self._worker_options(control)
        snapshot = frame(gateway.snapshot())
        self._workers = [
            WorkerProcess(index, sockets, options, self._received, self._ended, snapshot)
            for index, sockets in enumerate(self._listeners)
        ]
        tasks += [asyncio.create_task(worker.run()) for worker in self._workers]
        if not await all_ready(self._workers, READY_S):
            raise ModelscanError(
                f"the gateway's workers did not start within {READY_S:g} s",
                hint="modelscan doctor",
                code="workers",
            )
        prober = Prober(gateway, self._health_changed)
        tasks += [asyncio.create_task(one) for one in (prober.run(), self._watch(), self._tidy())]

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

    async def _until(self, stopped: asyncio.Event, tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for a signal; an error of a task ends the gateway with it."""
        waiting = asyncio.create_task(stopped.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in done - {waiting}:
            task.result()

    async def _end(
        self, stopped: asyncio.Event, tasks: list[asyncio.Task[Any]], server: uvicorn.Server
    ) -> None:
        """Let running requests end, then stop; a second signal ends them at once."""
        drain_s = self._gateway.options.drain_s
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
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._writer.close)

    async def _workers_end(self) -> None:
        while any(worker.process is not None for worker in self._workers):
            await asyncio.sleep(0.02)

    # What happens meanwhile

    def _received(self, index: int, message: FromWorker) -> None:
        self._writer.dropped += message.dropped
        if message.receipts:
            self._gateway.runtime.add(message.receipts)
            self._writer.add(message.receipts)

    def _ended(self, index: int, code: int) -> None:
        self._gateway.counters.forget_worker(index)
        how = f"signal {-code}" if code < 0 else f"status {code}"
        self._event("worker", f"worker {index} ended ({how}); starting it again",
                    worker=index, status=code)  # fmt: skip

    def _health_changed(self, change: HealthChange) -> None:
        self._gateway.compile()
        self._publish()
        if change.before is not change.after:
            self._report_backend(change)

    def _report_backend(self, change: HealthChange) -> None:
        state = change.after.value
        because = f": {change.reason}" if change.reason else ""
        quiet = change.before is HealthState.UNKNOWN and change.after is HealthState.UP
        if not quiet and change.after is not HealthState.HALF_OPEN:
            self._event(
                "backend", f"backend {change.backend} is {state}{because}",
                backend=change.backend, state=state, reason=change.reason,
            )  # fmt: skip

    async def _watch(self) -> None:
        """Read the files again when they change."""
        gateway = self._gateway
        watch = Watch(gateway.config.routing_file, gateway.database)
        while True:
            references = [one.api_key for one in gateway.loaded.file.routes if one.api_key]
            if await asyncio.to_thread(watch.changed, references):
                self._take(await asyncio.to_thread(read, gateway.config, gateway.database))
            await asyncio.sleep(TICK_S)

    def _take(self, loaded: GatewayInputs) -> None:
        gateway = self._gateway
        before = gateway.loaded
        valid = gateway.update(loaded)
        self._publish()
        errors = tuple(sentence(one) for one in gateway.refused)
        if not valid and errors != self._refused:
            self._event(
                "invalid",
                f"{gateway.config.routing_file} is invalid, the last valid version stays in use: "
                f"{errors[0]} (modelscan route validate)",
                errors=list(errors),
            )
        elif valid and (self._refused or gateway.loaded.file != before.file):
            names, revision = len(gateway.table.routes), gateway.table.revision
            self._event(
                "reloaded", f"routing file reloaded: {names} names", routes=names, revision=revision
            )
        self._refused = errors
        self._warn_missing(before.missing)

    def _warn_missing(self, before: tuple[str, ...]) -> None:
        for text in self._gateway.loaded.missing:
            if text not in before:
                self._event("warning", text)

    async def _tidy(self) -> None:
        """Apply used-up budgets every second, and measured speeds to the scores now and then."""
        scores_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BUDGETS_EVERY_S)
            gateway = self._gateway
            await self._check_budgets()
            requests = gateway.runtime.requests.total()
            if loop.time() >= scores_at and requests != self._scored:
                scores_at = loop.time() + _SCORES_EVERY_S
                self._scored = requests
                gateway.compile()
                self._publish()

    async def _check_budgets(self) -> None:
        """Refuse who used up its tokens, and allow it again in the next period."""
        gateway = self._gateway
        loaded = gateway.loaded
        if not loaded.file.budgets and not any(key.limits.budget_tokens for key in loaded.keys):
            return
        with contextlib.suppress(ModelscanError):
            keys = tuple(await asyncio.to_thread(KeyStore(gateway.database).list))
            spent = await asyncio.to_thread(spent_budgets, loaded.file, gateway.database)
            if gateway.loaded is not loaded:
                return  # the file or the keys changed meanwhile, and everything was read again
            gateway.loaded = replace(loaded, keys=keys, spent=spent)
            before = [key.spent_out for key in loaded.keys]
            if [key.spent_out for key in keys] != before or spent != loaded.spent:
                gateway.compile()
                self._publish()

    def _publish(self) -> None:
        """Send the workers the new state."""
        snapshot = frame(self._gateway.snapshot())
        for worker in self._workers:
            worker.send(snapshot)

    # What is reported

    def workers(self) -> tuple[WorkerStatus, ...]:
        """The state of the worker processes."""
        return tuple(WorkerStatus(w.index, w.ready.is_set(), w.restarts) for w in self._workers)

    def _announce(self) -> None:
        gateway = self._gateway
        options = gateway.options
        url = options.url(self._listeners[0][0].getsockname()[1])
        keys = len(gateway.loaded.keys)
        access = f"{keys} key{'s' * (keys != 1)}" if keys else "no keys, this machine only"
        count = f"{options.workers} worker{'s' * (options.workers != 1)}"
        self._event(
            "ready", f"modelscan serves {url}/v1 ({count}, {access})",
            url=url, workers=options.workers, keys=keys, exposed=not options.loopback,
            routes=list(gateway.table.routes),
        )  # fmt: skip
        if not options.loopback and options.tls_cert is None:
            self._event("warning", "requests and keys are not encrypted: add --tls-cert FILE")
        self._warn_missing(())

    def _event(self, name: EventName, text: str, **values: Any) -> None:
        self._report(ServeEvent(name, text, values))


class _Uvicorn(uvicorn.Server):
    """Without its own signal handlers: the serving process ends it after the workers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn(app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=2, loop="asyncio",
    )  # fmt: skip
    return _Uvicorn(config)


@contextlib.contextmanager
def _control_socket() -> Iterator[tuple[Path, socket.socket]]:
    """A listening unix socket in a new folder that only this user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="modelscan-"))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.bind(str(folder / "control.sock"))
            control.listen(128)
            yield folder, control
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    return stopped
