"""A control plane and nodes as processes on loopback, and what happens to them: seeded.

Most nodes are real ones (``node join`` with its gateway); some are light ones that only send
messages, so that their reported clocks can be wrong. Some of the real ones have a deployment: the
embedded llama.cpp with a small model. The others have an engine in this process that answers with
the text that it was sent.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from support.patience import CHANGE_S
from support.served import Engine, Served, joining, routed, running, until, write_routing
from support.tiny_gguf import write_tiny_gguf

from modelscan.core.tls import TlsFiles
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.node.control_plane import ControlPlane
from modelscan.gateway.node.record import Membership
from modelscan.gateway.node.wire import (
    NodeAsset,
    NodeHardware,
    NodeReport,
    NodeService,
    NodeServiceFacts,
    NodeServiceFigures,
    NodeServiceRuntime,
    NodeServiceState,
    NodeSession,
    heartbeat,
    leaving,
    registration,
)
from modelscan.state.config import load

MODEL, DEPLOYED = "echo", "tiny"
ROLE = {"role_id": "all", "operation": "chat", "routing_policy": {"strategy": "round_robin"}}
_SWEEP_S = Timing().sweep_s
LIMITS = {"request_timeout_s": 30, "queue_timeout_s": 20}


class EchoEngine(Engine):
    """Answers with the last message."""

    def __init__(self) -> None:
        super().__init__(MODEL)

    def text(self, body: dict[str, Any]) -> str:
        del self.requests[:-50], self.headers[:-50]
        return str(body["messages"][-1]["content"])


@dataclass
class Outage:
    """A time in which a node could not answer, by this machine's clock. ``stale``: when the control
    plane reported that it is; None: it was back before."""

    node: str
    what: str
    since: float
    stale: float | None = None
    until: float | None = None


class LightNode:
    """Messages only, with a clock that is ``skew_s`` off; its engine is its endpoint."""

    def __init__(self, name: str, engine: Engine, beat_s: float, skew_s: float) -> None:
        self.name = name
        self._beat_s, self._skew_s = beat_s, skew_s
        self._report = _report(name, engine)
        self._silent = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._runs = 0
        self._plane: ControlPlane

    def start(self, url: str) -> LightNode:
        self._plane = ControlPlane(Membership(url, None, TlsFiles()), load(), 10.0)
        self._thread.start()
        return self

    def _run(self) -> None:
        sequence, registered, dice = 0, False, random.Random(self.name)
        while not self._end.is_set():
            if not self._silent.is_set():
                sequence += 1
                session = NodeSession(
                    f"{self.name}-{self._runs}", sequence, self._beat_s,
                    time.time() + self._skew_s + dice.uniform(-5, 5), "test",
                )  # fmt: skip
                if registered:
                    registered = self._plane.heartbeat(
                        heartbeat(self._report, session)
                    ).outcome in ("accepted", "unreachable")
                else:
                    sent = self._plane.register(registration(self._report, session))
                    registered = sent.outcome == "accepted"
                    if registered:
                        continue
            self._end.wait(self._beat_s * 0.8)
        self._plane.leave(leaving(self.name))

    def pause(self) -> None:
        self._silent.set()

    def resume(self) -> None:
        """Go on as another run of the same host: it registers again."""
        self._runs += 1
        self._silent.clear()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def _report(name: str, engine: Engine) -> NodeReport:
    service = NodeService(
        f"{name}/chat/{MODEL}", name, "chat", "openai", f"http://127.0.0.1:{engine.port}",
        NodeServiceRuntime(None, "external", 4096), (NodeAsset(MODEL, True, 4096, None),),
        NodeServiceState("healthy", "loaded", True), NodeServiceFigures(),
        NodeServiceFacts("engine", ("chat",)),
    )  # fmt: skip
    hardware = NodeHardware((), 4, 8 << 30, 4 << 30)
    return NodeReport(name, name, "127.0.0.1", {}, hardware, (), (service,))


@dataclass
class RealNode:
    """``node join`` in a home of its own. ``engine`` None: it has a deployment."""

    name: str
    home: Path
    engine: EchoEngine | None = None
    stack: ExitStack = field(default_factory=ExitStack)
    served: Served | None = None

    def start(self, url: str, beat_s: float) -> None:
        variables = {"MODELSCAN_HOME": str(self.home), "MODELSCAN_NODE_BEAT_S": str(beat_s)}
        log = self.home.with_suffix(".log")
        joined = joining(url, "--name", self.name, log=log, **variables)
        self.served = self.stack.enter_context(joined)

    def prepare(self, model: Path) -> None:
        """What it serves: its engine's entry, or the model deployed."""
        if self.engine is not None:
            write_routing(self.home, routed(self.engine.entry()))
        else:
            self.command("deploy", str(model), "--name", DEPLOYED, "--context", "512", "--yes")

    def command(self, *words: str) -> None:
        """A command at its home."""
        modelscan(self.home, *words)

    @property
    def pid(self) -> int:
        assert self.served is not None
        return self.served.process.pid

    def tree(self) -> list[int]:
        """Its gateway and the worker."""
        process = psutil.Process(self.pid)
        return [one.pid for one in (process, *process.children(recursive=True))]

    def signal(self, number: signal.Signals) -> None:
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        assert self.served is not None
        self.signal(signal.SIGKILL)
        self.served.process.wait()
        self.stack.close()


