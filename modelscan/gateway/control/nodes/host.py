"""One node in memory: its row, what it reports, and its services as routing entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from modelscan.core.node import (
    Heartbeat,
    HostWord,
    MessageExtra,
    NodeState,
    RegisteredHardware,
    RegisteredService,
    Registration,
    ServiceUpdate,
)
from modelscan.gateway.control.nodes.rules import NO_EXTRA, NodeRefused, check_own, state_of
from modelscan.routing.reported import ReportedEntry, reported_entries, reported_runtime
from modelscan.routing.scoring import runtime_signal
from modelscan.state.server.nodes import HostRow, ServiceRow

_GAPS = 4
_encode = msgspec.json.Encoder().encode


class StoredBeat(msgspec.Struct, kw_only=True):
    """What is kept of the last heartbeat: with the state of every service.

    ``gone``: registered services that the node's heartbeats do not have any more.
    """

    status: HostWord
    metrics: dict[str, object] = {}
    services: list[ServiceUpdate] = []
    hardware: RegisteredHardware | None = None
    gone: list[str] = []


class BeatChanges(NamedTuple):
    """What a heartbeat changed: where requests may go; a score."""

    routes: bool
    scores: bool


@dataclass(slots=True)
class NodeHost:
    """A host. Times of this process's monotonic clock: ``seen_at``, when its last message arrived,
    and ``beat_at``, when its last heartbeat did. ``access_key``: for its own gateway.
    """

    row: HostRow
    about: Registration
    services: dict[str, RegisteredService]
    seen_at: float
    word: HostWord = field(default_factory=HostWord)
    metrics: dict[str, object] = field(default_factory=dict)
    hardware: RegisteredHardware = field(default_factory=RegisteredHardware)
    access_key: str | None = None
    beat_at: float | None = None
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=_GAPS))
    gone: set[str] = field(default_factory=set)
    state: NodeState = "stale"
    entries: tuple[ReportedEntry, ...] = ()

    @property
    def name(self) -> str:
        """The host's id."""
        return self.row.host_id

    @property
    def extra(self) -> MessageExtra:
        """What modelscan's own node added to its registration."""
        return self.about.modelscan or NO_EXTRA

    def names_of(self, service_id: str) -> tuple[str, ...]:
        """The routing entries of a service."""
        return tuple(one.route.name for one in self.entries if one.service_id == service_id)

    def find_state(self, now: float) -> NodeState:
        """The state at a time of the monotonic clock."""
        return state_of(self.row, self.word, now - self.seen_at)

    def make_entries(self) -> None:
        """Its services as routing entries, after one of them changed."""
        labels = host_tags(self.about.labels)
        gateway = self.extra.gateway
        own = None if self.access_key is None else key_reference(self.name)
        self.entries = tuple(
            entry
            for service in self.services.values()
            for entry in reported_entries(
                self.name, service, labels, own if _is_own(service.endpoint, gateway) else None
            )
        )

    def apply(self, message: Heartbeat) -> BeatChanges:
        """Take over a heartbeat's states and figures.

        Raises NodeRefused (404) for a service that is not registered; nothing is changed then.
        """
        extra = message.modelscan or NO_EXTRA
        check_own(self.name, message.services)
        updates = [*map(_update, message.services), *(extra.services or [])]
        unknown = next((one for one in updates if one.service_id not in self.services), None)
        moved = next((one for one in message.services if self._is_other(one)), None)
        if unknown is not None or moved is not None:
            raise _unknown_service(self.name, unknown, moved)
        beat = StoredBeat(
            status=message.status, metrics=message.metrics, services=updates,
            hardware=extra.hardware, gone=self._missing(message.services),
        )  # fmt: skip
        return self.take(beat)

    def _is_other(self, service: RegisteredService) -> bool:
        """Whether it has another address or kind than the one that was registered and checked."""
        known = self.services.get(service.service_id)
        return known is not None and _lasting(known) != _lasting(service)

    def _missing(self, services: Sequence[RegisteredService]) -> list[str]:
        """The registered services that a list of all of them does not have; it may be left out."""
        names = {one.service_id for one in services}
        return sorted(self.gone | (self.services.keys() - names)) if names else sorted(self.gone)

    def _forget(self, names: Sequence[str]) -> bool:
        """Remove services that are gone; True if one of them was there."""
        self.gone.update(names)
        before = len(self.services)
        for name in names:
            self.services.pop(name, None)
        return len(self.services) < before

    def take(self, beat: StoredBeat) -> BeatChanges:
        """Take over the states of a heartbeat."""
        routes, self.word = beat.status.state != self.word.state, beat.status
        self.metrics = beat.metrics
        self.hardware = beat.hardware or self.hardware
        scores = False
        routes = self._forget(beat.gone) or routes
        for update in beat.services:
            before = self.services.get(update.service_id)
            if before is not None:
                after = self.services[update.service_id] = merged(before, update)
                routes = routes or _routed(before) != _routed(after)
                scores = scores or _signals(before) != _signals(after)
        if routes or scores:
            self.make_entries()
        return BeatChanges(routes, scores)

    def stored_beat(self) -> bytes:
        """What the database keeps of the last heartbeat."""
        updates = [
            ServiceUpdate(
                service_id=one.service_id, state=one.state, observed=one.observed,
                assets=one.assets, modelscan=one.modelscan,
            )
            for one in self.services.values()
        ]  # fmt: skip
        beat = StoredBeat(
            status=self.word, metrics=self.metrics, services=updates, hardware=self.hardware,
            gone=sorted(self.gone),
        )  # fmt: skip
        return _encode(beat)


