"""The agent of a node: looks at this machine, and reports to the control plane at every beat.

It runs next to the node's gateway, on its event loop; looking and sending are done in a thread. A
control plane that does not answer changes nothing for the gateway: the agent tries again, after
pauses that grow and differ from node to node, and registers again when it is not known any more.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelscan import __version__
from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.node import record
from modelscan.gateway.node.control_plane import ControlPlane, Delivery, raise_for
from modelscan.gateway.node.look import MachineLook, Seen, own_entries
from modelscan.gateway.node.record import AgentState, AgentStatus, Membership, ReportedService
from modelscan.gateway.node.services import NodePlace, gateway_root
from modelscan.gateway.node.wire import (
    NodeReport,
    NodeService,
    NodeSession,
    heartbeat,
    leaving,
    needs_registration,
    registration,
)
from modelscan.net.runner import utc_now

_FIRST_PAUSE = 0.1  # of a beat, after the first message without an answer; then twice as long
_WATCH_S = 0.5  # between two looks whether another command took this machine out
_LEAVE_S = 5.0
_PATIENCE = 0.25  # of a beat, for a look that takes long
_SKIPPED = 1000  # messages that a killed run may have sent after its last status


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How this machine takes part. ``host``: the name or address that the control plane connects
    to; ``port`` None: the gateway's own. ``folders`` are searched for weights.
    """

    membership: Membership
    host: str
    port: int | None = None
    name: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()
    endpoint_key: str | None = field(default=None, repr=False)
    strict: bool = False  # a refused first message is an error


