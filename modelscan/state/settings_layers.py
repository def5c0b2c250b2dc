"""Where raw values of settings come from, and what is wrong with a settings file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.state.paths import Paths
from modelscan.state.setting_kinds import Setting
from modelscan.state.settings_lines import BadLine, settings_text


@dataclass(frozen=True, slots=True)
class SettingLayer:
    """Raw values of one origin, and the lines of a file that have them."""

    origin: str
    values: Mapping[str, Any]
    numbers: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: str) -> str:
        """The origin of a key for an error message, with its line."""
        number = self.numbers.get(key)
        return self.origin if number is None else f"{self.origin}, line {number}"


class Problems:
    """Raises each error, or keeps it."""

    def __init__(self, tolerant: bool) -> None:
        self.tolerant = tolerant
        self.errors: list[UsageError] = []

    def add(self, error: UsageError) -> None:
        """Raise the error, or keep it if problems are tolerated."""
        if not self.tolerant:
            raise error
        self.errors.append(error)


def file_layer(
    file: Path, where: Paths, settings: Mapping[str, Setting], problems: Problems
) -> SettingLayer:
    """A settings file's values of known ``settings``. Each problem is an error with file, line and
    a command.
    """
    text = _text(file, problems)
    read = settings_text(text)
    values = {key: value for key, value in read.values.items() if key in settings}
    for line in read.bad:
        if "\ufffd" not in line.text:  # reported as not UTF-8
            problems.add(_bad_line(file, line, where))
        setting = settings.get(line.key or "")
        if setting is not None and setting.unreadable is not None:
            values.setdefault(setting.key, setting.unreadable)
    for key in read.values:
        if key not in settings:
            near = nearest(key, settings)
            problems.add(_unknown(file, key, read.numbers.get(key), where, near))
    return SettingLayer(str(file), values, read.numbers)


def _text(file: Path, problems: Problems) -> str:
    """The file's text, as far as it can be read."""
    try:
        return read_text(file)
    except UsageError as error:
        problems.add(error)
    try:
        return file.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _bad_line(file: Path, line: BadLine, where: Paths) -> UsageError:
    return UsageError(
        f"{file}, line {line.number} cannot be read: {line.text[:80]!r}: {line.reason}",
        hint=_without_line(file, line.key, line.number, where),
        code="invalid_settings", details={"file": str(file), "line": line.number},
    )  # fmt: skip


def _unknown(file: Path, key: str, number: int | None, where: Paths, near: list[str]) -> UsageError:
    mean = f" (did you mean '{near[0]}'?)" if near else ""
    place = f"{file}, line {number}" if number is not None else str(file)
    return UsageError(
        f"{place}: there is no setting '{key}'{mean}",
        hint=_without_line(file, key, number, where),
        code="invalid_settings", details={"file": str(file), "line": number, "nearest": near},
    )  # fmt: skip


def _without_line(file: Path, key: str | None, number: int | None, where: Paths) -> str:
    """A command that removes the line."""
    project = file != where.user_config_file
    if key is not None and (not project or file.parent == Path.cwd()):
        return f"modelscan config set {key} --unset{' --project' if project else ''}"
    if number is not None:
        return f"sed -i {number}d {shlex.quote(str(file))}   (removes the line)"
    return f"modelscan config path   (edit {file})"


def read_text(file: Path) -> str:
    """A settings file's text. Raises UsageError if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{file}, line {number} is not UTF-8 text",
            hint=f"sed -i {number}d {shlex.quote(str(file))}   (removes the line)",
            code="invalid_settings", details={"file": str(file), "line": number},
        ) from error  # fmt: skip
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint=f"ls -l {shlex.quote(str(file))}"
        ) from error


def check_text(file: Path, text: str, where: Paths) -> None:
    """Raise UsageError for the first line of a file's new text that cannot be read."""
    for line in settings_text(text).bad:
        raise _bad_line(file, line, where)
