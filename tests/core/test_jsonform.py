"""The JSON form of core values."""

from __future__ import annotations

import enum
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest

from modelscan.core.jsonform import NotReadable, Tagged, from_json, json_schema, to_json


class Color(str, enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    size_bytes: int | None
    color: Color


@dataclass(frozen=True)
class Outer:
    items: tuple[Inner, ...]
    where: PurePosixPath


def test_nested_values() -> None:
    """Tuples become lists, enums their values, None null, paths text."""
    value = Outer((Inner(None, Color.RED),), PurePosixPath("/a"))
    assert to_json(value) == {"items": [{"size_bytes": None, "color": "red"}], "where": "/a"}
    assert to_json({1: {"b", "a"}}) == {"1": ["a", "b"]}
    assert type(to_json(Color.RED)) is str


def test_what_has_no_json_form_is_a_bug() -> None:
    """Never a silent repr."""
    with pytest.raises(TypeError):
        to_json(object())


class Start(Tagged):
    """A family."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Local(Start):
    kind: Literal["local"] = "local"
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remote(Start):
    kind: Literal["remote"] = "remote"
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    color: Color = Color.RED
    start: Start | None = None
    share: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)
    places: tuple[Path, ...] = ()


@pytest.mark.parametrize(
    "row",
    [
        Row("a"),
        Row("b", start=Local(argv=("x", "y")), env={"A": "1"}),
        Row("c", start=Remote(size=3), share=0.5, places=(Path("/a"),)),
    ],
)
def test_what_is_written_is_read_back(row: Row) -> None:
    """Also through the text of it."""
    assert from_json(Row, json.loads(json.dumps(to_json(row)))) == row


def test_missing_fields_get_defaults_and_unknown_ones_are_dropped() -> None:
    assert from_json(Row, {"name": "a", "of_a_later_release": [1]}) == Row("a")
    assert from_json(Row, {"name": "a", "share": 1}).share == 1.0


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, "name"),
        ({"name": 3}, "$.name"),
        ({"name": "a", "color": "blue"}, "$.color"),
        ({"name": "a", "start": {"kind": "other"}}, "$.start"),
        ({"name": "a", "start": {"kind": "local", "argv": [1]}}, "argv"),
        ([], "object"),
    ],
)
def test_what_cannot_be_read_says_where(value: object, where: str) -> None:
    with pytest.raises(NotReadable, match=re.escape(where)):
        from_json(Row, value)


def test_the_schema_is_of_what_is_written() -> None:
    """Complete and closed; definitions are shared by reference; families are anyOf."""
    jsonschema = pytest.importorskip("jsonschema")
    (schema,), definitions = json_schema([Row])
    assert schema == {"$ref": "#/$defs/Row"}
    assert set(definitions) == {"Row", "Color", "Local", "Remote"}
    assert definitions["Row"]["required"] == ["name", "color", "start", "share", "env", "places"]
    whole = {**schema, "$defs": definitions}
    jsonschema.validate(to_json(Row("a", start=Remote(size=1))), whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a"}, whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**to_json(Row("a")), "more": 1}, whole)


def test_writing_needs_no_msgspec() -> None:
    """What only prints does not pay for the reader."""
    code = "import sys, modelscan.core.jsonform as j; j.to_json({}); assert 'msgspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