def _update(service: RegisteredService) -> ServiceUpdate:
    """A whole service of a heartbeat as what may change of a registered one."""
    return ServiceUpdate(
        service_id=service.service_id, state=service.state, observed=service.observed,
        assets=service.assets, modelscan=service.modelscan,
    )  # fmt: skip


def _lasting(service: RegisteredService) -> object:
    return service.endpoint, service.kind, service.protocol


def _unknown_service(
    host: str, unknown: ServiceUpdate | None, moved: RegisteredService | None
) -> NodeRefused:
    if unknown is not None:
        detail = f"{host} has no service {unknown.service_id}: register it again"
    else:
        name = "" if moved is None else moved.service_id
        detail = f"{host} registered {name} with another endpoint, kind or protocol"
    return NodeRefused(404, "service_unknown", detail)


def merged(service: RegisteredService, update: ServiceUpdate) -> RegisteredService:
    """A service with the parts of an update."""
    return msgspec.structs.replace(
        service,
        state=update.state or service.state,
        observed=update.observed or service.observed,
        assets=service.assets if update.assets is None else update.assets,
        modelscan=update.modelscan or service.modelscan,
    )


def _routed(service: RegisteredService) -> object:
    """What decides whether requests may go to a service, and under which names."""
    return service.state, service.assets, service.modelscan


def _signals(service: RegisteredService) -> object:
    """A score's part of what is measured: in bands, so that most heartbeats change nothing."""
    return runtime_signal(reported_runtime(service, None))


def host_tags(labels: dict[str, object]) -> tuple[str, ...]:
    """A host's labels as tags: ``gpu`` and ``zone=a`` of {role: gpu, zone: a}, and both words."""
    pairs = [(key, value) for key, value in labels.items() if isinstance(value, str) and value]
    return tuple(dict.fromkeys(tag for key, value in pairs for tag in (value, f"{key}={value}")))


def key_reference(host_id: str) -> str:
    """The reference under which the key of a node's own gateway is known to routing."""
    return f"node:{host_id}"


def _is_own(endpoint: str, gateway: str | None) -> bool:
    """Whether an endpoint is the node's own gateway: only that gets its key."""
    if gateway is None:
        return False
    root = gateway.rstrip("/").removesuffix("/v1")
    return endpoint == gateway or endpoint.rstrip("/").removesuffix("/v1") == root


def registered(row: HostRow, message: Registration, now: float, access_key: str | None) -> NodeHost:
    """A host that has just registered."""
    extra = message.modelscan or NO_EXTRA
    about = msgspec.structs.replace(message, services=[])
    host = NodeHost(
        row, about, {one.service_id: one for one in message.services}, now,
        word=message.status or HostWord(), access_key=access_key,
        hardware=extra.hardware or RegisteredHardware(),
    )  # fmt: skip
    host.state = host.find_state(now)
    host.make_entries()
    return host


def stored_body(message: Registration) -> bytes:
    """What the database keeps of a registration: without services and without the key."""
    extra = message.modelscan
    if extra is not None:
        extra = msgspec.structs.replace(extra, endpoint_key=None)
    return _encode(msgspec.structs.replace(message, services=[], modelscan=extra))


def stored_services(message: Registration, now: float) -> list[ServiceRow]:
    """The rows of a registration's services."""
    return [
        ServiceRow(one.service_id, message.host_id, place, now, _encode(one))
        for place, one in enumerate(message.services)
    ]


def restored(
    row: HostRow, services: Sequence[ServiceRow], seen_at: float, access_key: str | None
) -> NodeHost:
    """A host as the database has it. Raises msgspec.DecodeError for a body that is not readable."""
    about = msgspec.json.decode(row.body, type=Registration)
    own = [msgspec.json.decode(one.body, type=RegisteredService) for one in services]
    host = registered(row, msgspec.structs.replace(about, services=own), seen_at, access_key)
    take_beat(host, row, seen_at)
    host.state = host.find_state(seen_at)
    return host


def take_beat(host: NodeHost, row: HostRow, seen_at: float) -> BeatChanges:
    """Take over a heartbeat that another gateway wrote."""
    host.row, host.seen_at = row, seen_at
    if row.beat is None:
        return BeatChanges(False, False)
    return host.take(msgspec.json.decode(row.beat, type=StoredBeat))
