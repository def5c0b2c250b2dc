"""``modelscan route``: the routing file, shown, checked and tried out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command, group
from modelscan.core.errors import EXIT_REMOTE, EXIT_USAGE, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.route import Route
from modelscan.routing.file import check, load
from modelscan.routing.schema import Finding, RoutingFile

app = group("The routing file: where requests go.")
Name = Annotated[
    str, typer.Argument(help="A provider's name or a model it serves.", metavar="NAME")
]


def _row(route: Route, default: str | None) -> dict[str, Any]:
    return {**to_json(route), "default": route.name == default}


def _routes() -> RoutingFile:
    """The file's entries; what is wrong with it becomes warnings, or exit 2 if it is not YAML."""
    file = load(current().config.routing_file)
    for finding in file.findings:
        current().output.warn(finding.message)
    return file


@command(app, "list")
def list_() -> Document:
    """Every entry: name, where it is, what it serves."""
    file = _routes()
    rows = [_row(route, file.default_provider) for route in file.routes]
    columns = ("NAME", "TYPE", "MODEL", "BASE_URL", "CONTEXT", "ENABLED", "DEFAULT")
    keys = ("name", "type", "model", "base_url", "context_tokens", "enabled", "default")
    table = Table(
        columns,
        [[row[key] for key in keys] for row in rows],
        numeric=("CONTEXT",),
        empty="no routes yet: modelscan deploy MODEL adds one",
    )
    body = {
        "routing_file": current().config.routing_file,
        "exists": file.exists,
        "mode": file.mode,
        "default_provider": file.default_provider,
        "routes": rows,
    }
    return Document("route.list", body, [table], [route.name for route in file.routes])


@command(app, "show")
def show(name: Name) -> Document:
    """One entry, whole."""
    file = _routes()
    route = _find(file, name)
    row = _row(route, file.default_provider)
    return Document("route.show", {"route": row}, [Fields(list(row.items()))], [route.name])


@command(app, "resolve")
def resolve(
    name: Annotated[str | None, typer.Argument(help="A name; none asks for the default.")] = None,
) -> Document:
    """Which entry would answer for a name, and why. Changes and sends nothing."""
    from modelscan.routing.resolve import resolve as decide

    file = _routes()
    answer = decide(file, name)
    row = _row(answer.route, file.default_provider) if answer.route else None
    body = {
        "query": name,
        "how": answer.how,
        "reasons": answer.reasons,
        "nearest": answer.nearest,
        "route": row,
    }
    pairs = [("route", answer.route.name if answer.route else None), ("how", answer.how)]
    pairs += [("base_url", answer.route.base_url)] if answer.route else []
    pairs += [("reason", reason) for reason in answer.reasons]
    code = 0 if answer.route else EXIT_USAGE
    hint = f"modelscan route resolve {answer.nearest[0]}" if answer.nearest else None
    ids = [answer.route.name] if answer.route else []
    return Document("route.resolve", body, [Fields(pairs)], ids, exit_code=code, hint=hint)


@command(app, "validate")
def validate() -> Document:
    """Check the file: format, URLs, names, keys by reference. Exit 2 if it has errors."""
    path = current().config.routing_file
    file = check(path)
    rows = to_json([*file.findings, *_drifted(file)])
    blocks: list[Block] = []
    if rows:
        cells = [(r["level"], r["where"], r["message"], r["hint"]) for r in rows]
        blocks.append(Table(("LEVEL", "WHERE", "MESSAGE", "HINT"), cells))
    else:
        blocks.append(Note(f"{path}: {len(file.routes)} entries, nothing to complain about"))
    body = {
        "routing_file": path,
        "exists": path.exists(),
        "valid": not file.errors,
        "routes": len(file.routes),
        "findings": rows,
    }
    code = EXIT_USAGE if file.errors else 0
    return Document("route.validate", body, blocks, [r["message"] for r in rows], exit_code=code)


def _drifted(file: RoutingFile) -> list[Finding]:
    """Entries of a cluster's deployments that are not as we left them; asks the servers."""
    if not any(route.type == "gpustack" and route.deployment for route in file.routes):
        return []
    from modelscan.deploy.deployments import Deployments

    rows = Deployments(current().config).list(current().output.warn)
    there = {row.name: row for row in rows}
    found: list[Finding] = []
    for index, route in enumerate(file.routes):
        row = there.get(route.deployment or "")
        if route.type != "gpustack" or route.deployment is None:
            continue
        if row is None:
            what = f"its deployment '{route.deployment}' is not known here"
        elif row.drift or row.health == "unknown" or (row.state.value != "running" and row.reason):
            what = f"{row.state.value}: {row.reason or row.health}"
        else:
            continue
        where = f"routing.direct.providers[{index}]"
        found.append(Finding("warning", where, f"{route.name}: {what}", "modelscan list"))
    return found


@command(app, "test")
def test(
    name: Name,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--no-chat",
            help="Ask for one real token (default: only from servers of your own).",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds.")] = 20.0,
) -> Document:
    """Is the entry's server there, does it serve the model, does it answer? Exit 5 if not."""
    from modelscan.routing.probe import probe_route

    route = _find(_routes(), name)
    result = probe_route(
        route,
        chat=route.type != "openai" if chat is None else chat,
        timeout_s=timeout,
        offline=current().config.offline,
    )
    body = {"route": to_json(route), **to_json(result)}
    keys = ("ok", "detail", "status", "models", "answer", "elapsed_s")
    blocks = [
        Fields(
            [("name", route.name), ("endpoint", result.endpoint)]
            + [(key, body[key]) for key in keys]
        )
    ]
    code = 0 if result.ok else EXIT_REMOTE
    return Document("route.test", body, blocks, [route.name] if result.ok else [], exit_code=code)


def _find(file: RoutingFile, name: str) -> Route:
    """The entry of that name, enabled or not, else what the name resolves to."""
    from modelscan.routing.resolve import resolve as decide

    route = file.route(name)
    if route is not None:
        return route
    answer = decide(file, name)
    if answer.route is None:
        nearest = answer.nearest[0] if answer.nearest else None
        raise UsageError(
            f"the routing file has no entry '{name}'",
            hint=f"modelscan route show {nearest}" if nearest else "modelscan route list",
            code="unknown_route",
            details={"nearest": list(answer.nearest)},
        )
    return answer.route
