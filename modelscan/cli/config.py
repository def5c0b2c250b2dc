"""``modelscan config``: settings and where they come from."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document, Fields, Table, Text
from modelscan.cli.framework import command, group
from modelscan.state import config as settings
from modelscan.state.locks import hold
from modelscan.state.paths import paths

app = group("Settings and where they come from.")
Key = Annotated[str, typer.Argument(help="A setting's name.")]


def _row(config: settings.Config, setting: settings.Setting) -> dict[str, object]:
    value = config.value(setting.key)
    shown = str(value) if setting.kind == "path" and value is not None else value
    origin = config.origins[setting.key]
    return {"key": setting.key, "value": shown, "origin": origin, "help": setting.help}


@command(app, "show")
def show() -> Document:
    """Every setting, its value and its origin."""
    config = current().config
    rows = [_row(config, setting) for setting in settings.SETTINGS]
    table = Table(
        ("SETTING", "VALUE", "ORIGIN"), [(r["key"], r["value"], r["origin"]) for r in rows]
    )
    return Document("config.show", {"settings": rows}, [table], [str(r["key"]) for r in rows])


@command(app, "get")
def get(key: Key) -> Document:
    """One setting's value."""
    row = _row(current().config, settings.known(key))
    value = row["value"]
    text = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return Document("config.get", row, [Text(text)], [text])


@command(app, "set")
def set_(
    key: Key,
    value: Annotated[str | None, typer.Argument(help="The new value.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Remove the setting instead.")] = False,
    project: Annotated[bool, typer.Option("--project", help="Write ./modelscan.toml.")] = False,
) -> Document:
    """Write a setting to the user file (or the project file)."""
    from pathlib import Path

    from modelscan.core.errors import UsageError

    if (value is None) != unset:
        raise UsageError("give a value, or --unset", hint=f"modelscan config set {key} VALUE")
    where = paths()  # the settings are not read: one that is wrong must not keep this from mending
    file = Path.cwd() / settings.PROJECT_FILE if project else where.user_config_file
    with hold(where.locks_dir / "config.lock", what="the settings"):
        written = settings.set_value(file, key, value)
    body = {"key": settings.known(key).key, "value": written, "file": str(file)}
    return Document("config.set", body, [Fields([("file", file), ("value", written)])], [key])


@command(app, "path")
def path() -> Document:
    """The folders and files modelscan uses."""
    config = current().config
    where = config.paths
    rows = {
        "config_dir": where.config, "cache_dir": where.cache, "data_dir": where.data,
        "state_dir": where.state, "config_file": where.user_config_file,
        "routing_file": config.routing_file, "store_file": where.store_file,
    }  # fmt: skip
    return Document(
        "config.path", rows, [Fields(list(rows.items()))], [str(value) for value in rows.values()]
    )
