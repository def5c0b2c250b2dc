"""Edits of single values in the routing file's text. Pure: text in, text out.

A value is set or removed at its place, a path of keys and numbers; all other lines keep their
bytes. YAML nodes give the positions. Every result is read again and compared with what it must
say; where the file's style does not allow a line edit (flow style, anchors), ruamel's round trip is
used.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.yaml_reader import Path, yaml_nodes
from modelscan.routing.edit import HEADER, RUAMEL_BUGS, load_plain, not_editable
from modelscan.routing.textnodes import last_line, scalar

REMOVED = object()
_MINIMAL = {"version": 1, "routing": {"mode": "direct"}}


def set_value(text: str, path: Path, value: Any) -> str:
    """The text with ``value`` at ``path``; missing mappings around it are made.

    ``REMOVED`` removes it. A number that is the length of its list appends. Raises UsageError for
    a file whose style does not allow the edit.
    """
    data = load_plain(text)
    if not data:
        text, data = HEADER + _dumped(_MINIMAL, 0), copy.deepcopy(_MINIMAL)
    expected = copy.deepcopy(data)
    change(expected, path, value)
    if expected == data:
        return text
    edited = _line_edit(text, path, value)
    if edited is None or not _reads_as(edited, expected):
        edited = _round_trip(text, path, value)
    if not _reads_as(edited, expected):
        raise not_editable("write the file in plain block style: one key or entry per line")
    return edited


def with_defaults(text: str, name: str, values: Mapping[str, Any]) -> str:
    """The text with ``values`` as the body defaults of the entry ``name``."""
    entries = load_plain(text)["routing"]["direct"]["providers"]
    index = next(at for at, entry in enumerate(entries) if entry.get("name") == name)
    place = ("routing", "direct", "providers", index, "request_policy", "body_defaults")
    return set_value(text, place, dict(values))


def change(data: Any, path: Path, value: Any) -> None:
    """Set or remove a value of parsed data in place."""
    *parents, last = path
    for key, following in zip(parents, path[1:], strict=True):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(key, int) or data.get(key) is not None:
            data = data[key]
        else:
            data[key] = data = empty
    if value is REMOVED:
        if isinstance(last, int) or last in data:
            del data[last]
    elif isinstance(last, int) and last == len(data):
        data.append(value)
    else:
        data[last] = value


def _line_edit(text: str, path: Path, value: Any) -> str | None:
    """The edit of the lines of the value only; None where the style does not allow it."""
    node, depth, keys, flow = yaml_nodes(text), 0, [None], False
    while depth < len(path):
        following = _child(node, path[depth])
        if following is None:
            break
        flow, only = flow or node.flow_style, len(node.value) == 1
        keys, node, depth = [*keys, following[0]], following[1], depth + 1
    lines = text.splitlines()
    if depth == len(path):
        if _simple(node, value):
            return _scalar_replaced(text, lines, node, value)
        if flow:
            return None
        if value is REMOVED and only:
            return _emptied(text, lines, keys[-2], keys[-1], node, path)
        return _replaced(text, lines, keys[-1], node, path[-1], value)
    if value is REMOVED:
        return text
    for step in reversed(path[depth + 1 :]):
        value = [value] if isinstance(step, int) else {step: value}
    return _inserted(text, lines, keys[-1], node, path[depth], value)


def _simple(node: Any, value: Any) -> bool:
    """Whether a scalar on one line is replaced by another one."""
    plain = value is not REMOVED and (not isinstance(value, (Mapping, list)) or not value)
    return plain and node.id == "scalar" and node.start_mark.line == node.end_mark.line


def _scalar_replaced(text: str, lines: list[str], node: Any, value: Any) -> str:
    line, start, stop = lines[node.start_mark.line], node.start_mark.column, node.end_mark.column
    lines[node.start_mark.line] = line[:start] + _flat(value) + line[stop:]
    return _joined(lines, text)


def _emptied(
    text: str, lines: list[str], parent: Any, key: Any, node: Any, path: Path
) -> str | None:
    """Remove the only child: its parent becomes ``{}`` or ``[]``."""
    if parent is None or isinstance(path[-2], int) or parent.end_mark.line == key.start_mark.line:
        return None
    line, at = lines[parent.end_mark.line], parent.end_mark.column
    if not line[at:].startswith(":"):
        return None
    empty = "[]" if isinstance(path[-1], int) else "{}"
    lines[parent.end_mark.line] = f"{line[: at + 1]} {empty}{line[at + 1 :]}"
    del lines[key.start_mark.line : last_line(node) + 1]
    return _joined(lines, text)


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """The key's node (for a list, the item's own) and the value's node."""
    if isinstance(step, int):
        items = node.value if node is not None and node.id == "sequence" else ()
        return (items[step], items[step]) if step < len(items) else None
    pairs = node.value if node is not None and node.id == "mapping" else ()
    return next(((key, value) for key, value in pairs if key.value == step), None)


