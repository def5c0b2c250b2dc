"""The nodes' services in the gateway's routing table: its entries, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.net.address import stays_here
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.reported import ReportedEntry, observation, with_reported
from modelscan.routing.scoring import Runtime
from modelscan.routing.world import ProviderObservation

_HEALTHY = (HealthState.UP, HealthState.HALF_OPEN)


class ReportedRoutes:
    """The entries of nodes at one compilation; names that the routing file has are its own."""

    def __init__(self, nodes: NodeRegistry | None, *, offline: bool = False) -> None:
        self._nodes = nodes
        self._offline = offline
        self._entries: dict[str, ReportedEntry] = {}
        self._refusals: dict[str, str | None] = {}

    def merge(self, file: RoutingFile, most: int) -> RoutingFile:
        """The file with the entries of nodes after its own ones, at most so many."""
        if self._nodes is None:
            return file
        entries = tuple(islice(self._nodes.entries(), most))
        whole = with_reported(file, entries)
        kept = {route.name for route in whole.routes[len(file.routes) :]}
        self._entries = {one.route.name: one for one in entries if one.route.name in kept}
        hosts = {one.host_id for one in entries}
        self._refusals = {host: self._nodes.refusal(host) for host in hosts}
        return whole

    def secrets(self) -> Mapping[str, str]:
        """The keys for the nodes' own gateways, by their references."""
        hosts = self._nodes.hosts.values() if self._nodes is not None else ()
        return {
            one.route.api_key: host.access_key
            for host in hosts
            if host.access_key is not None
            for one in host.entries
            if one.route.api_key is not None
        }

    def entry(self, name: str) -> ReportedEntry | None:
        """The entry of that name; None: it is the file's, or there is none."""
        return self._entries.get(name)

    def refused(self, entry: ReportedEntry) -> str | None:
        """Why an entry gets no requests, by its host and its report; None: it gets some."""
        if self._offline and not stays_here(entry.route.base_url):
            return "--offline is set"
        return self._refusals.get(entry.host_id) or entry.refused

    def observed(
        self, entry: ReportedEntry, measured: Runtime, state: HealthState, others: int | None
    ) -> ProviderObservation:
        """What is known of an entry: the prober's finding and the node's report stay apart."""
        healthy = None if state is HealthState.UNKNOWN else state in _HEALTHY
        return observation(entry, measured, healthy, others, self.refused(entry))

    def silenced(self) -> tuple[str, ...]:
        """The entries that must get no request now, by the states of their hosts."""
        if self._nodes is None:
            return ()
        off = {name for name, host in self._nodes.hosts.items() if host.state != "ready"}
        return tuple(name for name, one in self._entries.items() if one.host_id in off)