@dataclass(frozen=True)
class Kinds:
    """How many nodes of each kind; ``deployed``: so many of the real ones have a deployment."""

    real: int
    light: int
    deployed: int = 0


class ClusterWorld:
    """``outages`` and ``log`` grow; ``nodes`` are the names of all."""

    def __init__(self, folder: Path, kinds: Kinds, beat_s: float, seed: int) -> None:
        self.folder, self.beat_s = folder, beat_s
        self.dice = random.Random(seed)
        self.engines: list[EchoEngine] = []
        self.real: dict[str, RealNode] = {}
        for at in range(kinds.real):
            engine = None if at < kinds.deployed else self._engine()
            self.real[f"real{at}"] = RealNode(f"real{at}", folder / f"real{at}", engine)
        self.light: dict[str, LightNode] = {}
        for at in range(kinds.light):
            skew_s = self.dice.choice((-86_400.0, -3_600.0, 3_600.0, 86_400.0))
            self.light[f"light{at}"] = LightNode(f"light{at}", self._engine(), beat_s, skew_s)
        self.outages: list[Outage] = []
        self.log: list[str] = []
        self.port = 0
        self.now = "begin"
        self.restarts = 0
        self._plane: Served | None = None
        self._planes = ExitStack()
        self._backup = folder / "backup.jsonl.gz"

    def _engine(self) -> EchoEngine:
        self.engines.append(EchoEngine())
        return self.engines[-1]

    @property
    def plane(self) -> Served:
        assert self._plane is not None
        return self._plane

    @property
    def home(self) -> Path:
        """The control plane's home."""
        return self.folder / "control"

    @contextlib.contextmanager
    def alive(self) -> Iterator[ClusterWorld]:
        """Everything started; ended at the end of the block."""
        for engine in self.engines:
            engine.start()
        try:
            write_routing(self.home, {"roles": [ROLE], "limits": LIMITS, "fallback": True})
            self._start_plane()
            self._join()
            until(lambda: self.ready() == {*self.real, *self.light})
            yield self
        finally:
            for node in self.light.values():
                node.stop()
            for one in self.real.values():
                one.stack.close()
                if one.engine is None:
                    one.command("remove", "--all", "--yes", "--drain", "0")
            self._planes.close()
            for engine in self.engines:
                engine.stop()

    def _join(self) -> None:
        threads = []
        model = self.folder / "tiny.gguf"
        write_tiny_gguf(model)
        for node in self.real.values():
            node.prepare(model)
            start = threading.Thread(target=node.start, args=(self.plane.url, self.beat_s))
            start.start()
            threads.append(start)
        for light in self.light.values():
            light.start(self.plane.url)
        for start in threads:
            start.join()

    def _start_plane(self) -> None:
        variables = {"MODELSCAN_HOME": str(self.home)}
        words = ("serve", "--port", str(self.port)) if self.port else ("serve",)
        log = self.home.with_suffix(".log")
        self._plane = self._planes.enter_context(running(*words, log=log, **variables))
        self.port = int(self._plane.url.rpartition(":")[2])

    # What is known

    def ready(self) -> set[str]:
        """The nodes that are ready and whose service is routable."""
        try:
            _, hosts = self.plane.get("/v1/cluster/hosts")
            _, services = self.plane.get("/v1/cluster/services")
            _, health = self.plane.get("/health")
        except OSError:
            return set()
        up = {row["name"] for row in health["backends"] if row["state"] == "up"}
        online = {row["host_id"] for row in hosts["data"] if row["status"]["state"] == "online"}
        return {
            row["host_id"] for row in services["data"]
            if row["host_id"] in online and row["service_id"] in up
        }  # fmt: skip

    def requests(self) -> dict[str, int]:
        """The requests of each backend since the control plane started."""
        _, health = self.plane.get("/health")
        return {row["name"]: row["requests"] for row in health["backends"]}

    def state(self, name: str) -> str | None:
        try:
            _, hosts = self.plane.get("/v1/cluster/hosts")
        except OSError:
            return None
        rows = (row["status"]["state"] for row in hosts["data"] if row["host_id"] == name)
        return next(rows, None)

    def registered_at(self, name: str) -> float | None:
        """When the control plane was told the services of a node, by its own clock."""
        try:
            _, services = self.plane.get("/v1/cluster/services")
        except OSError:
            return None
        rows = (row["updated_at"] for row in services["data"] if row["host_id"] == name)
        return next(rows, None)

    # What happens

    def happen(self, what: str) -> None:
        """One event, to its end: everything is well again when this returns."""
        name = self.dice.choice(sorted(self.real))
        light = self.dice.choice(sorted(self.light)) if self.light else name
        self.log.append(f"{what} {light if what == 'silent' else name}")
        self.now = what
        events = {
            "killed": lambda: self._killed(name), "paused": lambda: self._paused(name),
            "silent": lambda: self._silent(light), "removed": lambda: self._removed(name),
            "control plane": self._control_plane,
        }  # fmt: skip
        events[what]()
        until(lambda: self.ready() == {*self.real, *self.light})
        self.now = "between"

    def _outage(self, name: str, what: str) -> Outage:
        outage = Outage(name, what, time.time())
        self.outages.append(outage)
        return outage

    def _wait_stale(self, outage: Outage) -> None:
        """Until the control plane knows: it has the node, as one that is silent."""
        seen: list[str | None] = []

        def silent() -> bool:
            seen[:] = [*seen[-2:], self.state(outage.node)]
            return seen[-1] not in ("online", None)

        until(silent, lambda: f"{outage.node} is {seen} after {self.log[-3:]}", CHANGE_S)
        outage.stale = time.time()

    def _linger(self) -> None:
        """Long enough that requests to a stale node would be seen."""
        time.sleep(2 * _SWEEP_S + 2 * self.beat_s * (1 + self.dice.random()))

    def _killed(self, name: str) -> None:
        outage = self._outage(name, "killed")
        node = self.real[name]
        node.kill()
        self._wait_stale(outage)
        self._linger()
        outage.until = time.time()
        node.start(self.plane.url, self.beat_s)

    def _paused(self, name: str) -> None:
        outage = self._outage(name, "paused")
        node = self.real[name]
        node.signal(signal.SIGSTOP)
        try:
            self._wait_stale(outage)
            self._linger()
        finally:
            outage.until = time.time()
            node.signal(signal.SIGCONT)

    def _silent(self, name: str) -> None:
        outage = self._outage(name, "silent")
        self.light[name].pause()
        self._wait_stale(outage)
        self._linger()
        outage.until = time.time()
        self.light[name].resume()

    def _removed(self, name: str) -> None:
        """Forgotten by the control plane: the next heartbeat is a 404, and it registers again.

        The control plane learns of the removal a moment after the command. Only a newer
        registration shows that it did: a node that is killed before never comes back by itself.
        """
        before = self.registered_at(name)
        modelscan(self.home, "node", "remove", name)
        until(lambda: (self.registered_at(name) or 0.0) > (before or 0.0))

    def _control_plane(self) -> None:
        """Backed up while it serves, killed some time later, restored, and started again on the
        same port: what happened since the backup is not in its database.
        """
        self._backup.unlink(missing_ok=True)
        modelscan(self.home, "server", "backup", str(self._backup))
        time.sleep(self.beat_s * self.dice.random())
        plane = self.plane
        process = psutil.Process(plane.process.pid)
        tree = [process, *process.children(recursive=True)]
        for one in tree:
            with contextlib.suppress(psutil.Error):
                one.kill()
        plane.process.wait()
        self._planes.close()
        modelscan(self.home, "server", "restore", str(self._backup), "--yes")
        self.restarts += 1
        self._start_plane()


def modelscan(home: Path, *words: str) -> None:
    """A command at a home."""
    command = [sys.executable, "-m", "modelscan", *words]
    environment = {**os.environ, "MODELSCAN_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done


def misrouted(
    receipts: list[tuple[float, str]], outages: list[Outage], margin_s: float
) -> list[tuple[str, float]]:
    """Requests that began at a host after it was reported as stale: (host, seconds after that).

    ``receipts`` are (begin, backend). A worker's clock is that of its last sweep: a request seems
    to begin up to ``_SWEEP_S`` (and the margin) before it does, so that one of the first after the
    outage seems to be in it.
    """
    found = []
    for begun, backend in receipts:
        host = backend.partition("/")[0]
        for outage in outages:
            if outage.node != host or outage.stale is None or outage.until is None:
                continue
            if outage.stale + margin_s < begun < outage.until - _SWEEP_S - margin_s:
                found.append((host, begun - outage.stale))
    return found
