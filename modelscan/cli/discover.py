"""``modelscan discover``: model servers on this machine that modelscan did not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError
from modelscan.deploy.answers import Discovered, FoundServer
from modelscan.deploy.rows import deployment_row

if TYPE_CHECKING:
    from modelscan.deploy.discover import DiscoveredModel

_COLUMNS = ("NAME", "ENGINE", "VERSION", "SERVED AS", "CONTEXT", "ENDPOINT", "DEPLOYMENT")


def discover(
    adopt: Annotated[
        str | None,
        typer.Option(
            "--adopt", metavar="NAME", help="Record this server and write its routing entry."
        ),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option("--port", metavar="PORT", help="Also check this port (repeatable)."),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="The server's key: env:NAME or file:PATH."),
    ] = None,
    no_route: Annotated[
        bool, typer.Option("--no-route", help="Do not write a routing entry.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="TARGET", help="With --adopt: a model of this GPUStack server."
        ),
    ] = None,
) -> Document:
    """Find vLLM, SGLang, llama-server, Ollama and OpenAI-compatible servers on this machine."""
    from modelscan.deploy.discover import adopt as adopt_server
    from modelscan.deploy.discover import discover as find_servers

    if target is not None:
        return _adopt_from_cluster(adopt, target, route=not no_route)
    config, output, ports = current().config, current().output, tuple(port or ())
    adopted = None
    with output.status("checking the ports that engines use"):
        if adopt is not None:
            adopted = adopt_server(
                adopt, view.service(), ports=ports, api_key=api_key, route=not no_route
            )
        offers = find_servers(config, ports, api_key)
    servers = tuple(_server(offer) for offer in offers)
    body = Discovered(servers, deployment_row(adopted) if adopted else None)
    if adopted is not None:
        return Document("discover", body, [view.table([adopted])], [adopted.name])
    names = [offer.name for offer in offers if offer.name]
    return Document("discover", body, _blocks(offers), names)


def _adopt_from_cluster(name: str | None, target: str, *, route: bool) -> Document:
    """Manage a model that a GPUStack server runs already: record, verify and route it."""
    from modelscan.deploy.unmanaged import adopt
    from modelscan.targets.registry import resolve_target

    if name is None:
        raise UsageError(
            "--target needs the name of a model", hint="modelscan list   (models of every server)"
        )
    config = current().config
    with current().output.status(f"adopting {name}"):
        deployment = adopt(name, resolve_target(target, config), view.service(), route=route)
    body = Discovered((), deployment_row(deployment))
    return Document("discover", body, [view.table([deployment])], [deployment.name])


def _server(offer: DiscoveredModel) -> FoundServer:
    server, model = offer.server, offer.model
    return FoundServer(
        name=offer.name,
        engine=server.engine,
        engine_version=server.version,
        endpoint=server.endpoint,
        port=server.port,
        served_model=model.name if model else None,
        context_tokens=model.context_tokens if model else None,
        path=model.path if model else None,
        needs_key=server.locked,
        deployment=offer.deployment,
    )


def _blocks(offers: tuple[DiscoveredModel, ...]) -> list[Block]:
    rows = [
        (
            offer.name, offer.server.engine, offer.server.version,
            offer.model.name if offer.model else None,
            offer.model.context_tokens if offer.model else None,
            offer.server.endpoint, offer.deployment,
        )
        for offer in offers
    ]  # fmt: skip
    table = Table(
        _COLUMNS, rows, numeric=("CONTEXT",), whole=("ENDPOINT",),
        optional=("VERSION", "CONTEXT", "DEPLOYMENT", "ENGINE"),
        empty="no model server answers on the checked ports",
    )  # fmt: skip
    locked = [offer.server for offer in offers if offer.server.locked]
    notes: list[Block] = [
        Note(
            f"{one.endpoint} needs a key:\nmodelscan discover --port {one.port} --api-key env:NAME"
        )
        for one in locked
    ]
    new = [offer for offer in offers if offer.name and not offer.deployment]
    return [
        table,
        *notes,
        *([Note(f"\nadopt one: {new[0].adopt_command}")] if new else []),
    ]


app = single(discover)
