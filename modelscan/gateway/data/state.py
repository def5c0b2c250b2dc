"""A snapshot made ready for use: backends with their pools, routes, keys, access rules."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable, Sequence

import msgspec

from modelscan.core.access import key_digest
from modelscan.core.receipt import RouteChoice
from modelscan.gateway.counters import BackendRow, Counters, KeyCap, KeyRow
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.pool import ConnectionPool
from modelscan.gateway.data.waiting import WaitingRequests
from modelscan.gateway.data.writes import Writes
from modelscan.gateway.scopes import permitted
from modelscan.gateway.snapshot import Key, Snapshot
from modelscan.net.address import is_loopback
from modelscan.routing.choose import ASLEEP, COOLING
from modelscan.routing.policy import PreparedPolicy, prepare
from modelscan.routing.table import Backend, GatewayLimits, Operation, RouteEntry
from modelscan.routing.tool_policy import prepare as prepare_tools


class LiveBackend:
    """A backend, its connections, its rows in the counters and what waits for it."""

    __slots__ = (
        "_cells", "_counters", "_own", "authority", "connect_s", "cool_until", "credential",
        "elsewhere", "in_flight", "limit", "mean_s", "pool", "prefix", "slot", "spec", "waiting",
    )  # fmt: skip

    def __init__(self, spec: Backend, slot: int, counters: Counters, pool: ConnectionPool) -> None:
        self._counters = counters
        self.spec = spec
        self.slot = slot
        self.pool = pool
        self.in_flight = counters.backend(slot, BackendRow.IN_FLIGHT)
        self._cells = counters.cells
        self._own = self.in_flight + counters.worker
        self.limit = spec.max_in_flight
        self.cool_until = 0.0
        self.mean_s = 1.0
        self.elsewhere = is_elsewhere(spec)
        self.authority = _authority(spec)
        self.prefix = spec.path.rstrip("/").encode()
        self.credential = _credential(spec)
        self.waiting = WaitingRequests()

    def take(self) -> bool:
        """Count one more request under way; False: the backend is full."""
        cells, own = self._cells, self._own
        cells[own] += 1
        if self.limit is not None and self._counters.total(self.in_flight) > self.limit:
            cells[own] -= 1
            return False
        return True

    def give_back(self) -> None:
        """One request less; the next one that waits here may start."""
        self._cells[self._own] -= 1
        if self.waiting:
            self.waiting.start_next(self)

    @property
    def asleep(self) -> bool:
        """Whether its deployment does not run, and a request may start it."""
        return self._counters.state_number(self.slot) == ASLEEP

    def note_duration(self, seconds: float) -> None:
        """Keep a moving average of how long a request takes."""
        self.mean_s += (seconds - self.mean_s) * 0.1


class LiveRoute:
    """A route with its backends and their policies, in the order of its candidates.

    ``models`` are the names to send, None: the caller's; ``encoded`` are they as JSON.
    """

    __slots__ = (
        "_by_operation", "backends", "choice", "depths", "encoded", "entry", "models", "one_model",
        "policies", "strips", "turn", "unlimited",
    )  # fmt: skip

    def __init__(self, entry: RouteEntry, backends: list[LiveBackend], counters: Counters) -> None:
        self.entry = entry
        self.backends = [backends[candidate.backend] for candidate in entry.candidates]
        self.policies: list[PreparedPolicy | None] = [
            None if candidate.policy is None else prepare(candidate.policy)
            for candidate in entry.candidates
        ]
        self.models = [
            candidate.served_model or backend.spec.served_model
            for candidate, backend in zip(entry.candidates, self.backends, strict=True)
        ]
        self.encoded = [
            None if model is None else msgspec.Raw(msgspec.json.encode(model))
            for model in self.models
        ]
        self.one_model = None not in self.models
        self.unlimited = bool(self.backends) and all(one.limit is None for one in self.backends)
        self.strips = [
            candidate.policy is not None and candidate.policy.reasoning == "strip"
            for candidate in entry.candidates
        ]
        self.choice = RouteChoice(entry.kind, entry.strategy, len(self.backends))
        self.depths = [candidate.depth for candidate in entry.candidates]
        self.turn = counters.turn(zlib.crc32(entry.name.encode()))
        self._by_operation: dict[Operation, frozenset[int]] = {}

    def serving(self, operation: Operation) -> frozenset[int]:
        """Indexes of the candidates whose backend serves an operation, or may serve it."""
        found = self._by_operation.get(operation)
        if found is None:
            found = frozenset(
                index for index, backend in enumerate(self.backends)
                if serves(backend.spec, operation)
            )  # fmt: skip
            self._by_operation[operation] = found
        return found


class LiveKey:
    """A key and its rows in the counters."""

    __slots__ = (
        "concurrent_cap", "current", "in_flight", "key", "last_used", "minute", "models",
        "operations", "previous", "rate_cap", "refused", "scopes",
    )  # fmt: skip

    def __init__(self, key: Key, counters: Counters) -> None:
        self.key = key
        self.models = None if key.models is None else frozenset(key.models)
        self.operations = permitted(key.scopes)
        self.scopes = ",".join(key.scopes).encode()
        self.in_flight = counters.key(key.slot, KeyRow.IN_FLIGHT)
        self.minute = counters.key(key.slot, KeyRow.MINUTE)
        self.current = counters.key(key.slot, KeyRow.CURRENT)
        self.previous = counters.key(key.slot, KeyRow.PREVIOUS)
        self.last_used = counters.key(key.slot, KeyRow.LAST_USED)
        self.refused = counters.key(key.slot, KeyRow.REFUSED)
        self.rate_cap = counters.cap(key.slot, KeyCap.RATE)
        self.concurrent_cap = counters.cap(key.slot, KeyCap.CONCURRENT)


class GatewayState:
    """One snapshot in use. ``open``: no keys exist, every caller may do everything."""

    __slots__ = (
        "all_up", "automatic", "backends", "hash_key", "health", "hosts", "in_flight", "keys",
        "limits", "open", "origins", "revision", "routes", "snapshot", "tool_policies", "wakes",
    )  # fmt: skip

    def __init__(self, snapshot: Snapshot, backends: list[LiveBackend], counters: Counters) -> None:
        table, access = snapshot.table, snapshot.access
        self.snapshot = snapshot
        self.revision = table.revision
        self.limits: GatewayLimits = table.limits
        self.tool_policies = tuple(map(prepare_tools, table.tool_policies))
        self.wakes = {wake.backend: wake for wake in snapshot.wakes}
        self.backends = backends
        self.routes = {
            name: LiveRoute(entry, backends, counters) for name, entry in table.routes.items()
        }
        self.automatic = {
            id(rule): LiveRoute(rule.entry, backends, counters) for rule in table.rules
        }
        self.in_flight = in_flight_view(counters, backends)
        self.health: list[int] = []
        self.all_up = False
        self.refresh_health(counters, 0.0)
        self.open = not access.keys
        self.hash_key = access.hash_key
        self.keys = {key.digest: LiveKey(key, counters) for key in access.keys}
        self.hosts = None if access.hosts is None else _lowered(access.hosts)
        self.origins = _lowered(access.origins)

    def find_key(self, token: bytes) -> LiveKey | None:
        """The key of a token. Its keyed digest is looked up, so that time tells nothing of it."""
        return self.keys.get(key_digest(token, self.hash_key))

    def refresh_health(self, counters: Counters, now: float) -> None:
        """Read the states; a backend that requested a pause is cooling in this worker."""
        self.health = [
            COOLING if backend.cool_until > now else counters.state_number(backend.slot)
            for backend in self.backends
        ]
        self.all_up = not any(self.health)  # UP is 0

    def note_pause(self, backend: LiveBackend) -> None:
        """A backend's ``cool_until`` was set."""
        if backend in self.backends:
            self.health[self.backends.index(backend)] = COOLING
            self.all_up = False


