"""``modelscan route models|services|roles``: what requests may name, and what answers."""

from __future__ import annotations

from typing import Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import command
from modelscan.cli.route.role import list_ as list_roles


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "models")(models)
    command(app, "services")(services)
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
    return Document("route.models", answer, [table], [r.id for r in answer.models])


def services(context: Context) -> Document[Any]:
    """List every entry with its state, engine, family, context and where it is."""
    answer = context.workspace.services()
    rows = [
        (s.name, s.state, s.where, s.engine, s.family, s.model, s.context_tokens, s.reason)
        for s in answer.services
    ]
    table = Table(
        ("NAME", "STATE", "WHERE", "ENGINE", "FAMILY", "MODEL", "CONTEXT", "REASON"),
        rows,
        numeric=("CONTEXT",),
        optional=("FAMILY", "ENGINE", "CONTEXT", "MODEL"),
        whole=("STATE", "WHERE"),
        folded=("REASON",),
        empty="the routing file has no entries: modelscan deploy MODEL adds one",
    )
    return Document("route.services", answer, [table], [s.name for s in answer.services])