class NodeAgent:
    """One run. ``on_left`` is called when a command takes this machine out of its cluster."""

    def __init__(self, options: NodeOptions, report: Report, on_left: Callable[[], None]) -> None:
        self._options = options
        self._report = report
        self._on_left = on_left
        self._instance, self._sequence = secrets.token_hex(8), 0
        self._registered: NodeReport | None = None
        self._services: tuple[NodeService, ...] = ()
        self._state: AgentState | None = None
        self._failures = 0
        self._last_beat_at: str | None = None
        self._pool, self._looks = ThreadPoolExecutor(1, "node"), ThreadPoolExecutor(1, "look")
        self._looking: asyncio.Future[Seen] | None = None
        self._seen: Seen | None = None
        self._gateway: Gateway
        self._place: NodePlace
        self._look: MachineLook
        self._plane: ControlPlane
        self._beat_s = 10.0

    async def run(self, gateway: Gateway, url: str) -> None:
        """Report until cancelled, or until the record says that this machine left."""
        self._begin(gateway, url)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            delivery = await self._beat(loop)
            if self._ends(delivery):
                raise_for(delivery)
            pause = self._pause(delivery) - (loop.time() - started)
            if await self._taken_out(max(0.0, pause)):
                await self.leave()
                self._on_left()
                await asyncio.Event().wait()  # its gateway goes on, or ends everything

    def _ends(self, delivery: Delivery) -> bool:
        """Whether a first message was refused, which ends a command that is only a node."""
        first = self._options.strict and self._last_beat_at is None
        return first and delivery.outcome == "refused"

    async def leave(self) -> None:
        """Tell the control plane that this machine stops; an answer is not needed."""
        if self._registered is None:  # nothing to take back
            if self._state not in (None, "left"):
                self._set_state("left", None)
            self._shut_down()
            return
        self._registered = None
        loop = asyncio.get_running_loop()
        body = leaving(self._record.host_id, self._session())
        try:
            sent = loop.run_in_executor(self._pool, self._plane.leave, body)
            delivery = await asyncio.wait_for(asyncio.shield(sent), _LEAVE_S)
            self._set_state("left", delivery.problem)
        except asyncio.TimeoutError:
            self._set_state("left", f"{self._plane.url} did not answer within {_LEAVE_S:g} s")
        self._event(f"left {self._plane.url}", state="left")
        self._shut_down()

    def _shut_down(self) -> None:
        for pool in (self._pool, self._looks):
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, gateway: Gateway, url: str) -> None:
        config, options = gateway.config, self._options
        self._record = record.load_record(config.paths.state)
        self._gateway = gateway
        self._beat_s = config.node_beat_s
        self._resume(record.load_status(config.paths.state))
        scheme, _, rest = url.partition("://")
        port = options.port or int(rest.rpartition(":")[2])
        root = gateway_root(scheme, options.host, port)
        self._place = NodePlace(self._record.host_id, options.host, root)
        own = int(rest.rpartition(":")[2])
        self._look = MachineLook(config, self._place, options.folders, options.ports, own)
        timeout_s = min(config.http_timeout_s, max(2.0, self._beat_s / 2))
        self._plane = ControlPlane(options.membership, config, timeout_s)
        self._event(
            f"joining {self._plane.url} as {self._record.host_id}",
            host=self._record.host_id, control_plane=self._plane.url, gateway=root,
        )  # fmt: skip

    def _resume(self, before: AgentStatus | None) -> None:
        """Go on as the run before, if that was killed: the control plane then knows that it is the
        same node, and does not wait until the old run is silent.
        """
        if before is None or before.state == "left" or record.is_running(before):
            return
        self._instance = before.instance
        self._sequence = before.sequence + _SKIPPED

    # Messages

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> Delivery:
        """MachineLook at this machine and send what the control plane needs now."""
        look = await self._newest_look(loop)
        options = self._options
        report = NodeReport(
            host_id=self._record.host_id,
            display_name=options.name or self._record.host_id,
            address=options.host,
            labels=options.labels,
            hardware=look.hardware,
            files=look.files,
            services=look.services,
        )
        self._services = look.services
        delivery = await loop.run_in_executor(self._pool, self._send, report)
        self._note(delivery)
        return delivery

    async def _newest_look(self, loop: asyncio.AbstractEventLoop) -> Seen:
        """The newest look at this machine. One that takes long, because some server hangs, does not
        hold up the messages: the one before is sent until it is over.
        """
        if self._looking is None:
            entries = own_entries(self._gateway)
            self._looking = loop.run_in_executor(self._looks, self._look.services, entries)
        patience_s = None if self._seen is None else self._beat_s * _PATIENCE
        done, _ = await asyncio.wait([self._looking], timeout=patience_s)
        if done:
            self._seen, self._looking = self._looking.result(), None
        assert self._seen is not None
        return self._seen

    def _send(self, report: NodeReport) -> Delivery:
        """One heartbeat, or a registration where something changed or the host is not known."""
        if not needs_registration(self._registered, report):
            delivery = self._plane.heartbeat(heartbeat(report, self._session()))
            if delivery.outcome == "conflict":  # silent for too long: the next one registers
                self._registered = None
            if delivery.outcome != "unknown_host":
                return delivery
        delivery = self._plane.register(registration(report, self._session()))
        self._registered = report if delivery.outcome == "accepted" else None
        return delivery

    def _session(self) -> NodeSession:
        self._sequence += 1
        options = self._options
        return NodeSession(
            instance=self._instance,
            sequence=self._sequence,
            beat_s=self._beat_s,
            sent_at=time.time(),
            version=__version__,
            gateway=self._place.gateway,
            endpoint_key=options.endpoint_key,
        )

    # Pauses and what is reported

    def _pause(self, delivery: Delivery) -> float:
        """Seconds until the next message: a beat, or less while there is no answer."""
        if delivery.outcome == "accepted":
            return self._beat_s
        share: float = min(1.0, _FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
        spread = 0.5 + random.random() / 2  # noqa: S311 - no secret
        return self._beat_s * share * spread

    async def _taken_out(self, pause: float) -> bool:
        """Wait; whether another command took this machine out meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + pause
        while True:
            kept = await asyncio.to_thread(record.look_at_record, self._gateway.config.paths.state)
            if kept is None or kept.membership is None:
                return True
            left = end - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(_WATCH_S, left))

    def _note(self, delivery: Delivery) -> None:
        """Count and report: a problem once, and its end."""
        before = self._state
        if delivery.outcome == "accepted":
            self._failures = 0
            self._last_beat_at = utc_now()
            self._set_state("joined", None)
            if before != "joined":
                self._remember()
                count = len(self._services)
                self._event(
                    f"joined {self._plane.url}: {count} service{'s' * (count != 1)}",
                    state="joined", services=[one.service_id for one in self._services],
                )  # fmt: skip
            return
        self._failures += 1
        state: AgentState = (
            "refused" if delivery.outcome in ("refused", "conflict") else "unreachable"
        )
        self._set_state(state, delivery.problem)
        if before != state:
            text = delivery.problem or f"{self._plane.url} does not know this host"
            hint = f" ({delivery.hint})" if delivery.hint else ""
            again = "" if self._ends(delivery) else "; trying again"
            self._event(f"{text}{again}{hint}", state=state)

    def _remember(self) -> None:
        """The id is known to a control plane from now on."""
        if not self._record.accepted:
            state = self._gateway.config.paths.state
            self._record = record.change_record(state, record.accepted)

    def _set_state(self, state: AgentState, problem: str | None) -> None:
        self._state = state
        status = AgentStatus(
            state=state,
            pid=os.getpid(),
            pid_started_at=record.started_at(os.getpid()) or 0.0,
            gateway=self._place.gateway,
            beat_s=self._beat_s,
            instance=self._instance,
            sequence=self._sequence,
            last_beat_at=self._last_beat_at,
            problem=problem,
            services=tuple(_reported(one) for one in self._services),
        )
        try:
            record.write_json(record.status_file(self._gateway.config.paths.state), status)
        except ModelscanError as error:  # a full disk is no reason to stop reporting
            self._event(f"node status is not written: {error.message}", state=state)

    def _event(self, text: str, **values: Any) -> None:
        self._report(ServeEvent("node", text, values))


def _reported(service: NodeService) -> ReportedService:
    return ReportedService(
        service_id=service.service_id,
        model=", ".join(one.asset_id for one in service.assets),
        endpoint=service.endpoint,
        health=service.state.health,
        load_state=service.state.load_state,
        accepts=service.state.accept_requests,
        engine=service.runtime.engine,
        context_tokens=service.runtime.context_size,
        reason=service.modelscan.reason,
    )
