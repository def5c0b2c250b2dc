"""Nodes in the server's database without a gateway: as a registration would have stored them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from modelscan.core.node import Registration
from modelscan.gateway.control.nodes.host import stored_body, stored_services
from modelscan.gateway.control.nodes.rules import NodeCaller, decide_registration
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.nodes import Claims, HostRow, NodeStore


def put_node(state: Path, body: dict[str, Any], *, age_s: float = 0.0) -> None:
    """Store a registration that arrived so many seconds ago."""
    message = msgspec.convert(body, Registration)
    now = time.time() - age_s

    def decide(claims: Claims) -> HostRow:
        caller = NodeCaller(None, "127.0.0.1", True)
        row = decide_registration(claims, message, caller, now, lambda _: False)
        return replace(row, body=stored_body(message))

    with ServerDatabase.open(state) as database:
        services = stored_services(message, now)
        NodeStore(database).register(message.host_id, None, services, decide, Actor("user", "test"))
