"""The services of nodes for commands on the control plane's machine, from the database."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.routing.parsed import RoutingFile
from modelscan.routing.reported import observation, with_reported
from modelscan.routing.scoring import Runtime
from modelscan.routing.world import World

if TYPE_CHECKING:
    from modelscan.state.config import Config


def with_nodes(file: RoutingFile, world: World, config: Config) -> tuple[RoutingFile, World]:
    """The file and the world with the services that nodes report, as the database has them.

    A heartbeat is at most a second old there; probes and live counters are a gateway's own.
    """
    from modelscan.core.errors import ModelscanError

    if importlib.util.find_spec("sqlalchemy") is None:
        return file, world
    try:
        return _with_nodes(file, world, config)
    except ModelscanError:
        return file, world


def _with_nodes(file: RoutingFile, world: World, config: Config) -> tuple[RoutingFile, World]:
    from modelscan.state.server.database import has_records, open_server

    if not has_records(config):
        return file, world
    from modelscan.gateway.control.nodes.answers import stored_hosts

    with open_server(config) as database:
        hosts = [host for host in stored_hosts(database) if host.state != "left"]
    entries = {entry.route.name: (host, entry) for host in hosts for entry in host.entries}
    whole = with_reported(file, (entry for _, entry in entries.values()))
    observed = dict(world.observations)
    for route in whole.routes[len(file.routes) :]:
        host, entry = entries[route.name]
        refused = None if host.state == "ready" else f"its node {host.name} is {host.state}"
        refused = refused or entry.refused
        observed[route.name] = observation(entry, Runtime(), None, None, refused)
    return whole, replace(world, observations=observed)
