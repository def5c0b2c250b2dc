"""``modelscan serve``: one endpoint for every model of the routing file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.framework import single
from modelscan.cli.option_groups import grouped
from modelscan.cli.serve_log import LogFormat, ServeLog
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from modelscan.gateway.control.events import Report, ServeEvent
    from modelscan.gateway.control.listening import ServeOptions


Workers = Annotated[
    int, typer.Option("--workers", min=1, max=64, help="Processes that forward requests.")
]
Drain = Annotated[
    float,
    typer.Option("--drain", min=0, metavar="SECONDS", help="Seconds for running requests to end."),
]
DRAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class ServeCertificates:
    """The options of TLS."""

    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM): https.")
    ] = None
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's key (PEM).")
    ] = None
    client_ca: Annotated[
        Path | None,
        typer.Option("--client-ca", metavar="FILE", help="Only clients with its certificates."),
    ] = None


@dataclass(frozen=True, slots=True)
class ServeAsNode:
    """The options of a gateway that is also a node of another one."""

    node: Annotated[
        str | None,
        typer.Option("--node", metavar="URL", help="Also be a node of this control plane."),
    ] = None
    node_key: Annotated[
        str | None,
        typer.Option("--node-key", help="Reference to a key of scope node: env:NAME, file:PATH."),
    ] = None
    advertise: Annotated[
        str | None,
        typer.Option(
            "--advertise", metavar="HOST[:PORT]", help="With --node: where it connects to."
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="With --node: repeatable."),
    ] = None
    folder: Annotated[
        list[Path] | None,
        typer.Option("--folder", metavar="DIR", help="With --node: list its .gguf files."),
    ] = None

    def check(self) -> None:
        """Raises UsageError for options of a node without a control plane."""
        given = dataclasses.asdict(self)
        name = next((name for name, value in given.items() if value), None)
        if name is not None and self.node is None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} needs --node URL", hint="modelscan serve --node URL")


@grouped
def serve(
    context: Context,
    *,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on (default: 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port (default: 8900; 0: any free one)."),
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Accept other machines; needs a key.")
    ] = False,
    workers: Workers = 1,
    certificates: ServeCertificates,
    membership: ServeAsNode,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Tools for assistants at /mcp (Model Context Protocol).")
    ] = False,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="With --mcp: deploy, start, stop, remove.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="The log on standard error.")
    ] = "text",
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="A line for each request, without its text.")
    ] = False,
    drain: Drain = DRAIN_S,
) -> int:
    """Serve every model of the routing file at one address, until Ctrl-C."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan serve")
    from modelscan.gateway.control.listening import ServeOptions

    config = context.config
    options = ServeOptions(
        host=host,
        port=config.serve_port if port is None else port,
        expose=expose,
        workers=workers,
        **dataclasses.asdict(certificates),
        hosts=_words(config.serve_hosts),
        origins=_words(config.serve_origins) or (),
        drain_s=drain,
        log_requests=log_requests,
    )
    extra = _assistance(mcp, allow_changes, config.offline)
    membership.check()
    _run(context, options, extra, log_format, membership)
    return 0


def _run(
    context: Context,
    options: ServeOptions,
    extra: Sequence[BaseRoute],
    log_format: LogFormat,
    membership: ServeAsNode,
) -> None:
    """Until Ctrl-C: alone, or as a node as well."""
    from modelscan.gateway.control.serving import serve as run
    from modelscan.web.mount import pages

    mounts = [pages(context.workspace)]
    with reporter(context, log_format) as report:
        if membership.node is None:
            run(context.config, options, report, extra=extra, mounts=mounts)
            return
        from modelscan.gateway.node.join import JoinOptions, join, tls_files

        node, key, advertise, label, folder = dataclasses.astuple(membership)
        tls = tls_files(options.client_ca, options.tls_cert, options.tls_key)
        wishes = JoinOptions(
            node, key, None, advertise, label or (), folder or (), (), tls, only_node=False
        )
        join(context.config, wishes, options, report, extra=extra, mounts=mounts)


def _assistance(mcp: bool, allow_changes: bool, offline: bool) -> Sequence[BaseRoute]:
    """The routes of ``--mcp``. Raises UsageError without the protocol's package."""
    if not mcp:
        if allow_changes:
            raise UsageError("--allow-changes needs --mcp", hint="modelscan serve --mcp")
        return ()
    from modelscan.state.server.extra import require_package

    require_package("serve --mcp", "mcp")
    from modelscan.cli.inside import printed_inside
    from modelscan.mcp.http import mcp_routes

    return mcp_routes(printed_inside, allow_changes=allow_changes, offline=offline)


@contextlib.contextmanager
def reporter(context: Context, form: LogFormat = "text") -> Iterator[Report]:
    """What prints the events of a gateway."""
    events, errors = context.output.events, context.output.stderr
    log = ServeLog(errors, form) if events is None else ServeLog(events, "events")
    with contextlib.closing(log):
        yield lambda event: _report(context, log, form, event)


def _words(text: str | None) -> tuple[str, ...] | None:
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    return words or None


def _report(context: Context, log: ServeLog, form: LogFormat, event: ServeEvent) -> None:
    """Events as JSON Lines with --json, else as lines of the log."""
    if context.output.events is not None:
        log.write(event)
        return
    if event.name == "ready":
        context.output.line(event.values["url"] + "/v1")
        if form == "text":
            _introduce(context, event)
            return
    if not context.flags.quiet:
        log.write(event)


def _introduce(context: Context, event: ServeEvent) -> None:
    note = context.output.note
    note(event.text)
    names = event.values["routes"]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    note(f"models: {shown}" if names else "no models yet: modelscan deploy MODEL adds one")
    url = event.values["url"]
    note(f"pages: {url} (modelscan open: with the key that may change things)")
    if not event.values["keys"]:
        note("other machines: modelscan key create, then modelscan serve --expose")
    note("Ctrl-C ends it")


app = single(serve)
