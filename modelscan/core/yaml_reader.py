"""The one reader of YAML, for every file that a person may edit and for foreign data. Pure.

PyYAML composes the nodes (libyaml where it is built in); the values are built here, with limits,
so that a few lines cannot become gigabytes (nested aliases), and with the line of every value, so
that errors can name it. Strict where other readers disagree: a key that occurs twice, a tab between
tokens and an unknown tag are errors. Keys are always text; dates, octal and base-60 numbers too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
_ALIASED = 100_000  # values that aliases may add to those in the text
_MOST_DIGITS = 19  # a 64-bit integer
_TABS_UP_TO = 1 << 18  # characters that Python's own (slow, strict) scanner is given
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F_]{1,16}$")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$")
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_YES = ("true", "yes", "on")

Path = tuple[str | int, ...]


class YamlProblem(ValueError):
    """Text that cannot be read: ``message``, ``line`` (from 1; None: unknown) and ``hint``."""

    def __init__(self, message: str, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.message = message
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """Where a value is written: its line (from 1), and for a scalar its text in the source."""

    line: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The values (None for an empty text), and the place of each by its path."""

    value: Any
    places: Mapping[Path, SourcePlace] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """The line of the value, or of the nearest mapping or list around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]].line
        return None

    def text(self, path: Path) -> str | None:
        """A scalar as it is written (``0.10``, ``on``), without quotes; None for the rest."""
        place = self.places.get(path)
        return None if place is None else place.text


def read_yaml(text: str, *, max_characters: int = MAX_CHARACTERS) -> YamlDocument:
    """The document with the places of its values. Raises YamlProblem."""
    builder = _Builder(text, places={})
    value = builder.document(_composed(text, max_characters))
    return YamlDocument(value, builder.places or {})


def yaml_value(
    text: str, *, max_characters: int = MAX_CHARACTERS, as_text: bool = False,
    repeated: bool = False,
) -> Any:  # fmt: skip
    """Only the values. ``as_text``: every scalar as its text; ``repeated``: of a key that occurs
    twice the last one counts, for foreign files. Raises YamlProblem."""
    builder = _Builder(text, as_text=as_text, repeated=repeated)
    return builder.document(_composed(text, max_characters))


def yaml_nodes(text: str) -> Any:
    """PyYAML's nodes with their positions, for edits of a text that ``read_yaml`` accepts."""
    return _composed(text, MAX_CHARACTERS)


