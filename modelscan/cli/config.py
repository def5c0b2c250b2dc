"""``modelscan config``: settings and their origins."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table, Text
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.targets.local.engines import ConfiguredEngine

app = group("Show and change settings.")
Key = Annotated[str, typer.Argument(help="The setting's name.")]


@command(app, "show")
def show(context: Context) -> Document[Any]:
    """Show every setting with its value and its origin."""
    answer = context.workspace.settings()
    rows = [(row.key, row.value, row.origin) for row in answer.settings]
    table = Table(("SETTING", "VALUE", "ORIGIN"), rows, folded=("VALUE", "ORIGIN"))
    return Document("config.show", answer, [table], [row.key for row in answer.settings])


@command(app, "get")
def get(context: Context, key: Key) -> Document[Any]:
    """Print the value of a setting."""
    from modelscan.state.settings import setting_row

    row = setting_row(context.config, key)
    value = row.value
    text = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return Document("config.get", row, [Text(text)], [text])


@command(app, "set")
def set_(
    key: Key,
    value: Annotated[str | None, typer.Argument(help="The new value.")] = None,
    unset: Annotated[
        bool, typer.Option("--unset", help="Remove the setting from the file.")
    ] = False,
    project: Annotated[
        bool, typer.Option("--project", help="Write ./modelscan.toml, not the user file.")
    ] = False,
) -> Document[Any]:
    """Write a setting to the user file or the project file."""
    from modelscan.state.paths import paths
    from modelscan.state.settings import require_value, write_setting

    require_value(key, value, unset)
    engine = None if value is None else _engine(key, value)
    # The settings are not loaded, so that this command can replace an invalid one.
    answer = write_setting(paths(), key, value, project=project)
    pairs = [("file", answer.file), ("value", answer.value), *engine_pairs(engine)]
    return Document("config.set", answer, [Fields(pairs)], [key])


def _engine(key: str, value: str) -> ConfiguredEngine | None:
    """The engine that the setting would name; raises UsageError where it is none."""
    from modelscan.state.config import known
    from modelscan.targets.local.engines import configured_engine

    return configured_engine(known(key).key, value)


def engine_pairs(engine: ConfiguredEngine | None) -> list[tuple[str, object]]:
    """Version and devices of an engine, as fields."""
    if engine is None:
        return []
    pairs: list[tuple[str, object]] = [("engine", engine.engine), ("version", engine.version)]
    if engine.devices is not None:
        pairs.append(("devices", engine.devices or "the CPU only"))
    return pairs


@command(app, "path")
def path(context: Context) -> Document[Any]:
    """Print the folders and files that modelscan uses."""
    from modelscan.state.settings import show_paths

    answer = show_paths(context.config)
    pairs = [(field.name, getattr(answer, field.name)) for field in fields(answer)]
    return Document("config.path", answer, [Fields(pairs)], [str(value) for _, value in pairs])
