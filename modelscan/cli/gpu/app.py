"""``modelscan gpu``: the GPUs of this machine or of a simulation, and facts about any GPU."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import click
import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import Group, adapted, command, prepare, printed
from modelscan.cli.output import Mode
from modelscan.cli.watch import Count, Interval, watched
from modelscan.core.errors import UsageError
from modelscan.core.gpu import Inventory

_SCREEN_ROWS = 20


class GpuGroup(Group):
    """A group that is also a command without a subcommand."""

    def invoke(self, ctx: click.Context) -> Any:
        prepare(self, ctx)
        return printed(ctx, super().invoke(ctx))


app = typer.Typer(
    help="Show the GPUs here, or facts about any GPU.",
    cls=GpuGroup, rich_markup_mode=None, add_completion=False, invoke_without_command=True,
)  # fmt: skip
Spec = Annotated[
    str | None,
    typer.Option(
        "--gpu", metavar="SPEC",
        help="Simulate ('2x RTX 4090', 'M4 Max 64GB', '24GiB'), or some of these GPUs ('0,1').",
    ),
]  # fmt: skip


def gpu(
    context: Context,
    ctx: typer.Context,
    spec: Spec = None,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")] = False,
    interval: Interval = 2.0,
    count: Count = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="List the processes that use each GPU's memory.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="Show the GPUs of a cluster's workers."),
    ] = None,
) -> Document[Any] | None:
    """Show the GPUs here: memory, free memory, processes, problems and their repair."""
    if ctx.invoked_subcommand is not None:
        return None
    from modelscan.cli.gpu.view import inventory_document

    if target is not None:
        return inventory_document(_cluster(context, target, spec))
    if watch:

        def read() -> Document[Any]:
            return inventory_document(context.workspace.hardware(spec), processes=True)

        watched(context, "gpu", read, interval, count)
        return None
    return inventory_document(context.workspace.hardware(spec), processes=processes)


app.callback()(adapted(gpu))


@command(app, "facts")
def facts(
    context: Context,
    name: Annotated[str | None, typer.Argument(help="A GPU's name (default: all).")] = None,
    filter_text: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="TEXT",
            help="Only GPUs with these words in name, vendor or architecture.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=0, help="Number of rows (0: all; default: 20 on a terminal, else all)."
        ),
    ] = None,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Number of rows to skip.")] = 0,
) -> Document[Any]:
    """Look up the facts about a GPU: memory, bandwidth, generation, native formats."""
    from modelscan.cli.gpu.view import facts_document

    if name is not None and filter_text is not None:
        raise UsageError(
            "give a name or --filter", hint=f"modelscan gpu facts --filter {shlex.quote(name)}"
        )
    if limit is None and context.output.mode is Mode.HUMAN:
        limit = _SCREEN_ROWS
    workspace = context.workspace
    return facts_document(
        workspace.gpu_facts(name, text=filter_text or "", limit=limit or None, offset=offset),
        offset,
    )


def _cluster(context: Context, name: str, spec: str | None) -> Inventory:
    """The GPUs of the cluster's ready workers."""
    from modelscan.targets.gpustack.plan import cluster_hardware
    from modelscan.targets.registry import resolve_target

    where = resolve_target(name, context.config)
    if where == "local":
        return context.workspace.hardware(spec)
    return cluster_hardware(where, context.config, spec)
