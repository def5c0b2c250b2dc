"""Tool policies: decisions by name, what is removed from a body, what the file may say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelscan.routing.policy import plain_values, raw_values
from modelscan.routing.schema import parse
from modelscan.routing.table import ToolPolicySpec
from modelscan.routing.tool_policy import applying, decide, guard, names_of, prepare

CAREFUL = prepare(ToolPolicySpec("careful", deny=("delete_*", "shell"), confirm=("write_*",)))
CLOSED = prepare(ToolPolicySpec("closed", allow=("read_*", "write_log"), default="deny"))


@pytest.mark.parametrize(
    ("tool", "decision", "policy"),
    [
        ("read_file", "allow", "careful"), ("delete_file", "deny", "careful"),
        ("DELETE_FILE", "deny", "careful"), ("shell", "deny", "careful"),
        ("shell2", "deny", "closed"), ("write_file", "deny", "closed"),
        ("write_log", "confirm", "careful"), ("read_x\ny", "allow", "careful"), ("", "deny", "closed"),
    ],
)  # fmt: skip
def test_the_strictest_policy_decides(tool: str, decision: str, policy: str) -> None:
    assert decide((CAREFUL, CLOSED), tool) == (tool, decision, policy)


def test_lists_win_in_the_order_of_strictness() -> None:
    spec = ToolPolicySpec("p", deny=("a",), confirm=("a", "b"), allow=("*",), default="deny")
    assert [decide((prepare(spec),), one).decision for one in "abc"] == ["deny", "confirm", "allow"]


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {}}}


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        (function("x"), ["x"]), ({"type": "function", "name": "x"}, ["x"]),
        ({"name": "x", "input_schema": {}}, ["x"]), ({"type": "web_search_preview"}, ["web_search_preview"]),
        ({"type": "bash_20250124", "name": "bash"}, ["bash"]),
        ({"type": "custom", "custom": {"name": "x"}}, ["x"]),
        ({"type": "mcp", "server_label": "files"}, ["mcp:files"]),
        # Which one a backend reads is its own affair: both count.
        ({"type": "function", "name": "x", "function": {"name": "y"}}, ["y", "x"]),
        ({}, [""]), (7, [""]), ({"function": {"name": 3}}, [""]),
    ],
)  # fmt: skip
def test_names_of_tools_in_all_forms(tool: Any, names: list[str]) -> None:
    assert names_of(tool) == names


def guarded(body: dict[str, Any], *policies: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    raw = raw_values(body)
    decisions = guard(policies or (CAREFUL,), raw)
    return plain_values(raw), [(one.tool, one.decision) for one in decisions]


def test_denied_tools_are_removed() -> None:
    read, delete, write = map(function, ("read_file", "delete_file", "write_file"))
    body = {"model": "m", "tools": [read, delete, write], "tool_choice": "required", "n": 1}
    kept, decisions = guarded(body)
    assert kept == {**body, "tools": [read, write]}
    assert decisions == [("read_file", "allow"), ("delete_file", "deny"), ("write_file", "confirm")]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "shell"}}, {"type": "tool", "name": "shell"},
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("shell")]}},
    ],
)  # fmt: skip
def test_a_choice_of_a_denied_tool_is_removed(choice: Any) -> None:
    body = {"tools": [function("read"), function("shell")], "tool_choice": choice}
    assert guarded(body)[0] == {"tools": [function("read")]}
    named = {"type": "function", "function": {"name": "read"}}
    assert guarded({**body, "tool_choice": named})[0]["tool_choice"] == named


def test_without_a_tool_left_there_is_no_list() -> None:
    body = {
        "tools": [function("shell")],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "a": 1,
    }
    assert guarded(body)[0] == {"a": 1}
    old = {"functions": [{"name": "shell"}], "function_call": {"name": "shell"}, "a": 1}
    assert guarded(old) == ({"a": 1}, [("shell", "deny")])
    both = {"functions": [{"name": "shell"}, {"name": "f"}], "function_call": {"name": "shell"}}
    assert guarded(both)[0] == {"functions": [{"name": "f"}]}


def test_a_key_twice_hides_nothing() -> None:
    """What is sent is what was decided about, whichever of two keys a backend would read."""
    text = b'[{"function":{"name":"shell"},"function":{"name":"read"}}]'
    import msgspec

    raw = {"tools": msgspec.Raw(text)}
    guard((CAREFUL,), raw)
    assert b"shell" not in bytes(raw["tools"])


def test_no_list_stays_as_it_is() -> None:
    assert guarded({"tools": {"a": 1}}) == ({"tools": {"a": 1}}, [])
    assert guarded({"tools": []})[0] == {}


def test_policies_by_route_and_key() -> None:
    routed = prepare(ToolPolicySpec("r", routes=("coder",), default="deny"))
    keyed = prepare(ToolPolicySpec("k", keys=("ada",), routes=("other",), default="deny"))
    every = (CAREFUL, routed, keyed)
    names = [one.name for one in applying(every, ("coder", None), None)]
    assert names == ["careful", "r"]
    assert [one.name for one in applying(every, ("x",), "ada")] == ["careful", "k"]
    assert [one.name for one in applying(every, ("other",), "bob")] == ["careful", "k"]


def findings(policies: Any) -> list[str]:
    data = {"version": 1, "routing": {"tool_policies": policies}}
    return [one.message for one in parse(json.loads(json.dumps(data))).findings]


def test_the_file_is_checked() -> None:
    assert findings([{"name": "a", "deny": ["x"]}]) == []
    assert findings([{"name": "a", "default": "deny", "keys": ["ada"]}]) == []
    assert "needs deny, confirm, or a default" in findings([{"name": "a", "routes": []}])[0]
    assert "needs name" in findings([{"deny": ["x"]}])[0]
    assert "unknown key 'denied'" in findings([{"name": "a", "denied": ["x"]}])[0]
    assert "not supported" in findings([{"name": "a", "default": "refuse"}])[0]
    twice = [{"name": "a", "deny": ["x"]}, {"name": "a", "deny": ["y"]}]
    assert findings(twice) == ["the policy 'a' is defined twice"]
    nowhere = findings([{"name": "a", "deny": ["x"], "routes": ["coder"]}])
    assert nowhere == ["the tool policy 'a' is for 'coder', which does not exist"]
