"""``modelscan target``: the GPUStack servers that models can be deployed to."""

from __future__ import annotations

from dataclasses import astuple
from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table
from modelscan.cli.framework import command, group

app = group("Configure GPUStack servers to deploy to.")
Name = Annotated[str, typer.Argument(help="The target's name.", metavar="NAME")]


@command(app, "add")
def add(
    context: Context,
    name: Name,
    url: Annotated[str, typer.Argument(help="The server's root, e.g. https://gpustack.lan")],
    key: Annotated[
        str | None, typer.Option("--key", help="Reference to an API key: env:NAME or file:PATH.")
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option("--ca-file", help="PEM file of the server's own CA.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="A cluster's name or id on that server.")
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Make this server the default.")
    ] = False,
) -> Document[Any]:
    """Add or change a server. Sends no request; target test does."""
    from modelscan.state.targets import TargetConfig
    from modelscan.targets.answers import add_target

    target = TargetConfig(name, url, key, ca_file, cluster)
    answer = add_target(context.config.paths, target, default=default)
    pairs = list(zip(answer.target.__slots__, astuple(answer.target), strict=True))
    hint = f"modelscan target test {name}"
    return Document("target.add", answer, [Fields(pairs)], [name], hint=hint)


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List every configured server."""
    answer = context.workspace.targets()
    table = Table(
        ("NAME", "KIND", "URL", "KEY", "CLUSTER", "DEFAULT"),
        [(t.name, t.kind, t.url, t.api_key, t.cluster, t.default) for t in answer.targets],
        optional=("KIND", "KEY"),
        whole=("URL",),
        empty="no servers are configured: modelscan target add NAME URL --key env:NAME",
    )
    return Document("target.list", answer, [table], [target.name for target in answer.targets])


@command(app, "use")
def use(context: Context, name: Name) -> Document[Any]:
    """Make a server the default, which --target auto and --target gpustack select."""
    from modelscan.state import targets
    from modelscan.targets.answers import DefaultTarget

    answer = DefaultTarget(targets.use(context.config.paths, name).default)
    return Document("target.use", answer, [Fields([("default", name)])], [name])


@command(app, "remove")
def remove(context: Context, name: Name) -> Document[Any]:
    """Remove a server; refused while it has recorded deployments."""
    from modelscan.targets.answers import remove_target

    answer = remove_target(context.config.paths, name)
    pairs = [("removed", answer.removed), ("default", answer.default)]
    return Document("target.remove", answer, [Fields(pairs)], [name])


@command(app, "test")
def test(
    context: Context,
    name: Annotated[
        str | None, typer.Argument(help="The target's name (default: the default target).")
    ] = None,
) -> Document[Any]:
    """Check a server: version, permissions of the key, workers, GPUs. Exit 4 or 5 on failure."""
    from modelscan.targets.answers import check_target

    with context.output.status("connecting to the server"):
        answer, code = check_target(context.config, name)
    rows = [(c.name, c.status, c.detail, c.hint) for c in answer.checks]
    table = Table(("CHECK", "STATUS", "DETAIL", "HINT"), rows, folded=("DETAIL",), below=("HINT",))
    ids = [] if code else [answer.target.name]
    return Document("target.test", answer, [table], ids, exit_code=code)
