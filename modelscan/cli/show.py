"""``modelscan show``: one deployment with its plan, estimated and measured memory."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields
from modelscan.cli.export import ExportOption, export_document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.deploy.shown import shown

Name = Annotated[str, typer.Argument(help="The deployment's name.", metavar="NAME")]


def show(name: Name, export: ExportOption = None) -> Document:
    """Show one deployment: state, plan, estimated and measured memory and speed, a curl line."""
    view.adopt_if_unmanaged(name)
    service = view.service()
    deployment = service.show(name, current().output.warn)
    if export is not None:
        from modelscan.deploy.exports.answers import export_deployment

        return export_document(export_deployment(deployment, export, current().config))
    plan, speeds = deployment.plan, view.measured_speeds()
    body = shown(deployment, speeds, service)
    blocks: list[Block] = [
        view.fields(deployment),
        view.memory_table(deployment),
        *view.memory_bars([deployment]),
    ]
    speed = view.speed_table(deployment, speeds)
    if speed is not None:
        blocks.append(speed)
    if plan and plan.reasons:
        blocks.append(Fields([("because", reason) for reason in plan.reasons]))
    blocks += view.request_notes(deployment)
    return Document("show", body, blocks, [deployment.name], hint=_next(deployment))


def _next(deployment: Deployment) -> str | None:
    """What helps where it does not run."""
    verb = {State.FAILED: "logs", State.STOPPED: "start", State.STOPPING: "stop"}
    word = verb.get(deployment.state)
    return f"modelscan {word} {deployment.name}" if word and deployment.managed else None


app = single(show)