class _InFlight(Sequence[int]):
    """Requests under way by the backend's index in the table, over all workers."""

    def __init__(self, counters: Counters, backends: Sequence[LiveBackend]) -> None:
        self._counters = counters
        self._rows = [backend.in_flight for backend in backends]

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        return self._counters.total(self._rows[index])

    def __len__(self) -> int:
        return len(self._rows)


def in_flight_view(counters: Counters, backends: Sequence[LiveBackend]) -> Sequence[int]:
    """Requests under way by index; the cells themselves where they are in that order."""
    in_order = all(backend.slot == index for index, backend in enumerate(backends))
    if counters.sizes.workers > 1 or not in_order:
        return _InFlight(counters, backends)
    first = counters.backend(0, BackendRow.IN_FLIGHT)
    return counters.cells[first : first + len(backends)]


class StateBuilder:
    """Makes states from snapshots; an unchanged backend keeps its connections and counts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        timing: Timing,
        writes: Writes,
    ) -> None:
        self._loop = loop
        self._writes = writes
        self._counters = counters
        self._timing = timing

    def build(self, snapshot: Snapshot, before: GatewayState | None) -> GatewayState:
        """The next state; ``close_unused`` then closes what only the one before used."""
        connect_s = snapshot.table.limits.connect_timeout_s
        kept = {} if before is None else {
            (_identity(b.spec), b.slot, before.limits.connect_timeout_s): b for b in before.backends
        }  # fmt: skip
        backends = []
        for index, spec in enumerate(snapshot.table.backends):
            slot = snapshot.slots[index] if snapshot.slots else index
            found = kept.get((_identity(spec), slot, connect_s))
            backends.append(found or self.backend(spec, slot, connect_s))
        return GatewayState(snapshot, backends, self._counters)

    def backend(self, spec: Backend, slot: int, connect_s: float) -> LiveBackend:
        """A backend without connections yet."""
        pool = ConnectionPool(self._loop, spec, self._timing, connect_s, self._writes)
        return LiveBackend(spec, slot, self._counters, pool)


def close_unused(before: GatewayState, after: GatewayState) -> None:
    """Close idle connections of backends that the new state lacks; their waiting requests start."""
    kept = {id(backend) for backend in after.backends}
    for backend in before.backends:
        if id(backend) not in kept:
            backend.pool.close()
            backend.waiting.start_all()


def _identity(spec: Backend) -> bytes:
    """Equal for backends without any difference (a Backend may contain lists: no hash)."""
    return msgspec.msgpack.encode(spec)


def serves(backend: Backend, operation: Operation) -> bool:
    """Whether a backend may serve an operation; what is not known is tried."""
    return operation == "other" or backend.operations is None or operation in backend.operations


def is_elsewhere(spec: Backend) -> bool:
    """Whether what a backend is sent leaves this machine: by its address, and by its tier, since
    a server here may pass requests on."""
    if spec.tier != "local":
        return True
    return spec.unix_socket is None and not is_loopback(spec.host)


def _authority(spec: Backend) -> bytes:
    if spec.unix_socket is not None:
        return spec.host.encode() or b"localhost"
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    default = 443 if spec.scheme == "https" else 80
    name = host.encode("ascii" if host.isascii() else "idna")
    return name if spec.port == default else name + b":%d" % spec.port


def _credential(spec: Backend) -> bytes:
    if spec.authorization is None:
        return b""
    name, value = spec.authorization
    line = f"{name.lower()}: {value}"
    if "\r" in line or "\n" in line:
        raise ValueError(f"the credential of {spec.name} contains a line break")
    return line.encode("latin-1") + b"\r\n"


def _lowered(values: Iterable[str]) -> frozenset[bytes]:
    return frozenset(value.lower().encode() for value in values)
