"""One setting: its kind, and how a raw value is converted to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import UsageError
from modelscan.core.units import LARGEST

PROJECT_FILE = "modelscan.toml"
Plain = str | int | float | bool | None
Value = Plain | Path


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``kind``: str, int, float, bool, path, secret, database, networks or
    choice.

    Numbers are from ``minimum`` to ``LARGEST``. ``testing``: only for tests and unusual machines.
    ``unreadable``: the value in place of one that cannot be read (None: the default).
    """

    key: str
    kind: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float = 0
    testing: bool = False
    unreadable: Value = None

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "MODELSCAN_" + self.key.upper()


def plain(value: Value) -> Plain:
    """A value as it is printed and written: a path as text."""
    return str(value) if isinstance(value, Path) else value


def convert(setting: Setting, value: Any, origin: str) -> Plain:
    """Convert a raw value to the setting's kind. Raises UsageError with the value's origin."""
    try:
        converted = _CONVERT[setting.kind](value)
    except (ValueError, TypeError):
        raise _refused(setting, value, origin, f"is not {_KIND[setting.kind]}") from None
    if setting.choices and converted not in setting.choices:
        raise _refused(setting, value, origin, f"is not one of {', '.join(setting.choices)}")
    if isinstance(converted, (int, float)) and not setting.minimum <= converted <= LARGEST:
        limits = f"is not between {setting.minimum:g} and {LARGEST:g}"
        raise _refused(setting, value, origin, limits)
    if setting.key.endswith("_endpoint") and origin == "config set":
        _check_address(setting, str(converted))
    if setting.kind == "secret":
        from modelscan.state.secrets import check_reference

        check_reference(str(converted))
    if setting.kind == "database":
        from modelscan.state.database_url import check_database_url

        check_database_url(str(converted), origin)
    if setting.kind == "networks":
        from modelscan.core.reach import read_networks

        try:
            read_networks(str(converted))
        except ValueError as error:
            raise _refused(setting, value, origin, f"is no list of networks: {error}") from None
    return converted


def _check_address(setting: Setting, address: str) -> None:
    """Raises UsageError for what is no address of a server, or has credentials."""
    if "@" in address:
        raise UsageError(
            "credentials in a URL are not accepted",
            hint=f"modelscan config set {setting.key.replace('endpoint', 'token')} env:NAME",
            code="literal_secret",
        )
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(setting, address, "config set", "is no address like https://HOST")


def _refused(setting: Setting, value: Any, origin: str, why: str) -> UsageError:
    """The error for a value, with the command (or variable) that corrects it."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "…"
    variable = origin.partition(":")[2] if origin.startswith("env:") else None
    example = setting.choices[0] if setting.choices else setting.default
    value_text = "VALUE" if example is None else _plain(example)
    project = " --project" if PROJECT_FILE in origin else ""
    command = f"modelscan config set {setting.key} {value_text}{project}"
    hint = f"unset {variable}" if variable else command
    return UsageError(f"{origin}: {setting.key} = {shown} {why}", hint=hint)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(value)
    return word in _TRUE


def _int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # raises a ValueError for bytes that are not text
    if "\0" in value:  # no path and no variable can have it
        raise ValueError(value)
    return value


_KIND = {
    "str": "text", "path": "a path", "secret": "a reference", "choice": "text",
    "database": "text", "networks": "text",
    "int": "a whole number", "float": "a number", "bool": "true or false",
}  # fmt: skip
_CONVERT: dict[str, Callable[[Any], Plain]] = {
    "str": _str, "path": _str, "secret": _str, "choice": _str,
    "database": _str, "networks": _str,
    "int": _int, "float": _float, "bool": _bool,
}  # fmt: skip
