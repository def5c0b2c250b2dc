"""``modelscan gpu``: the devices here or simulated, who holds them, what is wrong; facts of any."""

from __future__ import annotations

from typing import Annotated, Any

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import Group, check_options, command


class GpuGroup(Group):
    """A group whose bare name is a command of its own."""

    def invoke(self, ctx: click.Context) -> Any:
        check_options(self, ctx)
        result = super().invoke(ctx)
        if isinstance(result, Document):
            current().output.emit(result)
            return result.exit_code
        return result or 0


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
MIN_INTERVAL_S = 0.2


@app.callback()
def gpu(
    ctx: typer.Context,
    spec: Spec = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="S", help="Seconds between two readings.")
    ] = 2.0,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, metavar="N", help="Stop watching after N readings."),
    ] = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="List who holds each GPU's memory.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="The GPUs of a cluster's workers."),
    ] = None,
) -> Document | None:
    """Show the GPUs here: memory, what is free, who uses it, what is wrong and how to mend it."""
    if ctx.invoked_subcommand is not None:
        return None
    from modelscan.cli.gpu.view import inventory_document

    if target is not None:
        return inventory_document(_remote(target, spec), processes=False)
    if watch:
        _watch(spec, max(MIN_INTERVAL_S, interval), count)
        return None
    return inventory_document(_inventory(spec), processes=processes)


@command(app, "facts")
def facts(
    name: Annotated[str | None, typer.Argument(help="A GPU's name; without it, all.")] = None,
) -> Document:
    """Look up what is known of a GPU: memory, bandwidth, generation, native formats."""
    from modelscan.cli.gpu.view import facts_document

    return facts_document(name)


def _inventory(spec: str | None) -> Any:
    from modelscan.gpu.inventory import inventory

    return inventory(spec)


def _remote(name: str, spec: str | None) -> Any:
    """The cluster's ready workers as hardware."""
    from modelscan.targets.gpustack.plan import cluster_hardware
    from modelscan.targets.registry import resolve_target

    config = current().config
    where = resolve_target(name, config)
    return _inventory(spec) if where == "local" else cluster_hardware(where, config, spec)


def _watch(spec: str | None, interval_s: float, count: int | None) -> None:
    """Print a reading every ``interval_s``: JSON Lines with ``--json``, else the table anew."""
    import time

    from modelscan.cli.gpu.view import inventory_document
    from modelscan.cli.output import Mode

    output = current().output
    done = 0
    while count is None or done < count:
        if done:
            time.sleep(interval_s)
        document = inventory_document(_inventory(spec), processes=True)
        if output.mode is Mode.JSON:
            output.event("gpu", **document.body)
        else:
            if output.mode is Mode.HUMAN and output.color:
                output.line("\x1b[H\x1b[2J")
            output.emit(document)
        done += 1
