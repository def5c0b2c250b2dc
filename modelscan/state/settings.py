"""The settings and folders in effect, as values with one JSON form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.state import config as definitions
from modelscan.state.bundled import schemas_dir
from modelscan.state.config import Config
from modelscan.state.database_url import shown_database_url
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold
from modelscan.state.paths import Paths
from modelscan.state.setting_kinds import PROJECT_FILE, Plain, convert, plain
from modelscan.state.settings_layers import check_text, read_text
from modelscan.state.settings_lines import assignment, settings_text, without_key


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting. ``origin``: flag, env:NAME, the path of a file, or default."""

    key: str
    value: Plain
    origin: str
    help: str


@dataclass(frozen=True, slots=True)
class SettingsShown:
    """All settings."""

    settings: tuple[SettingRow, ...]


@dataclass(frozen=True, slots=True)
class SettingWritten:
    """The result of a change. ``value`` None: the setting was removed from ``file``."""

    key: str
    value: Plain
    file: str


@dataclass(frozen=True, slots=True)
class PathsShown:
    """The folders and files that modelscan uses; ``schemas_dir``: JSON Schemas, for editors."""

    config_dir: Path
    cache_dir: Path
    data_dir: Path
    state_dir: Path
    config_file: Path
    routing_file: Path
    store_file: Path
    schemas_dir: Path


def setting_row(config: Config, key: str) -> SettingRow:
    """One setting. Raises UsageError with the nearest names if it is unknown."""
    setting = definitions.known(key)
    value = plain(config.value(setting.key))
    if isinstance(value, str) and setting.key.endswith("_endpoint"):
        value = without_credentials(value)
    if isinstance(value, str) and setting.kind == "database":
        value = shown_database_url(value)
    return SettingRow(setting.key, value, config.origins[setting.key], setting.help)


def without_credentials(url: str) -> str:
    """The address without user and password, which a variable may contain."""
    return re.sub(r"^((?:\w+:)?//)?[^/@?#]*@", lambda match: match[1] or "", url)


def show_settings(config: Config) -> SettingsShown:
    """All settings with values and origins."""
    return SettingsShown(tuple(setting_row(config, s.key) for s in definitions.SETTINGS))


def write_setting(
    where: Paths, key: str, value: str | None, *, project: bool = False
) -> SettingWritten:
    """Write (None: remove) a setting in the user file, or in ./modelscan.toml for ``project``.

    Raises UsageError for an unknown key (that the file does not have either, if it is removed), a
    value of the wrong type, or a file with another line that cannot be read.
    """
    file = Path.cwd() / PROJECT_FILE if project else where.user_config_file
    with hold(where.locks_dir / "config.lock", what="the settings"):
        old = read_text(file) if file.is_file() else ""
        if value is None and key in settings_text(old).numbers:
            name, written = key, None
        else:
            setting = definitions.known(key)
            name = setting.key
            written = None if value is None else convert(setting, value, "config set")
        lines = without_key(old, name)
        if written is not None:
            lines.append(assignment(name, written))
        new = "".join(line + "\n" for line in lines)
        if value is not None:  # a removal must work with more than one bad line
            check_text(file, new, where)
        write_atomic(file, new)
    return SettingWritten(name, written, str(file))


def show_paths(config: Config) -> PathsShown:
    """The folders and files in use."""
    where = config.paths
    return PathsShown(
        where.config, where.cache, where.data, where.state, where.user_config_file,
        config.routing_file, where.store_file, schemas_dir(),
    )  # fmt: skip


def require_value(key: str, value: str | None, unset: bool) -> None:
    """Raise UsageError unless exactly one of a value and ``unset`` is given."""
    if (value is None) != unset:
        raise UsageError("give a value, or --unset", hint=f"modelscan config set {key} VALUE")
