"""One look at this machine: its gateway's entries, other engines, weight files and hardware."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.core.gpu import Inventory
from modelscan.core.node import MAX_SERVICES
from modelscan.deploy.discover import DiscoveredModel, discover
from modelscan.deploy.machine import machine_here
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.probe import address_of
from modelscan.gateway.counters import BackendRow
from modelscan.gateway.node.services import (
    DiscoveredEngine,
    NodePlace,
    OwnEntry,
    engine_services,
    listening,
    looked_up,
    own_service,
    unknown_engines,
)
from modelscan.gateway.node.weights import WeightFolders
from modelscan.gateway.node.wire import (
    NodeFile,
    NodeGpu,
    NodeHardware,
    NodeService,
    NodeServiceFigures,
    NodeServiceState,
)
from modelscan.net.address import is_loopback
from modelscan.routing.facts import context_window
from modelscan.routing.table import Backend
from modelscan.state.config import Config
from modelscan.supervisor.health import Address, metrics
from modelscan.supervisor.speed import EngineSpeed, SpeedHistory

_HARDWARE_S = 30.0  # the probe may start programs of the vendors
_FILES_S = 30.0
_HEALTHY = (HealthState.UP, HealthState.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found."""

    services: tuple[NodeService, ...]
    hardware: NodeHardware
    files: tuple[NodeFile, ...]


class MachineLook:
    """Looks again and again; slow parts are repeated after a while only."""

    def __init__(
        self,
        config: Config,
        place: NodePlace,
        folders: Iterable[Path],
        ports: Sequence[int],
        own_port: int,
    ) -> None:
        self._config = config
        self._place = place
        self._folders = WeightFolders(folders)
        self._ports = tuple(ports)
        self._own_port = own_port
        self._speeds = SpeedHistory()
        self._files: tuple[NodeFile, ...] = ()
        self._hardware: NodeHardware | None = None
        self._files_at = self._hardware_at = float("-inf")

    def services(self, entries: Sequence[OwnEntry]) -> Seen:
        """MachineLook now. Takes seconds where engines are slow: call it in a thread."""
        engines = self._engines(entries)
        addresses = [one.address for one in entries]
        addresses += [Address(one.server.host, one.server.port) for one in engines]
        self._speeds.keep_only({one.url("") for one in addresses})
        place = self._place
        found = [own_service(one, place, self._speed(one.address)) for one in entries]
        for engine in engines:
            speed = self._speed(Address(engine.server.host, engine.server.port))
            found += engine_services(engine, place, speed)
        return Seen(tuple(found[:MAX_SERVICES]), self._hardware_now(), self._files_now())

    def _engines(self, entries: Sequence[OwnEntry]) -> list[DiscoveredEngine]:
        offers = [one for one in self._discovered() if one.server.port != self._own_port]
        by_port = unknown_engines(offers, entries)
        return [looked_up(models, listening(port)) for port, models in by_port.items()]

    def _discovered(self) -> tuple[DiscoveredModel, ...]:
        try:
            return discover(self._config, self._ports)
        except ModelscanError:  # records that are being repaired: entries are reported meanwhile
            return ()

    def _speed(self, address: Address) -> EngineSpeed | None:
        return self._speeds.look(address.url(""), metrics(address))

    def _files_now(self) -> tuple[NodeFile, ...]:
        if time.monotonic() - self._files_at > _FILES_S:
            self._files = self._folders.list()
            self._files_at = time.monotonic()
        return self._files

    def _hardware_now(self) -> NodeHardware:
        if self._hardware is None or time.monotonic() - self._hardware_at > _HARDWARE_S:
            self._hardware = _hardware(machine_here(self._config).inventory)
            self._hardware_at = time.monotonic()
        return self._hardware


def _hardware(inventory: Inventory) -> NodeHardware:
    gpus = tuple(
        NodeGpu(one.index, one.name, one.vendor, one.memory_bytes, one.free_bytes, one.uuid)
        for one in inventory.gpus
    )
    host = inventory.host
    return NodeHardware(gpus, host.cpus, host.memory_bytes, host.free_bytes)


def own_entries(gateway: Gateway) -> tuple[OwnEntry, ...]:
    """The entries of the gateway whose servers are on this machine. Call it on its event loop.

    Entries of hosted providers and of other machines are not this machine's to offer.
    """
    backends = zip(gateway.table.backends, gateway.slots, strict=True)
    return tuple(
        _entry(gateway, backend, slot)
        for backend, slot in backends
        if _is_here(backend) and gateway.is_used(backend.name)
    )


def _is_here(backend: Backend) -> bool:
    return backend.tier == "local" and is_loopback(backend.host) and backend.unix_socket is None


def _entry(gateway: Gateway, backend: Backend, slot: int) -> OwnEntry:
    name = backend.name
    state = gateway.state_of(name)
    loaded = gateway.is_loaded(name)
    probe = gateway.probes.get(name)
    known = gateway.known.get(name)
    latency = gateway.runtime.latency(name)
    counters = gateway.counters
    in_flight = counters.total(counters.backend(slot, BackendRow.IN_FLIGHT))
    measured = latency.requests > 0
    figures = NodeServiceFigures(
        p50_latency_ms=latency.p50_ms,
        ttft_ms=latency.ttft_ms,
        tokens_per_sec=latency.tokens_per_s,
        in_flight=in_flight,
        queue_depth=probe.requests.waiting if probe is not None and probe.requests else None,
        source="receipts" if measured else None,
    )
    return OwnEntry(
        name=name,
        address=address_of(backend),
        state=NodeServiceState(
            "unknown" if state is HealthState.UNKNOWN else
            "healthy" if state in _HEALTHY else "unhealthy",
            "unknown" if loaded is None else "loaded" if loaded else "cold",
            state not in (HealthState.DOWN, HealthState.COOLING),
        ),
        engine=backend.engine or (probe.engine if probe is not None else None),
        model=backend.model,
        served_model=backend.served_model,
        context_tokens=context_window(known).tokens if known else backend.context_tokens,
        loaded=loaded,
        operations=backend.operations,
        dialects=backend.dialects,
        tags=backend.tags,
        max_in_flight=backend.max_in_flight,
        deployment=gateway.loaded.deployments.get(backend.deployment or ""),
        receipts=figures,
    )  # fmt: skip
