"""``modelscan route preset``: hosted providers by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import command, group
from modelscan.cli.route.edited import DryRun, edited

app = group("Hosted providers by name: address and where the key is read from.")


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List the presets: each address, and the variables of the key, in order."""
    from modelscan.routing.answers import list_presets

    answer = list_presets()
    rows = [
        (p.name, p.title, p.base_url, ", ".join(p.key_variables), ", ".join(p.aliases), p.website)
        for p in answer.presets
    ]
    table = Table(
        ("NAME", "PROVIDER", "BASE_URL", "KEY", "ALIASES", "WEBSITE"),
        rows,
        optional=("WEBSITE", "ALIASES", "PROVIDER"),
        whole=("BASE_URL",),
    )
    return Document("route.preset.list", answer, [table], [p.name for p in answer.presets])


@command(app, "add")
def add(
    context: Context,
    preset: Annotated[str, typer.Argument(help="A preset's name or alias.", metavar="PRESET")],
    name: Annotated[str | None, typer.Option("--name", help="The entry's name.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="One model; without it, request models as NAME/MODEL."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="For generic: the server's root.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Reference to the key: env:NAME or file:PATH.")
    ] = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Add an entry for a hosted provider. The key is read when a request is sent, never written."""
    from modelscan.routing.edits import add_provider
    from modelscan.routing.presets import required_preset

    chosen = required_preset(preset)
    entry = name or chosen.name
    fields: dict[str, Any] = {"name": entry, "type": "openai", "preset": chosen.name}
    given = {"base_url": base_url, "model": model, "api_key": key}
    fields |= {field: value for field, value in given.items() if value is not None}
    answer = add_provider(context.config.routing_file, fields, dry_run=dry_run)
    return edited("preset.add", answer, [entry], f"modelscan route test {entry}")
