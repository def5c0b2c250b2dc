"""Edits of the routing file keep everything a person wrote, to the byte."""

from __future__ import annotations

import difflib
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing.edit import drop, entry_fields, load_plain, put
from modelscan.routing.file import (
    add_route,
    check,
    disable_route,
    enable_route,
    load,
    remove_route,
)

OURS = Route("demo", "local", "http://127.0.0.1:41000", "modelscan/demo", deployment="demo")
PERSONAL = """\
# top comment
version: 1   # of the format
routing:
  mode: direct
  direct:
    default_provider: 'cloud'
    providers:
      # the one we pay for
      - name: cloud   # hands off
        type: openai
        base_url: "https://api.example.com"
        model: x/y
        api_key: env:CLOUD_KEY

      # ---- local ones below ----
# end of file
"""


def entries(text: str) -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = load_plain(text)["routing"]["direct"]["providers"]
    return value


def removed_lines(old: str, new: str) -> list[str]:
    return [d[2:] for d in difflib.ndiff(old.splitlines(), new.splitlines()) if d.startswith("- ")]


def test_an_empty_file_becomes_the_contract_s_example() -> None:
    """The first entry brings the skeleton and becomes the default."""
    data = load_plain(put("", entry_fields(OURS)))
    assert data == {
        "version": 1,
        "routing": {
            "mode": "direct",
            "direct": {
                "default_provider": "demo",
                "providers": [
                    {
                        "name": "demo",
                        "type": "local",
                        "base_url": "http://127.0.0.1:41000",
                        "model": "modelscan/demo",
                        "deployment": "demo",
                    }
                ],
            },
        },
    }


def test_adding_changes_no_line_of_a_person() -> None:
    """Add only inserts; what a person wrote is a subsequence of the result."""
    added = put(PERSONAL, entry_fields(OURS))
    assert removed_lines(PERSONAL, added) == []
    assert [e["name"] for e in entries(added)] == ["cloud", "demo"]
    assert load_plain(added)["routing"]["direct"]["default_provider"] == "cloud"


def test_add_then_remove_gives_the_same_bytes() -> None:
    """Remove is the inverse of add."""
    assert drop(put(PERSONAL, entry_fields(OURS)), "demo") == PERSONAL


