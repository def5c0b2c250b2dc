"""The text of a settings file: TOML with one ``key = value`` on each line. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_KEY = re.compile(r"""\s*\[?\s*["']?([A-Za-z0-9_-]+)""")
_PLACE = re.compile(r"\s*\(at (?:line \d+, column \d+|end of document)\)\s*$")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not TOML, or repeats a key. ``key``: what it seems to set."""

    number: int
    text: str
    reason: str
    key: str | None


@dataclass(frozen=True, slots=True)
class SettingsText:
    """``values`` of every readable line, the line ``numbers`` of their keys, and the other lines.

    ``bad`` is empty for a valid file.
    """

    values: Mapping[str, Any]
    numbers: Mapping[str, int] = field(default_factory=dict)
    bad: tuple[BadLine, ...] = ()


def parse(text: str) -> dict[str, Any]:
    """The whole text as TOML. Raises ValueError for invalid TOML."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return values


def settings_text(text: str) -> SettingsText:
    """The values of a settings file; where it is not valid TOML, those of its readable lines."""
    numbers: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key = key_of(line)
        if key is not None:
            numbers.setdefault(key, number)
    try:
        return SettingsText(parse(text), numbers)
    except ValueError as error:
        values: dict[str, Any] = {}
        bad = tuple(_line_by_line(text, values))
        whole = BadLine(1, text.splitlines()[0] if text else "", reason_of(error), None)
        return SettingsText(values, numbers, bad or (whole,))


def _line_by_line(text: str, values: dict[str, Any]) -> Iterator[BadLine]:
    """Put every readable line's value into ``values``; the first of a repeated key counts."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            read = {} if line.lstrip().startswith("[") else parse(line)
        except ValueError as error:
            yield BadLine(number, line.strip(), reason_of(error), key_of(line))
            continue
        for key, value in read.items():
            if key in values:
                yield BadLine(number, line.strip(), f"{key} is set before", key)
            else:
                values[key] = value


def key_of(line: str) -> str | None:
    """The key or section that a line sets or seems to set; None for a comment or an empty line."""
    match = _KEY.match(line)
    return match[1] if match else None


def reason_of(error: ValueError) -> str:
    """The TOML parser's message without the position, which is that of one line."""
    return _PLACE.sub("", str(error))[:200]


def without_key(text: str, key: str) -> list[str]:
    """The lines of the text but those of ``key``."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line for line in lines if key_of(line) != key]


def assignment(key: str, value: str | float | bool) -> str:
    """``key = value`` in TOML."""
    if isinstance(value, bool):
        return f"{key} = {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"{key} = {value!r}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    quoted = re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped)
    return f'{key} = "{quoted}"'
