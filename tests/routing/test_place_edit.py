"""Edits of single values keep every other line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.routing.edit import load_plain
from modelscan.routing.place_edit import REMOVED, change, set_value

TEXT = """\
# mine
version: 1
routing:   # where
  mode: direct
  direct:
    default_provider: a
    providers:
      - name: a   # first
        type: local
        base_url: http://127.0.0.1:1
        model: lab/a

      # before b
      - {name: b, type: local, base_url: "http://127.0.0.1:2", model: lab/b}
  aliases: {}  # none yet
  roles:
  - role_id: x
    # keep
    prompt_policy:
      system_prompt: |
        long
        text
# end
"""
ROLE = ("routing", "roles", 0)
A = ("routing", "direct", "providers", 0)
B = ("routing", "direct", "providers", 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("routing", "mode"), "plano_proxy"),
        (("routing", "aliases", "gpt-4o"), "a"),
        (("routing", "limits", "queue"), 3),
        (("routing", "roles", 1), {"role_id": "y", "routing_policy": {"requires_tags": ["k"]}}),
        ((*ROLE, "operation"), "chat"),
        ((*ROLE, "prompt_policy", "system_prompt"), "short"),
        ((*ROLE, "prompt_policy", "request_policy", "body_defaults", "temperature"), 0.2),
        ((*ROLE, "prompt_policy"), REMOVED),
        (ROLE, REMOVED),
        ((*A, "tags"), ["x", "y"]),
        ((*A, "model"), "lab/z"),
        ((*A, "model"), REMOVED),
        ((*B, "model"), "lab/z"),
        (("routing", "nothing"), REMOVED),
    ],
)
def test_a_value_is_set_or_removed_and_other_lines_stay(path: Any, value: Any) -> None:
    expected = copy.deepcopy(load_plain(TEXT))
    change(expected, path, value)
    edited = set_value(TEXT, path, value)
    assert load_plain(edited) == expected
    kept = [
        line for line in TEXT.splitlines() if line.lstrip().startswith("#") and "keep" not in line
    ]
    assert all(line in edited.splitlines() for line in kept)
    removed = set(TEXT.splitlines()) - set(edited.splitlines())
    assert len(removed) <= (8 if value is REMOVED else 3)


def test_a_new_file_gets_a_header() -> None:
    assert load_plain(set_value("", ("routing", "mode"), "direct")) == {
        "version": 1, "routing": {"mode": "direct"},
    }  # fmt: skip
    edited = set_value("# only a comment\n", ("routing", "aliases", "a"), "b")
    assert load_plain(edited)["routing"]["aliases"] == {"a": "b"}


def test_line_ends_of_windows_stay() -> None:
    edited = set_value(TEXT.replace("\n", "\r\n"), ("routing", "mode"), "plano_proxy")
    assert edited.count("\r\n") == edited.count("\n")


def test_flow_style_goes_through_a_round_trip() -> None:
    flow = "routing: {mode: direct, aliases: {a: b}}  # one line\n"
    edited = set_value(flow, ("routing", "aliases", "c"), "d")
    assert load_plain(edited)["routing"]["aliases"] == {"a": "b", "c": "d"}
    assert "# one line" in edited


def test_a_value_with_an_anchor_is_not_broken() -> None:
    text = "x: &one\n  a: 1\ny: *one\n"
    edited = set_value(text, ("y",), {"a": 2})
    assert load_plain(edited) == {"x": {"a": 1}, "y": {"a": 2}}


_KEYS = st.sampled_from(["a", "b", "name", "on", "x y", "1"])
_SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(
    ["", "text", "on", "1", "a: b", "# no", "- x", "ü", "two\nlines", "'q\""]
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=3)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document, and one new key or item in each mapping and list."""
    found = [path] if path else []
    if isinstance(value, dict):
        found.append((*path, "new"))
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        found.append((*path, len(value)))
        for at, inner in enumerate(value):
            found += places(inner, (*path, at))
    return found


@settings(max_examples=150, deadline=None)
@given(_DOCUMENTS, _VALUES | st.just(REMOVED), st.data(), st.sampled_from([None, True, False]))
def test_any_edit_of_any_document_says_what_it_must(
    document: dict[str, Any], value: Any, data: st.DataObject, flow: bool | None
) -> None:
    """Or is refused; never something else."""
    text = "# top\n" + yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    path = data.draw(st.sampled_from(places(document)))
    if value is REMOVED and path[-1] not in ("new",) and isinstance(path[-1], int):
        parent: Any = document
        for step in path[:-1]:
            parent = parent[step]
        if path[-1] == len(parent):
            return
    expected = copy.deepcopy(document)
    change(expected, path, value)
    try:
        edited = set_value(text, path, value)
    except UsageError:
        return
    assert load_plain(edited) == expected
    assert edited.startswith("# top")
