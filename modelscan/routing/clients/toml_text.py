"""A block of our own in a TOML file, between two lines that mark it.

Top-level keys must precede every table, so keys that choose the model form a block at the
beginning, and tables one at the end.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from modelscan.routing.clients.json_text import NotEditable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BEGIN = "# >>> modelscan connect: removed by --remove"
_END = "# <<< modelscan connect"
_BLOCK = re.compile(rf"^{re.escape(_BEGIN)}$.*?^{re.escape(_END)}$\r?\n?", re.DOTALL | re.MULTILINE)
_PLAIN_KEY = re.compile(r"^[A-Za-z0-9_-]+$")


def read_toml(text: str) -> dict[str, Any]:
    """The file's values. Raises NotEditable with the parser's message."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return values
    except tomllib.TOMLDecodeError as error:
        raise NotEditable(str(error)) from error


def without_blocks(text: str) -> str:
    """The text without the blocks of an earlier call."""
    return _BLOCK.sub("", text)


def with_blocks(text: str, first: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """The text with ``first`` (keys) at its beginning and ``tables`` at its end.

    Raises NotEditable if the person's own part already defines one of the tables.
    """
    rest = without_blocks(text)
    present = read_toml(rest)
    for path in _table_paths(tables):
        if _has(present, path):
            raise NotEditable(f"it already has a table [{'.'.join(path)}] of its own")
    head = _block([f"{_key(key)} = {_value(value)}" for key, value in first.items()])
    tail = _block([line for path in _table_paths(tables) for line in _table(tables, path)])
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return head + rest + tail


def _block(lines: list[str]) -> str:
    return "\n".join([_BEGIN, *lines, _END]) + "\n" if lines else ""


def _table_paths(tables: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(outer, inner) for outer, inners in tables.items() for inner in inners]


def _table(tables: Mapping[str, Any], path: tuple[str, str]) -> list[str]:
    fields = tables[path[0]][path[1]]
    rows = [f"{_key(key)} = {_value(value)}" for key, value in fields.items()]
    return [f"[{'.'.join(map(_key, path))}]", *rows]


def _has(present: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(present, Mapping) or key not in present:
            return False
        present = present[key]
    return True


def _key(key: str) -> str:
    return key if _PLAIN_KEY.match(key) else json.dumps(key)


def _value(value: Any) -> str:
    """Strings, numbers and truth values are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)
