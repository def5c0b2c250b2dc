"""The nodes of a control plane: in memory for routing, in the database for restarts and for others.

Registrations, departures and drains are written at once. Heartbeats change the memory at once and
are written together every moment; what another gateway wrote is read by the counters of changes.
Only the event loop changes the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from modelscan.core.errors import ModelscanError
from modelscan.core.node import Departure, Heartbeat, Registration
from modelscan.core.reach import Reach
from modelscan.gateway.control.nodes.endpoints import EndpointRules, Resolve, check_endpoints
from modelscan.gateway.control.nodes.host import (
    NodeHost,
    registered,
    restored,
    stored_body,
    stored_services,
    take_beat,
)
from modelscan.gateway.control.nodes.rules import (
    KEPT_LEFT_S,
    KEPT_STALE_S,
    MAX_HOSTS,
    NO_EXTRA,
    NodeCaller,
    NodeRefused,
    after_heartbeat,
    check_departure,
    check_message,
    check_place,
    decide_registration,
    silence_s,
)
from modelscan.gateway.control.nodes.secret import Sealer
from modelscan.gateway.control.threads import in_database, in_thread
from modelscan.routing.reported import ReportedEntry
from modelscan.state.server.nodes import (
    BeatRow,
    Claims,
    HostRow,
    NodeNumbers,
    NodesRead,
    NodeStore,
    ServiceRow,
)

RESOLVE_S = 5.0
MOST_RESOLVING = 32  # registrations whose names are looked up at the same time
MAX_ENTRIES = 12_000  # models of all nodes together; the counters have a row for each
_REFUSALS_S, _MOST_REFUSALS = 60.0, 1000
_PAUSED_S = 2.0  # a tick that comes so late: this process was stopped, not the nodes
Monotonic = Callable[[], float]


class NodeRegistry:
    """Every host with its services. ``version`` grows when requests may go somewhere else,
    ``scored`` when only a score changed. ``networks``: where nodes and their servers may be."""

    def __init__(
        self, store: NodeStore, sealer: Sealer, *, clock: Monotonic = time.monotonic,
        wall: Callable[[], float] = time.time, resolve: Resolve | None = None,
        networks: tuple[str, ...] = Reach().networks,
    ) -> None:  # fmt: skip
        self.networks = networks
        self._reaches = {local: Reach(networks, local) for local in (False, True)}
        self._store = store
        self._sealer = sealer
        self._clock, self._wall, self._resolve = clock, wall, resolve
        self._numbers = NodeNumbers()
        self._dirty: dict[str, None] = {}
        self._resolving = 0
        self._ticked = clock()
        self._refusals: dict[tuple[str, str, str | None], float] = {}
        self.hosts: dict[str, NodeHost] = {}
        self.version = 0
        self.scored = 0

    def listens(self, port: int) -> None:
        """Take note of this gateway's own port, to which no node's endpoint may lead."""
        reaches = self._reaches.items()
        self._reaches = {local: replace(one, own_port=port) for local, one in reaches}

    # What routing reads

    def entries(self) -> Iterator[ReportedEntry]:
        """The models of every host, by the host's id; those of hosts that get no requests, too."""
        count = 0
        for name in sorted(self.hosts):
            host = self.hosts[name]
            if host.state == "left":
                continue
            for entry in host.entries:
                count += 1
                if count > MAX_ENTRIES:
                    return
                yield entry

    def refusal(self, host_id: str) -> str | None:
        """Why a host gets no requests, as a reason; None: it gets some."""
        host = self.hosts.get(host_id)
        if host is None or host.state == "left":
            return f"its node {host_id} left"
        if host.state == "stale":
            silent = self._clock() - host.seen_at
            return f"its node {host_id} has not reported for {silent:,.0f} s"
        return f"its node {host_id} is draining" if host.state == "draining" else None

    def silent_s(self, host: NodeHost) -> float:
        """Seconds since the host's last message."""
        return max(0.0, self._clock() - host.seen_at)

    def reach(self, *, local: bool) -> Reach:
        """Where the servers of a node may be; ``local``: the node is on this machine."""
        return self._reaches[local]

    def reach_of(self, host_id: str) -> Reach:
        """The same of a host; one that is gone may be nowhere."""
        host = self.hosts.get(host_id)
        return self._reaches[host is not None and host.row.local]

    # Messages

    async def register(self, message: Registration, caller: NodeCaller) -> NodeHost:
        """Take a host with its services. Raises NodeRefused, or ModelscanError."""
        check_place(caller, self.networks)
        if message.host_id not in self.hosts and len(self.hosts) >= MAX_HOSTS:
            raise NodeRefused(503, "too_many_hosts", f"there are {MAX_HOSTS} hosts already")
        await self._check_endpoints(message, caller)
        now = self._wall()
        extra = message.modelscan or NO_EXTRA
        key = None if extra.endpoint_key is None else self._sealer.seal(extra.endpoint_key)

        def decide(claims: Claims) -> HostRow:
            row = decide_registration(claims, message, caller, now, self._alive)
            return replace(row, body=stored_body(message), access_key=key)

        services = stored_services(message, now)
        row = await in_database(
            self._store.register, message.host_id, caller.key, services, decide, caller.actor
        )
        host = registered(row, message, self._clock(), extra.endpoint_key)
        known = self.hosts.get(host.name)
        if known is not None and known.row.changed > row.changed:
            return known  # a later registration was faster
        self._forget_services(host)
        self.hosts[host.name] = host
        self._dirty.pop(host.name, None)
        self.version += 1
        return host

    async def _check_endpoints(self, message: Registration, caller: NodeCaller) -> None:
        rules = EndpointRules(self.reach(local=caller.local), self._resolve)
        if self._resolving >= MOST_RESOLVING:
            detail = "many registrations wait for the name service already"
            raise NodeRefused(503, "busy", detail, retry_s=RESOLVE_S)
        self._resolving += 1
        check = asyncio.ensure_future(in_thread(check_endpoints, message.services, rules))
        check.add_done_callback(self._resolved)
        try:
            await asyncio.wait_for(asyncio.shield(check), RESOLVE_S)
        except asyncio.TimeoutError:
            detail = f"the endpoints' names cannot be resolved here within {RESOLVE_S:g} s"
            raise NodeRefused(422, "endpoint", detail) from None

    def _resolved(self, check: asyncio.Future[None]) -> None:
        """A check is over, maybe long after its registration was refused."""
        self._resolving -= 1
        if not check.cancelled():
            check.exception()  # where nothing waits for it any more, it is of no interest

    def _forget_services(self, host: NodeHost) -> None:
        """A service that moved to this host is no more of a silent one."""
        for other in self.hosts.values():
            if other.name != host.name and not other.services.keys().isdisjoint(host.services):
                for name in host.services:
                    other.services.pop(name, None)
                other.make_entries()

    def _alive(self, row: HostRow) -> bool:
        """Whether a host of the database is alive; this process's own view comes first."""
        host = self.hosts.get(row.host_id)
        if row.left_at is not None:
            return False
        if host is not None and host.row.instance == row.instance:
            return host.find_state(self._clock()) in ("ready", "draining")
        return self._wall() - row.last_seen <= silence_s(row)

    async def heartbeat(self, message: Heartbeat, caller: NodeCaller) -> NodeHost:
        """Note that a host lives. Raises NodeRefused: 404 means that it is to register again."""
        check_place(caller, self.networks)
        host = await self._known(message.host_id)
        extra = message.modelscan or NO_EXTRA
        check_message(host.row, extra, caller)
        now = self._clock()
        gap = () if host.beat_at is None else (now - host.beat_at,)
        gaps = (*host.gaps, *gap)
        row = after_heartbeat(host.row, extra, message.status, self._wall(), gaps)
        changes = host.apply(message)
        host.gaps.extend(gap)
        host.row, host.seen_at, host.beat_at = row, now, now
        self._dirty[host.name] = None
        self._follow(host, now, changes.routes)
        self.scored += changes.scores
        return host

    async def leave(self, message: Departure, caller: NodeCaller) -> NodeHost:
        """A host stops. Raises NodeRefused, or ModelscanError."""
        host = await self._known(message.host_id)
        check_departure(host.row, message.modelscan or NO_EXTRA, caller)
        left_at = self._wall()
        await in_database(self._store.leave, host.name, left_at, caller.actor)
        host.row = replace(host.row, left_at=left_at)
        self._dirty.pop(host.name, None)
        self._follow(host, self._clock(), True)
        return host

    async def _known(self, host_id: str) -> NodeHost:
        """The host; one that registered at another gateway a moment ago is in the database."""
        if host_id not in self.hosts:
            found = await in_database(self._store.find, host_id)
            if found is None:
                detail = f"there is no host {host_id} here: register it"
                raise NodeRefused(404, "host_unknown", detail)
            if host_id not in self.hosts:
                self._take(*found, fresh=False)
        return self.hosts[host_id]

    async def note_refusal(self, host_id: str, code: str, caller: NodeCaller) -> None:
        """Record a suspicious refusal, the same one at most once a minute."""
        now, what = self._clock(), (host_id, code, caller.key)
        if now - self._refusals.get(what, -_REFUSALS_S) < _REFUSALS_S:
            return
        if len(self._refusals) >= _MOST_REFUSALS:
            self._refusals.clear()
        self._refusals[what] = now
        with contextlib.suppress(ModelscanError):
            await in_database(self._store.refused, host_id, code, caller.actor)

    # Time

    def tick(self) -> bool:
        """Find hosts that fell silent; True if a state changed."""
        now = self._clock()
        late, self._ticked = now - self._ticked, now
        if late > _PAUSED_S:  # no message could arrive meanwhile
            for host in self.hosts.values():
                host.seen_at = min(now, host.seen_at + late)
        before = self.version
        for host in self.hosts.values():
            self._follow(host, now, False)
        return self.version != before

    def _follow(self, host: NodeHost, now: float, changed: bool) -> None:
        state = host.find_state(now)
        if changed or state != host.state:
            host.state = state
            self.version += 1

    # The database

    def load(self) -> None:
        """Read every host; for the start, before the event loop. Raises ModelscanError."""
        self._merge(self._store.read(NodeNumbers(-1, -1)))

    async def exchange(self) -> None:
        """Write new heartbeats and read what other gateways wrote. Raises ModelscanError."""
        await self._write()
        numbers = await in_database(self._store.numbers)
        if numbers != self._numbers:
            self._merge(await in_database(self._store.read, self._numbers))

    async def _write(self) -> None:
        names, self._dirty = tuple(self._dirty), {}
        hosts = [self.hosts[name] for name in names if name in self.hosts]
        rows = [
            BeatRow(
                host.name, host.row.sequence, host.row.node_clock, host.row.last_seen,
                host.row.interval_s, host.stored_beat(),
            )
            for host in hosts
        ]  # fmt: skip
        if not rows:
            return
        try:
            written = await in_database(self._store.write_beats, rows)
        except ModelscanError:
            self._dirty = {**dict.fromkeys(names), **self._dirty}
            raise
        if written.number == self._numbers.beats + 1:  # no other gateway wrote between
            self._numbers = replace(self._numbers, beats=written.number)
        self._drop(written.gone)

    async def tidy(self) -> None:
        """Forget hosts that left or fell silent long ago. Raises ModelscanError."""
        now = self._wall()
        old = [host.name for host in self.hosts.values() if _is_over(host.row, now)]
        if old:
            await in_database(self._store.remove, old)
            self._drop(old)

    def _merge(self, read: NodesRead) -> None:
        """Take over what the database has. Messages that arrived meanwhile are newer."""
        fresh = read.numbers.nodes >= self._numbers.nodes > 0  # not the start, no older backup
        self._drop([name for name in self.hosts if name not in read.names])
        for row in read.hosts:
            known = self.hosts.get(row.host_id)
            if known is None or row.registered_at != known.row.registered_at:
                if row.host_id in read.services:
                    self._take(row, read.services[row.host_id], fresh=fresh)
            elif row.last_seen > known.row.last_seen:
                changes = take_beat(known, row, self._clock())
                self._follow(known, self._clock(), changes.routes)
                self.scored += changes.scores
            else:  # drained, or left, at another gateway or by a command
                known.row = replace(
                    known.row, drained=row.drained, left_at=row.left_at, changed=row.changed
                )
                self._follow(known, self._clock(), False)
        self._numbers = read.numbers

    def _take(self, row: HostRow, services: Sequence[ServiceRow], *, fresh: bool) -> None:
        """A host of the database. ``fresh``: it registered a moment ago; else its age counts, by
        the clock of the gateway that wrote it."""
        age = 0.0 if fresh else max(0.0, self._wall() - row.last_seen)
        seen_at = self._clock() - age
        key = None if row.access_key is None else self._sealer.unseal(row.access_key)
        try:
            host = restored(row, services, seen_at, key)
        except msgspec.MsgspecError:
            return  # written by something else: the node registers again
        self._forget_services(host)
        self.hosts[row.host_id] = host
        host.state = host.find_state(self._clock())
        self.version += 1

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            if self.hosts.pop(name, None) is not None:
                self.version += 1


def _is_over(row: HostRow, now: float) -> bool:
    if row.left_at is not None:
        return now - row.left_at > KEPT_LEFT_S
    return now - row.last_seen > KEPT_STALE_S
