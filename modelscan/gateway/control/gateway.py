"""The state of the serving process: the file, keys and observations, and what workers are sent.

An invalid routing file changes nothing: the last valid one stays in use, and the reason is shown.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelscan.bench.observed import (
    NOT_BENCHMARKED,
    Benchmarked,
    benchmarked,
    world_with_benchmarks,
)
from modelscan.bench.samples import StoredSample, samples
from modelscan.core.deployment import Deployment
from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.node import RegisteredService
from modelscan.core.receipt import Receipt
from modelscan.core.route import Route
from modelscan.engines.ollama import NAME as OLLAMA
from modelscan.gateway.control.failover import Health, HealthState, columns
from modelscan.gateway.control.listening import ServeOptions
from modelscan.gateway.control.nodes.host import NodeHost
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.gateway.control.nodes.table import ReportedRoutes
from modelscan.gateway.control.probe import BackendProbe
from modelscan.gateway.control.slots import Slots
from modelscan.gateway.control.supervised import PartFault
from modelscan.gateway.control.threads import in_thread
from modelscan.gateway.counters import BackendRow, BackendState, Counters, KeyCap
from modelscan.gateway.snapshot import Access, ContentChoice, Key, Snapshot, Wake
from modelscan.gateway.sources import (
    catalog_facts,
    recorded,
    recorded_deployments,
    resolved_secrets,
)
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.facts import Known, known_entries
from modelscan.routing.file import check
from modelscan.routing.memo import TableMemo
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.plano import with_plano
from modelscan.routing.registry_facts import registered_facts, registered_names
from modelscan.routing.scoring import EXPIRES_S, Runtime
from modelscan.routing.table import Backend, RouteTable
from modelscan.routing.world import ProviderObservation, RouteModelFacts, World
from modelscan.state.config import Config
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyRecord, KeyStore, hash_key
from modelscan.state.server.usage import User, UserKind, used_tokens
from modelscan.traces.choices import ChoiceStore, TraceChoices
from modelscan.traces.recent import Latency, RuntimeHistory

_MOST_SAMPLES = 10_000
LARGE_FILE = 500
"""Entries from which a table takes so long that other requests must go on meanwhile."""
_HEALTHY = (HealthState.UP, HealthState.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class GatewayInputs:
    """What was read at one time: the file, the secrets it refers to, keys and deployments."""

    file: RoutingFile
    secrets: Mapping[str, str]
    missing: tuple[str, ...]
    keys: tuple[KeyRecord, ...]
    deployments: Mapping[str, Deployment]
    models: Mapping[str, RouteModelFacts]
    spent: frozenset[str] = frozenset()
    samples: tuple[StoredSample, ...] = ()
    traces: TraceChoices = field(default_factory=TraceChoices)


def read(
    config: Config, database: ServerDatabase, kept: GatewayInputs | None = None
) -> GatewayInputs:
    """Read everything that a table is made from. Slow parts only: no state of the gateway.

    ``kept``: keys and budgets are taken from there instead of a database that is away.
    """
    file = with_plano(check(config.routing_file))
    deployments = recorded_deployments(config)
    values, missing = resolved_secrets(file, deployments)
    if kept is None:
        keys, spent = tuple(KeyStore(database).list()), spent_budgets(file, database)
        traces, registry = ChoiceStore(database).read(), _registry_facts(file, database)
    else:
        keys, spent, traces = kept.keys, kept.spent, kept.traces
        names = registered_names(file)
        registry = {name: one for name, one in kept.models.items() if name in names}
    return GatewayInputs(
        file, values, missing, keys, deployments, {**catalog_facts(config, file), **registry},
        spent, recent_samples(database) if kept is None else kept.samples, traces,
    )  # fmt: skip


def _registry_facts(file: RoutingFile, database: ServerDatabase) -> Mapping[str, RouteModelFacts]:
    """What the registry says of the file's models now."""
    names = registered_names(file)
    if not names:
        return {}
    with database.reading() as connection:
        return registered_facts(connection, names)


def recent_samples(database: ServerDatabase) -> tuple[StoredSample, ...]:
    """The benchmark results that still count, the newest first."""
    return samples(database, since=time.time() - EXPIRES_S, limit=_MOST_SAMPLES)


def spent_budgets(file: RoutingFile, database: ServerDatabase) -> frozenset[str]:
    """The providers and roles whose tokens of the current period are used up."""
    if not file.budgets:
        return frozenset()
    with database.reading() as connection:
        used = used_tokens(connection, time.time())
    kinds: tuple[UserKind, ...] = ("provider", "role")
    return frozenset(
        budget.name
        for budget in file.budgets
        if budget.tokens is not None
        and any(used.get((User(k, budget.name), budget.per), 0) >= budget.tokens for k in kinds)
    )


