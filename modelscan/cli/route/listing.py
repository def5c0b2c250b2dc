"""``modelscan route models|services|hosts|roles``: what requests may name, and what answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import command
from modelscan.cli.route.role import list_ as list_roles


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "models")(models)
    command(app, "services")(services)
    command(app, "hosts")(hosts)
    command(app, "roles")(list_roles)


def models(context: Context) -> Document[Any]:
    """List every name that a request may use as its model: the ids of the gateway's list."""
    answer = context.workspace.routed_names()
    rows = [
        (
            r.id,
            r.kind,
            r.state,
            ", ".join(r.where),
            r.model,
            r.context_tokens,
            r.context_source,
            r.suitability,
        )
        for r in answer.models
    ]
    table = Table(
        ("NAME", "KIND", "STATE", "WHERE", "MODEL", "CONTEXT", "CONTEXT FROM", "FIT FOR"),
        rows,
        numeric=("CONTEXT",),
        optional=("FIT FOR", "CONTEXT FROM", "CONTEXT", "MODEL"),
        whole=("STATE", "WHERE"),
    )
    blocks = [table, *_unproven(r.state for r in answer.models)]
    return Document("route.models", answer, blocks, [r.id for r in answer.models])


def services(context: Context) -> Document[Any]:
    """List every entry, of the file or of a node, with its state, engine, context and place."""
    answer = context.workspace.services()
    rows = [
        (s.name, s.state, s.where, s.node, s.engine, s.family, s.model, s.context_tokens, s.reason)
        for s in answer.services
    ]
    table = Table(
        ("NAME", "STATE", "WHERE", "NODE", "ENGINE", "FAMILY", "MODEL", "CONTEXT", "REASON"),
        rows,
        numeric=("CONTEXT",),
        optional=("FAMILY", "ENGINE", "CONTEXT", "NODE", "MODEL"),
        whole=("STATE", "WHERE"),
        folded=("REASON",),
        empty="the routing file has no entries: modelscan deploy MODEL adds one",
    )
    blocks = [table, *_unproven(s.state for s in answer.services)]
    return Document("route.services", answer, blocks, [s.name for s in answer.services])


def _unproven(states: Iterable[str]) -> list[Block]:
    """What the state means, where a row has it."""
    if "unproven" not in states:
        return []
    return [Note("unproven: requests go there, not known to answer: modelscan route health")]


def hosts(context: Context) -> Document[Any]:
    """List the nodes whose services get requests: as `modelscan node list`."""
    from modelscan.cli.node.listing import node_database, nodes_table

    with node_database(context, "modelscan route hosts") as database:
        from modelscan.gateway.control.nodes.answers import list_nodes

        answer = list_nodes(database)
    names = [one.name for one in answer.nodes]
    return Document("route.hosts", answer, [nodes_table(answer.nodes)], names)
