"""``modelscan node join|leave|status``: this machine as a node of a control plane."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command
from modelscan.cli.serve import DRAIN_S, Drain, Workers, reporter
from modelscan.core.errors import EXIT_REMOTE

if TYPE_CHECKING:
    from modelscan.gateway.node.answers import NodeStatus


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "join")(join)
    command(app, "status")(status)
    command(app, "leave")(leave)


def join(
    context: Context,
    url: Annotated[str, typer.Argument(help="The control plane's root, e.g. http://gpu0.lan:8900")],
    key: Annotated[
        str | None,
        typer.Option("--key", help="Reference to a key of scope node: env:NAME or file:PATH."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The name to show (default: the machine's).")
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            "--advertise", metavar="HOST[:PORT]", help="Where the control plane connects to."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="For roles and lists; repeatable."),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option("--folder", metavar="DIR", help="List its .gguf files; repeatable."),
    ] = None,
    engine_port: Annotated[
        list[int] | None,
        typer.Option(
            "--engine-port",
            metavar="PORT",
            min=1,
            max=65535,
            help="Look for an engine here as well; repeatable.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port of this node's gateway (8900)."),
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Accept the control plane from another machine.")
    ] = False,
    workers: Workers = 1,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="The authority of the cluster's certificates."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="This node's certificate (PEM)."),
    ] = None,
    cert_key: Annotated[
        Path | None, typer.Option("--cert-key", metavar="FILE", help="The certificate's key.")
    ] = None,
    drain: Drain = DRAIN_S,
) -> int:
    """Serve this machine's models to a control plane, until Ctrl-C."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan node join")
    from modelscan.gateway.control.listening import ServeOptions
    from modelscan.gateway.node.join import JoinOptions, tls_files
    from modelscan.gateway.node.join import join as run

    listen = ServeOptions(
        port=context.config.serve_port if port is None else port,
        expose=expose,
        workers=workers,
        tls_cert=cert,
        tls_key=cert_key,
        client_ca=ca if cert is not None else None,
        drain_s=drain,
    )
    files = tls_files(ca, cert, cert_key)
    options = JoinOptions(
        url, key, name, advertise, label or (), folder or (), engine_port or (), files
    )
    with reporter(context) as report:
        run(context.config, options, listen, report)
    return 0


def status(context: Context) -> Document[Any]:
    """Show this machine as a node: state, last report, services."""
    from modelscan.gateway.node.answers import node_status

    answer = node_status(context.config)
    rows = [
        (s.model, s.health, s.load_state, s.engine, s.context_tokens, s.endpoint, s.reason)
        for s in answer.services
    ]
    table = Table(
        ("MODEL", "HEALTH", "LOADED", "ENGINE", "CONTEXT", "ENDPOINT", "REASON"),
        rows,
        numeric=("CONTEXT",),
        optional=("CONTEXT", "ENGINE"),
        whole=("HEALTH", "ENDPOINT"),
        below=("REASON",),
        empty="it reports no services" if answer.pid is not None else None,
    )
    blocks: list[Block] = [Fields(_pairs(answer)), table]
    hints = {
        "not_joined": "modelscan node join URL --key env:NAME",
        "not_running": f"modelscan node join {answer.control_plane}",
    }
    ids = [answer.host_id] if answer.host_id else []
    return Document("node.status", answer, blocks, ids, hint=hints.get(answer.state))


def _pairs(answer: NodeStatus) -> list[tuple[str, object]]:
    pairs = [
        ("state", answer.state), ("host", answer.host_id), ("name", answer.display_name),
        ("control_plane", answer.control_plane), ("gateway", answer.gateway),
        ("last_beat_at", answer.last_beat_at), ("problem", answer.problem),
    ]  # fmt: skip
    return [pair for pair in pairs if pair[1] is not None]


def leave(context: Context) -> Document[Any]:
    """Take this machine out of its cluster; its engines go on."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan node leave")
    from modelscan.gateway.node.answers import node_left

    answer = node_left(context.config)
    blocks: list[Block] = [Fields([("left", answer.control_plane), ("host", answer.host_id)])]
    warnings = []
    if answer.problem is not None:
        warnings.append(f"the control plane did not get the message: {answer.problem}")
        blocks.append(Note("without reports it stops sending requests within two beats"))
    ids = [answer.host_id] if answer.host_id else []
    code = EXIT_REMOTE if answer.problem is not None else 0
    return Document("node.leave", answer, blocks, ids, warnings, exit_code=code)
