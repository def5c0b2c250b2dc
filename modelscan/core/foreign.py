"""Values of foreign JSON, YAML and headers, used only if they have the expected type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(value: Any) -> str | None:
    """Stripped text; None for an empty one."""
    return value.strip() or None if isinstance(value, str) else None


def strings(value: Any) -> tuple[str, ...]:
    """A string or a list of strings as a tuple without repetitions."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str) and item))


def whole(value: Any) -> int | None:
    """A number >= 0 as an int; None for booleans, negative numbers and implausibly large ones."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < 1e18 else None


def flag(value: Any) -> bool | None:
    """``value`` if it is a boolean, else None."""
    return value if isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The JSON objects of a list; empty if ``value`` is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