@dataclass(slots=True)
class Gateway:
    """Everything that the serving process knows. Only its event loop changes it.

    ``wakes``: what becomes of requests to sleepers. ``closed``: backends that get no requests until
    their deployment is ready; these are not probed.
    ``faults``: errors of its parts that should have none.
    ``shares_limits``: whether there are other gateways; a thread writes it and reads ``key_rows``.
    ``file``: the routing file with the services of nodes after its own entries.
    """

    config: Config
    options: ServeOptions
    database: ServerDatabase
    counters: Counters
    loaded: GatewayInputs
    nodes: NodeRegistry | None = None
    file: RoutingFile = field(init=False)
    table: RouteTable = field(init=False)
    known: dict[str, Known] = field(init=False)
    slots: tuple[int, ...] = ()
    refused: tuple[Finding, ...] = ()
    health: dict[str, Health] = field(default_factory=dict)
    probes: dict[str, BackendProbe] = field(default_factory=dict)
    runtime: RuntimeHistory = field(default_factory=RuntimeHistory)
    benchmarks: Mapping[str, Benchmarked] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    reloaded_at: float = field(default_factory=time.time)
    locked: bool = False
    wakes: tuple[Wake, ...] = ()
    closed: frozenset[str] = frozenset()
    database_fault: str | None = None
    shares_limits: bool = False
    faults: dict[str, PartFault] = field(default_factory=dict)
    share_lock: threading.Lock = field(default_factory=threading.Lock)
    key_rows: Mapping[str, int] = field(default_factory=dict)
    _reported: ReportedRoutes = field(init=False)
    _servers: Mapping[str, object] = field(default_factory=dict)
    _revision: int = 0
    _memo: TableMemo = field(default_factory=TableMemo)
    _aside: int = 0
    _rows: Mapping[str, int] = field(default_factory=dict)
    _backends: Mapping[str, Backend] = field(default_factory=dict)
    _hash_key: bytes = field(init=False)
    _backend_slots: Slots = field(init=False)
    _key_slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        """Make the first table; raises UsageError for an invalid file."""
        if self.loaded.file.errors:
            raise invalid(self.config, self.loaded.file.errors[0])
        self._hash_key = hash_key(self.database)
        self._backend_slots = Slots(self.counters.sizes.backends, "routing entries")
        self._key_slots = Slots(self.counters.sizes.keys, "keys")
        self.compile()

    def update(self, loaded: GatewayInputs) -> bool:
        """Take over what was read; False where the file is invalid: then only keys change."""
        valid, before = not loaded.file.errors, self.loaded
        self.refused = loaded.file.errors
        file, values, missing = loaded.file, loaded.secrets, loaded.missing
        if not valid:
            file, values, missing = self.loaded.file, self.loaded.secrets, self.loaded.missing
        self.loaded = replace(loaded, file=file, secrets=values, missing=missing)
        try:
            self.compile()
        except UsageError:  # more entries than this gateway has rows for
            self.loaded = before
            raise
        self.reloaded_at = time.time()
        return valid

    def compile(self) -> None:
        """Make the table again from what is known now, and the health column."""
        file, world = self._inputs()
        memo = None if self._aside else self._memo  # a thread may be using it
        self._use(file, world, compile_table(file, world, memo))

    async def compile_aside(self) -> None:
        """Like ``compile``; a large table is made in a thread, while other requests go on."""
        file, world = self._inputs()
        if len(file.routes) < LARGE_FILE:
            memo = None if self._aside else self._memo
            return self._use(file, world, compile_table(file, world, memo))
        self._aside += 1
        try:
            memo = self._memo if self._aside == 1 else None
            table = await in_thread(compile_table, file, world, memo)
        finally:
            self._aside -= 1
        if world.revision == self._revision:  # else a newer table was made meanwhile
            self._use(file, world, table)

    def _inputs(self) -> tuple[RoutingFile, World]:
        """What a new table is made from."""
        self._revision += 1
        self.locked = self.locked or bool(self.loaded.keys) or not self.options.loopback
        self._reported = ReportedRoutes(self.nodes, offline=self.config.offline)
        room = self.counters.sizes.backends - 1 - len(self.loaded.file.routes)
        self.file = self._reported.merge(self.loaded.file, max(0, room))
        return self.file, self._world()

    def _use(self, file: RoutingFile, world: World, table: RouteTable) -> None:
        rows = self._backend_slots.assign(backend.name for backend in table.backends)
        self.table = table
        self._rows, self._backends = rows, {one.name: one for one in table.backends}
        self.slots = tuple(rows[backend.name] for backend in table.backends)
        self.known = {one.name: one for one in known_entries(file.routes, file.providers, world)}
        self._forget_moved({backend.name: _server(backend) for backend in table.backends})
        self.show_health()

    def _forget_moved(self, servers: Mapping[str, object]) -> None:
        """Of an entry that is gone, or that is another server now, nothing is known."""
        same = {name for name, server in servers.items() if self._servers.get(name) == server}
        self.health = {name: one for name, one in self.health.items() if name in same}
        self.probes = {name: one for name, one in self.probes.items() if name in same}
        self.runtime.keep(same)
        self._servers = servers

    def _world(self) -> World:
        """What is observed now; benchmark results count by their age."""
        loaded, file = self.loaded, self.file
        observed = {route.name: self._observation(route) for route in file.routes}
        secrets = {**loaded.secrets, **self._reported.secrets()}
        world = World(observed, loaded.models, secrets, loaded.spent, self._revision)
        self.benchmarks = benchmarked(loaded.samples, file, world, time.time())
        return world_with_benchmarks(world, self.benchmarks)

    def world(self) -> World:
        """What is observed, for questions: the secrets stay out of it."""
        return replace(self._world(), secrets={})

    def _observation(self, route: Route) -> ProviderObservation:
        name = route.name
        seen = self.probes.get(name)
        state = self.state_of(name)
        entry = self._reported.entry(name)
        if entry is not None:
            others = None if seen is None or seen.requests is None else seen.others
            runtime = self.runtime.runtime(name, self.is_loaded(name), 0)
            seen_entry = self._reported.observed(entry, runtime, state, others)
            reach = None if self.nodes is None else self.nodes.reach_of(entry.host_id)
            return replace(seen_entry, tls=self.options.own_tls, reach=reach)
        observation = recorded(
            route, self.loaded.deployments, self.loaded.secrets, offline=self.config.offline
        )
        return replace(
            observation,
            healthy=None if state is HealthState.UNKNOWN else state in _HEALTHY,
            served=None if seen is None else seen.served,
            engine=observation.engine or (seen.engine if seen else None),
            runtime=self.runtime.runtime(name, self.is_loaded(name), seen.others if seen else 0),
        )

    def recall(self, receipts: Sequence[Receipt]) -> None:
        """Take over the speed of backends from the requests before the start."""
        served = {one.name: one.sent_model for one in self.file.routes}
        self.runtime.seed(receipts, served)
        self.compile()

    def runtime_of(self, name: str) -> Runtime:
        """What is observed of a backend now."""
        seen, latency = self.probes.get(name), self.latency(name)
        others = seen.others if seen else 0
        return Runtime(self.is_loaded(name), latency.p50_ms, latency.tokens_per_s, others)

    def reported(self, name: str) -> tuple[NodeHost, RegisteredService] | None:
        """The node and the service behind an entry; None: it is one of the routing file."""
        entry = self._reported.entry(name)
        host = self.nodes.hosts.get(entry.host_id) if entry and self.nodes else None
        service = host.services.get(entry.service_id) if entry and host else None
        return (host, service) if host and service else None

    def requests_at(self, name: str) -> Mapping[BackendRow, int]:
        """This gateway's requests at a backend: under way, waiting for it, failed."""
        slot = self._rows.get(name)
        counters = self.counters
        return {
            row: 0 if slot is None else counters.total(counters.backend(slot, row))
            for row in BackendRow
        }

    def latency(self, name: str) -> Latency:
        """How fast a backend answers: its last requests, else what its node reports, else its
        benchmark's medians."""
        latency, node = self.runtime.latency(name), self.reported(name)
        if latency.requests:
            return latency
        said = None if node is None else node[1].observed
        if said is not None and (said.p50_latency_ms, said.tokens_per_sec) != (None, None):
            return Latency(said.p50_latency_ms, said.ttft_ms, said.tokens_per_sec, 0, "node")
        one = self.benchmarks.get(name, NOT_BENCHMARKED)
        if one.p50_latency_ms is None and one.tokens_per_s is None:
            return latency
        ttft = next((r.ttft_ms for r in one.results if r.ttft_ms is not None), None)
        return Latency(one.p50_latency_ms, ttft, one.tokens_per_s, 0, "benchmark")

    def is_loaded(self, name: str) -> bool | None:
        """Whether a backend has its model in memory; None: not known."""
        state = self.state_of(name)
        seen = self.probes.get(name)
        if state is HealthState.DOWN or name in self.closed:
            return False
        entry = self._reported.entry(name)
        if entry is not None and entry.runtime.loaded is not None:
            return entry.runtime.loaded
        if state not in _HEALTHY or seen is None or seen.engine == OLLAMA:
            return None
        return True

    def state_of(self, name: str) -> HealthState:
        """The state of a backend by its probes and requests."""
        health = self.health.get(name)
        return HealthState.UNKNOWN if health is None else health.state

    def show_health(self) -> None:
        """Write the states of the backends where the workers read them."""
        shown = columns(self.table, self.state_of)
        for backend, slot in zip(self.table.backends, self.slots, strict=True):
            closed = backend.name in self.closed
            self.counters.set_state(slot, BackendState.ASLEEP if closed else shown[backend.name])
        self.silence()

    def show_wakes(self, wakes: tuple[Wake, ...], closed: frozenset[str]) -> bool:
        """Take over what becomes of requests to sleepers; False: nothing changed.

        What was known of a backend's health before it slept says nothing of the one that woke.
        """
        if (wakes, closed) == (self.wakes, self.closed):
            return False
        for name in closed ^ self.closed:
            self.health.pop(name, None)
            self.probes.pop(name, None)
        self.wakes, self.closed = wakes, closed
        self.show_health()
        return True

    def silence(self) -> None:
        """Take the backends of nodes that get no requests out at once, before the next table."""
        for name in self._reported.silenced():
            slot = self._rows.get(name)
            if slot is not None:  # else it is in the next table for the first time
                self.counters.set_state(slot, BackendState.DOWN)

    def slot(self, name: str) -> int:
        """A backend's row in the counters; KeyError: it is not in the table."""
        return self._rows[name]

    def is_used(self, name: str) -> bool:
        """Whether requests may be sent to an entry: enabled, and its deployment did not end."""
        entry = self.known.get(name)
        if entry is None or entry.seen.ends:
            return False
        return entry.route.enabled or entry.seen.asleep

    def backend(self, name: str) -> Backend | None:
        """The backend of that name."""
        return self._backends.get(name)

    def snapshot(self) -> Snapshot:
        """What the workers are sent."""
        kept = _kept(self.loaded.traces)
        return Snapshot(self.table, self._access(), self.slots, kept, self.wakes)

    def _access(self) -> Access:
        rows = self._key_slots.assign(key.name for key in self.loaded.keys)
        with self.share_lock:
            for name in rows.keys() - self.key_rows.keys():
                for cap in KeyCap:  # of a new key nothing may be used before it is shared out
                    self.counters.set_cap(rows[name], cap, 0 if self.shares_limits else None)
            self.key_rows = rows
        keys = tuple(_key(record, rows[record.name]) for record in self.loaded.keys)
        if not keys and self.locked:  # the last key was revoked: that opens nothing
            keys = (Key("none", secrets.token_bytes(32), (), 0, expires_at=1.0),)
        return Access(keys, self._hash_key, self.options.accepted_hosts, self.options.origins)


