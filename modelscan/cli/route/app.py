"""``modelscan route``: show, check and test the routing file."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command, group
from modelscan.cli.route.health import health
from modelscan.core.errors import EXIT_REMOTE, EXIT_USAGE
from modelscan.core.units import counted

if TYPE_CHECKING:
    from modelscan.core.finding import Finding
    from modelscan.routing.parsed import RoutingFile

app = group("Show, check and change the routing file.")
command(app, "health")(health)
Name = Annotated[
    str, typer.Argument(help="A provider's name or a model it serves.", metavar="NAME")
]


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List every entry: name, address, model, and whether its deployment runs."""
    answer = context.workspace.routes()
    rows = [
        (
            r.name,
            r.state,
            r.tier,
            r.type,
            r.model,
            r.base_url,
            r.context_tokens,
            r.enabled,
            r.default,
        )
        for r in answer.routes
    ]
    table = Table(
        ("NAME", "STATE", "WHERE", "TYPE", "MODEL", "BASE_URL", "CONTEXT", "ENABLED", "DEFAULT"),
        rows,
        numeric=("CONTEXT",),
        empty="the routing file has no entries: modelscan deploy MODEL adds one",
        optional=("ENABLED", "DEFAULT", "MODEL", "CONTEXT", "TYPE"),
        whole=("STATE", "BASE_URL"),
    )
    names = [route.name for route in answer.routes]
    return Document("route.list", answer, [table], names, answer.warnings)


@command(app, "show")
def show(context: Context, name: Name) -> Document[Any]:
    """Show every field of one entry."""
    answer = context.workspace.route(name)
    pairs = [(field.name, getattr(answer.route, field.name)) for field in fields(answer.route)]
    return Document("route.show", answer, [Fields(pairs)], [answer.route.name], answer.warnings)


@command(app, "validate")
def validate(
    context: Context,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also of servers on other machines.")
    ] = False,
) -> Document[Any]:
    """Check the file: format, URLs, names, keys, and which models are served. Exit 2 on errors.

    Requests the lists of models of servers on this machine, which costs no token.
    """
    from dataclasses import replace

    from modelscan.routing.answers import check_routing_file

    path = context.config.routing_file
    file, answer = check_routing_file(path)
    seen = (*_seen(context, file), *_live(context, file, probe))
    valid = answer.valid and not any(one.level == "error" for one in seen)
    answer = replace(answer, findings=(*answer.findings, *seen), valid=valid)
    cells = [(f.level, f.line, f.where, f.message, f.hint) for f in answer.findings]
    blocks: list[Block] = [
        Table(
            ("LEVEL", "LINE", "WHERE", "MESSAGE", "HINT"),
            cells,
            numeric=("LINE",),
            folded=("WHERE", "MESSAGE"),
            below=("HINT",),
            optional=("LINE",),
        )
    ]
    if not cells:
        blocks = [Note(f"{path}: {counted(answer.routes, 'entry', 'entries')}, no problems")]
    messages = [finding.message for finding in answer.findings]
    code = 0 if answer.valid else EXIT_USAGE
    return Document("route.validate", answer, blocks, messages, exit_code=code)


def _seen(context: Context, file: RoutingFile) -> tuple[Finding, ...]:
    """Entries whose deployments do not run; asks the servers of cluster deployments."""
    from modelscan.deploy.route_states import route_findings

    owned = any(route.deployment for route in file.routes)
    return route_findings(file, context.workspace.list() if owned else ())


def _live(context: Context, file: RoutingFile, probe: bool) -> tuple[Finding, ...]:
    """Missing keys, and models that are not served."""
    from modelscan.routing.live_checks import key_findings, served_findings

    offline = context.config.offline
    served = served_findings(file, everywhere=probe, offline=offline)
    return (*key_findings(file), *served)


@command(app, "test")
def test(
    context: Context,
    name: Name,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--no-chat",
            help="Request one token (default: not from hosted providers).",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for an answer.")
    ] = 20.0,
) -> Document[Any]:
    """Check that the entry's server runs, serves the model and answers. Exit 5 if not."""
    from modelscan.routing.answers import find_route, route_tested
    from modelscan.routing.probe import probe_route

    route, warnings = find_route(context.config.routing_file, name)
    with context.output.status(f"connecting to {route.base_url}"):
        result = probe_route(
            route,
            chat=route.type != "openai" if chat is None else chat,
            timeout_s=timeout,
            offline=context.config.offline,
        )
    answer = route_tested(route, result, warnings)
    keys = ("endpoint", "ok", "detail", "status", "models", "answer", "elapsed_s")
    pairs = [("name", route.name), *((key, getattr(answer, key)) for key in keys)]
    return Document(
        "route.test",
        answer,
        [Fields(pairs)],
        [route.name] if answer.ok else [],
        warnings,
        exit_code=0 if answer.ok else EXIT_REMOTE,
    )


for _module in ("decision", "listing", "edit", "history", "exports"):
    import_module(f"modelscan.cli.route.{_module}").register(app)
for _name in ("role", "preset", "provider"):
    app.add_typer(import_module(f"modelscan.cli.route.{_name}").app, name=_name)