def _replaced(
    text: str, lines: list[str], key: Any, node: Any, step: str | int, value: Any
) -> str | None:
    first, end = key.start_mark.line, last_line(node)
    before = lines[first][: key.start_mark.column]
    if before.strip() not in ("", "-") or (before.strip() == "-") != isinstance(step, int):
        return None  # the first key on the line of a dash, or a style of its own
    column = before.index("-") if isinstance(step, int) else key.start_mark.column
    if value is REMOVED:
        del lines[first : end + 1]
        return _joined(lines, text)
    lines[first : end + 1] = _lines(step, value, column)
    return _joined(lines, text)


def _inserted(
    text: str, lines: list[str], key: Any, node: Any, step: str | int, value: Any
) -> str | None:
    """Insert below the last line of the mapping or list; an empty one is replaced."""
    if node is None or node.id == "scalar" or not node.value:
        return _filled(text, lines, key, node, step, value)
    if node.flow_style:
        return None
    first = node.value[0][0] if node.id == "mapping" else node.value[0]
    column = first.start_mark.column
    if node.id == "sequence":
        before = lines[first.start_mark.line][:column]
        if before.strip() != "-":
            return None
        column = before.index("-")
    at = last_line(node) + 1
    lines[at:at] = _lines(step, value, column)
    return _joined(lines, text)


def _filled(
    text: str, lines: list[str], key: Any, node: Any, step: str | int, value: Any
) -> str | None:
    """``key:``, ``key: {}`` or ``key: []`` becomes a block; a comment after it stays."""
    if key is None or node is None or node.start_mark.line != node.end_mark.line:
        return None
    line = lines[node.start_mark.line]
    start, stop = node.start_mark.column, node.end_mark.column
    rest = line[stop:] if stop > start else line[start:]
    lines[node.start_mark.line] = (line[:start].rstrip() + rest).rstrip()
    at = node.start_mark.line + 1
    lines[at:at] = _lines(step, value, key.start_mark.column + 2)
    return _joined(lines, text)


def _lines(step: str | int, value: Any, column: int) -> list[str]:
    """The lines of ``step: value``, or of a list's item."""
    item: Any = [value] if isinstance(step, int) else {step: value}
    return _dumped(item, column).splitlines()


def _dumped(value: Any, column: int) -> str:
    """A value as YAML in block style, indented by ``column``."""
    import yaml

    class _Indented(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    text = yaml.dump(
        value, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=4096,
        default_flow_style=False,
    )  # fmt: skip
    pad = " " * column
    return "".join(f"{pad}{line}\n" if line else "\n" for line in text.splitlines())


def _flat(value: Any) -> str:
    if value is None:
        return "null"
    return "{}" if value == {} else scalar(value)


def _joined(lines: list[str], like: str) -> str:
    newline = "\r\n" if "\r\n" in like else "\n"
    return newline.join(lines) + newline


def _reads_as(text: str, expected: Any) -> bool:
    try:
        return bool(load_plain(text) == expected)
    except UsageError:
        return False


def _round_trip(text: str, path: Path, value: Any) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    try:
        data = yaml.load(text)
        change(data, path, value)
        yaml.dump(data, stream)
    except (YAMLError, *RUAMEL_BUGS) as error:  # what only the other reader refuses
        raise not_editable("write the file in plain block style") from error
    return stream.getvalue()