def _server(backend: Backend) -> object:
    """What makes a backend another server."""
    place = (backend.scheme, backend.host, backend.port, backend.path, backend.unix_socket)
    return place, backend.authorization


def _kept(choices: TraceChoices) -> ContentChoice | None:
    if not choices.receipts or not choices.content:
        return None
    return ContentChoice(choices.everything, frozenset(choices.routes), frozenset(choices.keys))


def _key(record: KeyRecord, slot: int) -> Key:
    limits = record.limits
    return Key(
        name=record.name,
        digest=record.digest,
        scopes=limits.scopes,
        slot=slot,
        models=limits.models,
        requests_per_minute=limits.requests_per_minute,
        max_concurrent=limits.max_concurrent,
        expires_at=limits.expires_at,
        default_route=limits.default_route,
        spent_out=record.spent_out,
    )


def invalid(config: Config, finding: Finding) -> UsageError:
    """The error for a routing file that cannot be used."""
    return UsageError(
        f"{config.routing_file}: {sentence(finding)}",
        hint="modelscan route validate",
        code="routing_file",
        details={"line": finding.line, "where": finding.where},
    )


def sentence(finding: Finding) -> str:
    """A finding with its line."""
    return finding.message if finding.line is None else f"line {finding.line}: {finding.message}"


def sentences(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Findings as sentences."""
    return tuple(sentence(one) for one in findings)