def _composed(text: str, max_characters: int) -> Any:
    import yaml

    if len(text) > max_characters:
        raise YamlProblem(f"it is longer than {max_characters:,} characters")
    try:
        return yaml.compose(text, Loader=_loader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise YamlProblem(_words(error), line, _hint(error, text, line)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlProblem(f"{error.reason} ({error.character!r})", line) from error
    except (RecursionError, ValueError, IndexError) as error:
        raise YamlProblem("it is nested too deeply, or an escape is not valid") from error


def _loader(text: str) -> Any:
    """libyaml, except for a text with tabs: it accepts tabs between tokens, most readers do not."""
    import yaml

    if "\t" in text:
        if len(text) > _TABS_UP_TO:
            line = text.count("\n", 0, text.index("\t")) + 1
            raise YamlProblem("a file of this size must not contain tabs", line, "use spaces")
        return yaml.SafeLoader
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _words(error: Any) -> str:
    words = f"{error.problem or error.context}"
    if "\\t" in words or "that cannot start any token" in words:
        return "a tab where YAML expects spaces" if "\\t" in words else words
    return f"{words} ({error.context})" if error.context and error.problem else words


def _hint(error: Any, text: str, line: int | None) -> str | None:
    lines = text.splitlines()
    if line is not None and line <= len(lines) and "\t" in lines[line - 1]:
        return f"replace the tab on line {line} by spaces"
    if "mapping values are not allowed" in str(error.problem):
        return "quote a value that contains ': '"
    return None


class _Builder:
    """Builds the values of one document; ``places`` is None where they are not needed."""

    def __init__(
        self, text: str, *, places: dict[Path, SourcePlace] | None = None, as_text: bool = False,
        repeated: bool = False,
    ) -> None:  # fmt: skip
        self.places = places
        self._as_text = as_text
        self._repeated = repeated
        self._left = len(text) + _ALIASED
        self._open: set[int] = set()

    def document(self, node: Any) -> Any:
        """The document's value; None for an empty one."""
        return None if node is None else self._value(node, ())

    def _value(self, node: Any, path: Path) -> Any:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise YamlProblem(f"aliases repeat more than {_ALIASED:,} values", line)
        if node.id == "scalar":
            _check_text(node.value, line)
            self._put(path, SourcePlace(line, node.value))
            return node.value if self._as_text else _scalar(node, line)
        if id(node) in self._open:
            raise YamlProblem("a value contains itself through an alias", line)
        if len(path) >= MAX_DEPTH:
            raise YamlProblem(f"it is nested deeper than {MAX_DEPTH} levels", line)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise _unknown_tag(node.tag, line)
        self._put(path, SourcePlace(line))
        self._open.add(id(node))
        try:
            if node.id == "sequence":
                return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = _key(key_node), key_node.start_mark.line + 1
            if key in lines and not self._repeated:
                raise YamlProblem(
                    f"the key '{key}' occurs twice in one mapping", line,
                    f"remove one of them (the first is on line {lines[key]})",
                )  # fmt: skip
            lines[key] = line
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                values |= self._merged(value_node, path)
        for key_node, value_node in node.value:
            if key_node.tag != f"{_TAG}merge":
                inner = (*path, key_node.value)
                values[key_node.value] = self._value(value_node, inner)
                self._put_line(inner, key_node.start_mark.line + 1)
        return values

    def _merged(self, node: Any, path: Path) -> dict[str, Any]:
        """``<<``: a mapping, or a list of them, the first one with precedence."""
        value = self._value(node, path)
        parts = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, dict):
                raise YamlProblem("'<<' needs a mapping", node.start_mark.line + 1)
            merged |= part
        return merged

    def _put(self, path: Path, place: SourcePlace) -> None:
        if self.places is not None:
            self.places[path] = place

    def _put_line(self, path: Path, line: int) -> None:
        """The line of a value is its key's."""
        if self.places is not None:
            self.places[path] = SourcePlace(line, self.places[path].text)


def _key(node: Any) -> str:
    if node.id != "scalar":
        raise YamlProblem("a key must be text", node.start_mark.line + 1)
    _check_text(node.value, node.start_mark.line + 1)
    return str(node.value)


def _check_text(text: str, line: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise YamlProblem("an escape that is not a character", line) from error


def _scalar(node: Any, line: int) -> Any:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if kind in ("str", "timestamp", "value", "merge"):
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in (*_YES, "false", "no", "off"):
        return text.lower() in _YES
    if kind == "int" and text[:1] in "+-0123456789":
        return _integer(text, line)
    if kind == "float" and (text.lower() in _SPECIAL or text[:1] in "+-.0123456789"):
        return _float(text)
    if kind in ("null", "bool", "int", "float"):
        raise YamlProblem(f"'{text[:40]}' does not match its tag !!{kind}", line, "leave it out")
    raise _unknown_tag(node.tag, line)


def _integer(text: str, line: int) -> int | str:
    if len(text) > _MOST_DIGITS + 8:
        raise YamlProblem(f"a number of {len(text):,} digits", line, "write at most 19 digits")
    if _HEXADECIMAL.match(text):
        return int(text.replace("_", ""), 16)
    return int(text.replace("_", "")) if _INTEGER.match(text) else text


def _float(text: str) -> float | str:
    if text.lower() in _SPECIAL:
        return float(_SPECIAL[text.lower()])
    return float(text.replace("_", "")) if _FLOAT.match(text) and len(text) < 400 else text


def _unknown_tag(tag: str, line: int) -> YamlProblem:
    name = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
    return YamlProblem(f"the tag {name} is not supported here", line, "write the value without it")
