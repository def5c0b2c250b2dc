"""Line edits guided by YAML nodes: the lines on which an entry starts and ends. Pure.

A function returns None if the file is not in plain block style; the caller then uses another kind
of edit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.yaml_reader import yaml_nodes

_PLAIN = re.compile(r"^[A-Za-z_/][\w./:@+-]*$")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def scalar(value: Any) -> str:
    """A value as YAML: plain if unambiguous, else JSON-quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    text = str(value)
    plain = _PLAIN.match(text) and text.lower() not in _WORDS and not text.endswith(":")
    return text if plain else json.dumps(text, ensure_ascii=False)


def item_lines(fields: Mapping[str, Any], column: int) -> list[str]:
    """The lines of an entry: ``- name: …`` with the dash in that column, and its other fields."""
    pad = " " * column
    rows = [f"{key}: {scalar(value)}" for key, value in fields.items()]
    return [f"{pad}- {rows[0]}", *(f"{pad}  {row}" for row in rows[1:])]


def put_text(text: str, fields: Mapping[str, Any]) -> str | None:
    """The text with the entry added or updated."""
    direct = _direct(text)
    if direct is None:
        return None
    entries = _child(direct, "providers")
    if entries is None:
        return None
    lines = text.splitlines()
    if _child(direct, "default_provider") is None:
        edited = _with_default(text, lines, direct, str(fields["name"]))
        return put_text(edited, fields) if edited is not None else None
    if not entries.value:
        return _first_entry(text, lines, direct, fields)
    if not _block_list(entries):
        return None
    entry = _named(entries, str(fields["name"]))
    if entry is None:
        column = _dash_column(lines, entries.value[0])
        if column is None:
            return None
        after = last_line(entries) + 1
        lines[after:after] = item_lines(fields, column)
        return _text(lines, text)
    return _update(text, lines, entry, fields)


def _first_entry(text: str, lines: list[str], direct: Any, fields: Mapping[str, Any]) -> str | None:
    """Insert the first entry below the key of ``providers: []`` (or of an empty value)."""
    key, value = next((k, v) for k, v in direct.value if k.value == "providers")
    line = key.end_mark.line
    if value.end_mark.line == line and value.end_mark.column > value.start_mark.column:
        start, end = value.start_mark.column, value.end_mark.column
        lines[line] = (lines[line][:start].rstrip() + lines[line][end:]).rstrip()
    elif value.id != "scalar":
        return None
    lines[line + 1 : line + 1] = item_lines(fields, key.start_mark.column + 2)
    return _text(lines, text)


def drop_text(text: str, name: str, expected: Any) -> str | None:
    """The text without the entry's own lines; the lines around it stay."""
    direct = _direct(text)
    entries = _child(direct, "providers") if direct is not None else None
    if entries is None or not _block_list(entries):
        return None
    lines: list[str | None] = list(text.splitlines())
    matches = [entry for entry in entries.value if _name(entry) == name]
    for entry in matches:
        if _dash_column(text.splitlines(), entry) is None:
            return None
        first, last = entry.start_mark.line, last_line(entry)
        lines[first : last + 1] = [None] * (last + 1 - first)
    if len(matches) == len(entries.value) and not _empty_list(lines, direct):
        return None
    if not _move_default(lines, direct, expected["routing"]["direct"].get("default_provider")):
        return None
    return _text([line for line in lines if line is not None], text)


def _empty_list(lines: list[str | None], direct: Any) -> bool:
    """Replace ``providers:`` by ``providers: []``; a comment after it stays."""
    key = next(key for key, _ in direct.value if key.value == "providers")
    line = lines[key.start_mark.line] or ""
    head, colon, tail = line.partition(":")
    if head.strip() != "providers" or (tail.strip() and not tail.strip().startswith("#")):
        return False
    lines[key.start_mark.line] = f"{head}{colon} []{tail}"
    return True


def _move_default(lines: list[str | None], direct: Any, default: str | None) -> bool:
    """Replace the old default by the new one, or remove its line."""
    pair = next(((k, v) for k, v in direct.value if k.value == "default_provider"), None)
    if pair is None or pair[1].value == default:
        return True
    key, node = pair
    line = lines[key.start_mark.line]
    if node.start_mark.line != key.start_mark.line or line is None:
        return False
    if default is None:
        lines[key.start_mark.line] = None
        return not line[: key.start_mark.column].strip()
    start, end = node.start_mark.column, node.end_mark.column
    lines[key.start_mark.line] = line[:start] + scalar(default) + line[end:]
    return True


def _update(text: str, lines: list[str], entry: Any, fields: Mapping[str, Any]) -> str | None:
    if entry.flow_style or _dash_column(lines, entry) is None:
        return None
    column, end = entry.start_mark.column, last_line(entry)
    present = {key.value: value for key, value in entry.value}
    for key, value in fields.items():
        if key in present and scalar(value) != present[key].value:
            node = present[key]
            if node.id != "scalar" or node.start_mark.line != node.end_mark.line:
                return None
            _replace(lines, node, scalar(value))
    new_lines = [f"{' ' * column}{k}: {scalar(v)}" for k, v in fields.items() if k not in present]
    lines[end + 1 : end + 1] = new_lines
    stale = present.get("enabled") if "enabled" not in fields else None
    if stale is not None:
        if stale.start_mark.line == entry.start_mark.line:
            return None
        del lines[stale.start_mark.line]
    return _text(lines, text)


def _with_default(text: str, lines: list[str], direct: Any, name: str) -> str | None:
    """Insert ``default_provider`` on a line of its own before ``providers``."""
    key = next(key for key, _ in direct.value if key.value == "providers")
    line, column = key.start_mark.line, key.start_mark.column
    if lines[line][:column].strip():
        return None
    lines.insert(line, f"{' ' * column}default_provider: {scalar(name)}")
    return _text(lines, text)


def _direct(text: str) -> Any:
    node = yaml_nodes(text)
    for key in ("routing", "direct"):
        node = _child(node, key)
    block = node is not None and node.id == "mapping" and not node.flow_style
    return node if block else None


def _child(node: Any, name: str) -> Any:
    if node is None or node.id != "mapping":
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _block_list(node: Any) -> bool:
    return node.id == "sequence" and not node.flow_style and bool(node.value)


def _name(entry: Any) -> str | None:
    node = _child(entry, "name")
    return str(node.value) if node is not None and node.id == "scalar" else None


def _named(entries: Any, name: str) -> Any:
    return next((entry for entry in entries.value if _name(entry) == name), None)


def _dash_column(lines: list[str], entry: Any) -> int | None:
    """The column of the entry's dash; None if its first line contains anything else before it."""
    before = lines[entry.start_mark.line][: entry.start_mark.column]
    return before.index("-") if before.strip() == "-" else None


def last_line(node: Any) -> int:
    """The last line (0-based) of the node's own text: block nodes end before trailing comments."""
    if node.id == "scalar" or node.flow_style or not node.value:
        end = node.end_mark
        return int(end.line if end.column or end.line == node.start_mark.line else end.line - 1)
    last = node.value[-1]
    return last_line(last[1] if isinstance(last, tuple) else last)


def _replace(lines: list[str], node: Any, value: str) -> None:
    """Replace a one-line scalar by another value; a comment after it stays."""
    line, start, end = node.start_mark.line, node.start_mark.column, node.end_mark.column
    lines[line] = lines[line][:start] + value + lines[line][end:]


def _text(lines: list[str], like: str) -> str:
    newline = "\r\n" if "\r\n" in like else "\n"
    return newline.join(lines) + newline
