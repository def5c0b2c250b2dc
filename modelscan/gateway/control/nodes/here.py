"""The services of nodes for commands on the control plane's machine, from the database."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.routing.answers import AddReported, StatesOf
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.reported import ReportedEntry, observation, with_reported
from modelscan.routing.resolve import RouteState, States
from modelscan.routing.scoring import Runtime
from modelscan.routing.world import World

if TYPE_CHECKING:
    from modelscan.gateway.control.nodes.host import NodeHost
    from modelscan.state.config import Config

Reported = Mapping[str, "tuple[NodeHost, ReportedEntry]"]


def with_nodes(file: RoutingFile, world: World, config: Config) -> tuple[RoutingFile, World]:
    """The file and the world with the services that nodes report, as the database has them.

    A heartbeat is at most a second old there; probes and live counters are a gateway's own.
    """
    whole, entries = _merged(file, config)
    observed = dict(world.observations)
    for name, (host, entry) in entries.items():
        observed[name] = observation(entry, Runtime(), None, None, _refused(host, entry))
    return whole, replace(world, observations=observed)


def nodes_of(config: Config) -> AddReported:
    """The same for ``resolve_route``: the file with the services, and what their nodes do."""

    def add(file: RoutingFile, states_of: StatesOf) -> tuple[RoutingFile, States]:
        whole, entries = _merged(file, config)
        states = dict(states_of(file))
        for name, (host, entry) in entries.items():
            refused = _refused(host, entry)
            if refused is not None:
                states[name] = RouteState(host.state, refused, ends=True, of="node")
        return whole, states

    return add


def _refused(host: NodeHost, entry: ReportedEntry) -> str | None:
    return entry.refused if host.state == "ready" else f"its node {host.name} is {host.state}"


def _merged(file: RoutingFile, config: Config) -> tuple[RoutingFile, Reported]:
    """The file with the entries of nodes, and these by name; without a database none."""
    from modelscan.core.errors import ModelscanError

    if importlib.util.find_spec("sqlalchemy") is None:
        return file, {}
    try:
        hosts = _hosts(config)
    except ModelscanError:
        return file, {}
    entries = {one.route.name: (host, one) for host in hosts for one in host.entries}
    whole = with_reported(file, (entry for _, entry in entries.values()))
    kept = [route.name for route in whole.routes[len(file.routes) :]]
    return whole, {name: entries[name] for name in kept}


def _hosts(config: Config) -> list[NodeHost]:
    from modelscan.state.server.database import has_records, open_server

    if not has_records(config):
        return []
    from modelscan.gateway.control.nodes.answers import stored_hosts

    with open_server(config) as database:
        return [host for host in stored_hosts(database) if host.state != "left"]
