"""``modelscan show``: one deployment with its plan and its memory, estimated and measured."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Note
from modelscan.cli.framework import single

Name = Annotated[str, typer.Argument(help="A deployment's name.", metavar="NAME")]


def show(name: Name) -> Document:
    """One deployment: state, plan, estimate beside measured memory, and a curl line."""
    from modelscan.cli.deploy import route_json
    from modelscan.deploy.reconcile import find_deployment
    from modelscan.targets.registry import find_target

    view.take_stranger(name)
    found = find_deployment(name, current().config, current().output.warn)
    plan = found.plan or {}
    target = find_target(found.target, current().config)
    body = {
        "deployment": view.as_json(found),
        "plan": found.plan,
        "estimate": plan.get("estimate"),
        "measured": found.measured,
        "memory": view.memory(found),
        "route": route_json(found),
        "launch": target.preview(found) if found.launch else None,
        "curl": view.curl(found),
    }
    blocks: list[Block] = [view.fields(found), view.memory_table(found)]
    blocks += [Note(f"why: {reason}") for reason in plan.get("reasons", [])]
    line = view.curl(found)
    if line:
        blocks.append(Note(f"\nask it: {line}"))
    return Document("show", body, blocks, [found.name])


app = single(show)
