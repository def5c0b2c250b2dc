"""Edits of JSON with comments that leave every other byte as it is.

Editors and assistants keep their settings as JSON with comments and trailing commas, which a
parser and a writer would lose. Positions of the values are found, and text is inserted there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\[\]{}/"]+', re.DOTALL)
_MAX_DEPTH = 64


class NotEditable(ValueError):
    """The text is no JSON with comments, or has another value where an object is needed."""


@dataclass(slots=True)
class _Node:
    """A value and its place; ``members`` are those of an object."""

    start: int
    end: int
    is_object: bool = False
    members: list[_Member] = field(default_factory=list)

    def member(self, key: str) -> _Member | None:
        """The last member of that key, which is the one that counts."""
        return next((one for one in reversed(self.members) if one.key == key), None)


@dataclass(slots=True)
class _Member:
    key: str
    start: int
    value: _Node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def read(self) -> _Node:
        root = self._value(0)
        self._skip()
        if self.at != len(self.text):
            raise self._wrong()
        return root

    def _wrong(self) -> NotEditable:
        line = self.text.count("\n", 0, self.at) + 1
        return NotEditable(f"line {line} is not JSON")

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _next(self) -> str:
        self._skip()
        return self.text[self.at : self.at + 1]

    def _value(self, depth: int) -> _Node:
        if depth > _MAX_DEPTH:
            raise NotEditable(f"it has more than {_MAX_DEPTH} levels")
        first = self._next()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._list(depth)
        return self._scalar()

    def _scalar(self) -> _Node:
        match = _SCALAR.match(self.text, self.at)
        if match is None:
            raise self._wrong()
        try:
            json.loads(match.group())
        except ValueError:
            raise self._wrong() from None
        start, self.at = self.at, match.end()
        return _Node(start, self.at)

    def _list(self, depth: int) -> _Node:
        node = _Node(self.at, 0)
        self.at += 1
        while self._next() != "]":
            self._value(depth + 1)
            self._comma("]")
        self.at += 1
        node.end = self.at
        return node

    def _object(self, depth: int) -> _Node:
        node = _Node(self.at, 0, is_object=True)
        self.at += 1
        while self._next() != "}":
            key = self._scalar()
            name = json.loads(self.text[key.start : key.end])
            if self._next() != ":" or not isinstance(name, str):
                raise self._wrong()
            self.at += 1
            node.members.append(_Member(name, key.start, self._value(depth + 1)))
            self._comma("}")
        self.at += 1
        node.end = self.at
        return node

    def _comma(self, closing: str) -> None:
        mark = self._next()
        if mark == ",":
            self.at += 1
        elif mark != closing:
            raise self._wrong()


def read_json(text: str) -> Any:
    """The value of JSON with comments and trailing commas; {} for an empty text."""
    if not text.strip():
        return {}
    return _plain(text, _Reader(text).read())


def _plain(text: str, node: _Node) -> Any:
    if node.is_object:
        return {member.key: _plain(text, member.value) for member in node.members}
    if text[node.start] == "[":
        reader, items = _Reader(text), []
        reader.at = node.start + 1
        while reader._next() != "]":
            items.append(_plain(text, reader._value(0)))
            reader._comma("]")
        return items
    return json.loads(text[node.start : node.end])


def put_value(text: str, path: Sequence[str], value: Any) -> str:
    """The text with ``value`` at ``path``; objects on the way are made where they are missing.

    Raises NotEditable if something else than an object is on the way.
    """
    if not text.strip():
        text = "{}\n"
    node = _Reader(text).read()
    for number, key in enumerate(path):
        if not node.is_object:
            raise NotEditable(f"'{'.'.join(path[:number]) or 'the file'}' is not an object")
        member = node.member(key)
        if member is None:
            for outer in reversed(path[number + 1 :]):
                value = {outer: value}
            return _insert(text, node, key, value)
        node = member.value
    written = _written(value, _indent_at(text, node.start), _unit(text))
    return text[: node.start] + written + text[node.end :]


def _insert(text: str, node: _Node, key: str, value: Any) -> str:
    unit, outer = _unit(text), _indent_at(text, node.start)
    if not node.members:
        inner = outer + unit
        member = f"{json.dumps(key)}: {_written(value, inner, unit)}"
        head, rest = text[: node.start + 1], text[node.start + 1 :]
        closing = rest if rest.lstrip(" \t").startswith("\n") else f"\n{outer}{rest.lstrip(' ')}"
        return f"{head}\n{inner}{member}{closing}"
    last = node.members[-1]
    if "\n" not in text[node.start : last.start]:  # an object on one line stays on it
        member = f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        return f"{text[: last.value.end]}, {member}{text[last.value.end :]}"
    inner = _indent_at(text, last.start)
    member = f"{json.dumps(key)}: {_written(value, inner, unit)}"
    gap = _SPACE.match(text, last.value.end)
    has_comma = gap is not None and text[gap.end() : gap.end() + 1] == ","
    after = gap.end() + 1 if gap is not None and has_comma else last.value.end
    line_end = _end_of_line(text, after)
    comma = "" if has_comma else ","
    return f"{text[:after]}{comma}{text[after:line_end]}\n{inner}{member}{text[line_end:]}"


def _end_of_line(text: str, at: int) -> int:
    """Behind a comment that follows on the same line; ``at`` if anything else follows."""
    match = re.compile(r"[ \t]*(?://[^\n]*)?(?=\r?\n)").match(text, at)
    return match.end() if match else at


def drop_value(text: str, path: Sequence[str]) -> str:
    """The text without the member at ``path``, and without the objects that this empties."""
    parents = [_Reader(text).read()] if text.strip() else []
    for key in path:
        member = parents[-1].member(key) if parents else None
        if member is None:
            return text
        parents.append(member.value)
    text = _cut(text, parents[-2], path[-1])
    if len(path) > 1 and len(parents[-2].members) == 1:
        return drop_value(text, path[:-1])
    return text


def _cut(text: str, node: _Node, key: str) -> str:
    index = max(i for i, one in enumerate(node.members) if one.key == key)
    member = node.members[index]
    gap = _SPACE.match(text, member.value.end)
    assert gap is not None
    comma = text[gap.end() : gap.end() + 1] == ","
    if index:
        before = _SPACE.match(text, node.members[index - 1].value.end)
        at = before.end() if before is not None else member.start  # of the comma
        line = text.rfind("\n", at, member.start)
        start = line if line >= 0 and not text[line : member.start].strip() else member.start
        kept = text[:at] + text[at + 1 : start]
        return kept + (text[gap.end() :] if comma else text[member.value.end :])
    end = gap.end() + 1 if comma else member.value.end
    line = text.rfind("\n", 0, member.start) + 1
    start = line if not text[line : member.start].strip() and line > node.start else member.start
    if start == line:
        end = _end_of_line(text, end)
        end += 1 if text[end : end + 1] == "\n" else 0
    return text[:start] + text[end:]


def _written(value: Any, indent: str, unit: str) -> str:
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return f"\n{indent}".join(lines)


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    match = re.search(r"\n([ \t]+)\S", text)
    return match.group(1) if match else "  "
