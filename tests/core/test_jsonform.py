"""The JSON form of core values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest

from modelscan.core.jsonform import to_json


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