def test_crlf_and_comments_survive() -> None:
    """A file with Windows line ends keeps them."""
    text = PERSONAL.replace("\n", "\r\n")
    assert drop(put(text, entry_fields(OURS)), "demo") == text


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nrouting: {mode: direct, direct: {providers: [{name: a, type: local, "
        "base_url: 'http://127.0.0.1:1', model: m}]}}\n",
        "version: 1\nrouting:\n  direct:\n    providers: []  # none yet\n",
        "version: 1\nrouting:\n  direct:\n    providers:\n",
        "version: 1\nrouting:\n  direct:\n    default_provider: a\n    providers:\n    - name: a\n"
        "      type: local\n      base_url: http://127.0.0.1:1\n      model: m\n",
        "# only a comment\n",
        "version: 1\n",
        "routing:\n  mode: direct\n",
    ],
)
def test_every_style_can_be_edited(text: str) -> None:
    """Flow style, empty lists, missing sections, compact indentation."""
    before = [] if "name: a" not in text else ["a"]
    added = put(text, entry_fields(OURS))
    assert [e["name"] for e in entries(added)] == [*before, "demo"]
    dropped = drop(added, "demo")
    assert [e["name"] for e in entries(dropped)] == before


def test_a_comment_below_our_entry_outlives_it() -> None:
    """ruamel hangs a comment on the line before it; deleting that line must not delete it."""
    text = put("", entry_fields(OURS)) + "      # my cloud\n      - name: cloud\n"
    text += "        type: openai\n        base_url: https://api.example.com\n        model: x/y\n"
    assert "# my cloud" in drop(text, "demo")
    assert load_plain(drop(text, "demo"))["routing"]["direct"]["default_provider"] == "cloud"


def test_removing_the_last_entry_leaves_a_valid_file() -> None:
    """No entry, no default; the next add works again."""
    emptied = drop(put("", entry_fields(OURS)), "demo")
    assert load_plain(emptied)["routing"]["direct"] == {"providers": []}
    assert [e["name"] for e in entries(put(emptied, entry_fields(OURS)))] == ["demo"]


def test_update_keeps_fields_and_comments_a_person_added() -> None:
    """A new port changes the one value."""
    text = put("", entry_fields(OURS)).replace(
        "type: local", "type: local  # here\n        tags: [x]"
    )
    moved = Route("demo", "local", "http://127.0.0.1:41001", "modelscan/demo", deployment="demo")
    updated = put(text, entry_fields(moved))
    assert removed_lines(text, updated) == ["        base_url: http://127.0.0.1:41000"]
    assert entries(updated)[0]["tags"] == ["x"]


def test_disable_and_enable(tmp_path: Path) -> None:
    """Stop disables, start enables; the file returns to what it was."""
    path = tmp_path / "routing.yaml"
    path.write_text(PERSONAL)
    add_route(path, OURS)
    before = path.read_text()
    assert disable_route(path, "demo", deployment="demo")
    route = load(path).route("demo")
    assert route is not None and not route.enabled
    assert enable_route(path, "demo", deployment="demo")
    assert path.read_text() == before
    assert not disable_route(path, "nope")
    assert not disable_route(path, "cloud", deployment="demo")


def test_a_person_s_entry_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten, nothing is removed."""
    path = tmp_path / "routing.yaml"
    path.write_text(PERSONAL)
    with pytest.raises(UsageError, match="belongs to another owner"):
        add_route(path, Route("cloud", "local", "http://127.0.0.1:1", "m", deployment="cloud"))
    assert not remove_route(path, "cloud", deployment="cloud")
    assert path.read_text() == PERSONAL


def test_broken_yaml_is_named_with_its_line_and_left_alone(tmp_path: Path) -> None:
    """Exit 2, the line, and not a byte changed."""
    path = tmp_path / "routing.yaml"
    path.write_text("version: 1\nrouting: [\n")
    with pytest.raises(UsageError, match="line"):
        add_route(path, OURS)
    assert path.read_text() == "version: 1\nrouting: [\n"
    assert check(path).errors[0].where == "the file"


def _add(arguments: tuple[str, int]) -> None:
    path, number = arguments
    name = f"m{number}"
    add_route(Path(path), Route(name, "local", "http://127.0.0.1:1", "m", deployment=name))


def test_twenty_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Real processes, one file: every entry is there."""
    path = tmp_path / "routing.yaml"
    path.write_text(PERSONAL)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_add, [(str(path), n) for n in range(20)])
    names = {route.name for route in load(path).routes}
    assert names == {"cloud", *(f"m{n}" for n in range(20))}
    assert "# the one we pay for" in path.read_text()


_NAMES = st.sampled_from(["a", "b", "yes", "1", "x: y", "ü#", "c-3.5", "on"])
_STEP = st.tuples(st.sampled_from(["put", "off", "drop"]), _NAMES, st.integers(1, 65535))


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEP, max_size=12), st.booleans())
def test_any_sequence_of_edits_matches_a_plain_list(steps: list[Any], personal: bool) -> None:
    """The file behaves like a dictionary of entries, whatever a person had in it."""
    text = PERSONAL if personal else ""
    expected: dict[str, dict[str, Any]] = {}
    for action, name, port in steps:
        if action == "drop":
            text, _ = drop(text, name) if text else text, expected.pop(name, None)
            continue
        route = Route(name, "local", f"http://127.0.0.1:{port}", "m/x", enabled=action == "put")
        expected[name] = entry_fields(route)
        text = put(text, expected[name])
    found = {e["name"]: e for e in entries(text)} if text else {}
    if personal:
        assert found.pop("cloud")["api_key"] == "env:CLOUD_KEY"
        assert removed_lines(PERSONAL, text) == []
    assert found == expected


@pytest.mark.parametrize("text", ["{}", "null", "~\n", "--- {}\n", "# mine\n{}  # none\n", "---\n"])
def test_an_empty_value_is_replaced_by_the_first_entry(text: str) -> None:
    added = put(text, entry_fields(OURS))
    assert [e["name"] for e in entries(added)] == ["demo"]
    assert ("# mine" in added) == ("# mine" in text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 1\nversion: 1\n", 2, "occurs twice"),
        ("version: 1\nrouting:\n  mode: direct\t\n", 3, "a tab"),
        ("[]\n", None, "must be a mapping, not a list"),
        ("version: 1\nrouting:\n  direct:\n    provider: []\n", 4, "unknown key 'provider'"),
        ("version: 1\nroutes: []\n", 2, "unknown key 'routes'"),
        ("version: 1\nrouting:\n  direct:\n    providers:\n      -\n", 5, "needs name"),
        ("version: 1\nrouting:\n  direct:\n    default_provider: [a]\n", 4, "must be text"),
        ("version: 2020-13-45\n", 1, "version '2020-13-45' is not supported"),
    ],
)
def test_a_file_with_an_error_is_named_by_line_and_not_edited(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        add_route(path, OURS)
    assert str(path) in caught.value.message
    assert line is None or f"line {line}" in caught.value.message
    assert path.read_text() == text
    assert [f.level for f in check(path).findings if f.level == "error"] != []


def test_a_default_that_is_gone_does_not_refuse_an_edit(tmp_path: Path) -> None:
    """The new entry may be the one that is missing."""
    path = tmp_path / "routing.yaml"
    path.write_text("version: 1\nrouting:\n  direct:\n    default_provider: demo\n")
    add_route(path, OURS)
    assert check(path).findings == ()


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "routing.yaml")
    with pytest.raises(UsageError, match="it is not a file"):
        load(tmp_path / "routing.yaml")


def test_what_only_the_other_reader_refuses_is_an_error_too() -> None:
    with pytest.raises(UsageError):
        put("{!!int }", entry_fields(OURS))
