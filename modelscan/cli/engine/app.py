"""``modelscan engine``: the engines of this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields
from modelscan.cli.framework import command, group
from modelscan.core.units import format_bytes

app = group("List, install, select and remove engines.")
Id = Annotated[str, typer.Argument(help="An id of engine list, or an engine's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List every engine of this machine: version, devices, source, and which is used."""
    from modelscan.cli.engine.view import list_document

    with context.output.status("asking every engine for its version and devices"):
        answer = context.workspace.engines()
    return list_document(answer)


@command(app, "use")
def use(context: Context, engine: Id) -> Document[Any]:
    """Select the engine that deployments of its name start with."""
    from modelscan.cli.engine.view import engine_fields
    from modelscan.supervisor.engines.answers import EngineSelected
    from modelscan.supervisor.engines.manage import use as select

    row = select(context.config, engine)
    return Document("engine.use", EngineSelected(row), [engine_fields(row)], [row.id])


@command(app, "remove")
def remove(context: Context, engine: Id, yes: Yes = False) -> Document[Any]:
    """Delete an installed engine; refused while a deployment uses it."""
    from modelscan.cli.deployment_view import confirm
    from modelscan.supervisor.engines.manage import check_removable
    from modelscan.supervisor.engines.manage import remove as delete

    one = check_removable(context.config, engine)
    confirm(f"removing {one}", yes, f"modelscan engine remove {one}")
    answer = delete(context.config, one)
    pairs = [("removed", answer.id), ("freed", format_bytes(answer.freed_bytes))]
    return Document("engine.remove", answer, [Fields(pairs)], [answer.id])


@command(app, "install")
def install(
    context: Context,
    engine: Annotated[str, typer.Argument(help="llama.cpp, vllm or sglang.", metavar="ENGINE")],
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="V", help="This version, not the one for this machine."),
    ] = None,
    build: Annotated[
        str | None,
        typer.Option("--build", metavar="KIND", help="cuda, rocm, vulkan, sycl, metal or cpu."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="A model that the version must serve."),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option("--quantization", "--quant", metavar="Q", help="A format that it must load."),
    ] = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            "--sha256", metavar="HEX", help="The checksum, where the release publishes none."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be installed, and stop.")
    ] = False,
    yes: Yes = False,
) -> Document[Any]:
    """Install an engine for this machine: shown first, checked, removable."""
    from modelscan.cli.engine.install import install_document, wishes_of

    wishes = wishes_of(version, build, tuple(sha256 or ()), model, quantization)
    return install_document(context, engine, wishes, dry_run=dry_run, yes=yes)
