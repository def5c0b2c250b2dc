"""Body policies, against a slow reference on plain values."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.routing.policy import THINKING_KEYS, apply, apply_to, merge, prepare
from modelscan.routing.table import BodyPolicy, Operation

_KEYS = st.sampled_from(["a", "b", "temperature", "chat_template_kwargs", "x"])
_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "text", "ü"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
_BODIES = st.dictionaries(_KEYS, _VALUES, max_size=4)


def filled(defaults: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """The reference: the caller's values win."""
    out = copy.deepcopy(body)
    for key, value in defaults.items():
        if key not in out:
            out[key] = copy.deepcopy(value)
        elif isinstance(out[key], dict) and isinstance(value, dict):
            out[key] = filled(value, out[key])
    return out


def replaced(overrides: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """The reference: the policy's values win."""
    out = copy.deepcopy(body)
    for key, value in overrides.items():
        both = isinstance(out.get(key), dict) and isinstance(value, dict)
        out[key] = replaced(value, out[key]) if both else copy.deepcopy(value)
    return out


@settings(max_examples=150, deadline=None)
@given(_BODIES, _BODIES, _BODIES, _BODIES)
def test_a_policy_is_the_reference(
    defaults: dict[str, Any], thinking: dict[str, Any], overrides: dict[str, Any],
    body: dict[str, Any],
) -> None:  # fmt: skip
    policy = BodyPolicy(defaults, overrides, thinking=thinking)
    expected = replaced(overrides, filled(defaults, filled(thinking, body)))
    assert apply_to(policy, body, "chat") == expected
    assert apply_to(policy, body, "embeddings") == body


@settings(max_examples=60, deadline=None)
@given(_BODIES, _BODIES)
def test_a_merge_of_policies_is_an_override(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    assert merge(lower, upper) == replaced(upper, lower)


def test_values_that_are_not_concerned_keep_their_bytes() -> None:
    text = b'{"n": 1e400, "i": 123456789012345678901234567890, "o": {"b": 1e400}, "m": [ 1 ]}'
    body = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    apply(prepare(BodyPolicy({"o": {"a": 1}}, {"z": None})), body, "chat")
    out = msgspec.json.encode(body)
    assert out == (
        b'{"n":1e400,"i":123456789012345678901234567890,"o":{"b":1e400,"a":1},"m":[ 1 ],"z":null}'
    )


@pytest.mark.parametrize("key", THINKING_KEYS)
def test_a_caller_who_says_something_about_thinking_decides(key: str) -> None:
    policy = BodyPolicy({}, {}, thinking={"chat_template_kwargs": {"enable_thinking": False}})
    assert apply_to(policy, {key: "high"}, "chat") == {key: "high"}
    own = {"chat_template_kwargs": {"enable_thinking": True}}
    assert apply_to(policy, own, "chat") == own


def system(position: str, *messages: tuple[str, Any]) -> list[dict[str, Any]]:
    policy = BodyPolicy({}, {}, "POLICY", position)  # type: ignore[arg-type]
    body = {"messages": [{"role": role, "content": content} for role, content in messages]}
    changed: list[dict[str, Any]] = apply_to(policy, body, "chat")["messages"]
    return changed


@pytest.mark.parametrize(
    ("position", "content"),
    [
        ("prepend", "POLICY\n\none\n\ntwo"),
        ("append", "one\n\ntwo\n\nPOLICY"),
        ("replace", "POLICY"),
    ],
)
def test_there_is_one_leading_system_message(position: str, content: str) -> None:
    """Whatever the caller sent: at the start, later, or with the newer role's name."""
    sent = [
        ("user", "a"),
        ("system", "one"),
        ("assistant", "b"),
        ("developer", "two"),
        ("user", "c"),
    ]
    changed = system(position, *sent)
    assert [one["role"] for one in changed] == ["system", "user", "assistant", "user"]
    assert changed[0]["content"] == content


def test_parts_of_a_system_message_stay_parts() -> None:
    part = {"type": "text", "text": "own", "cache_control": {"type": "ephemeral"}}
    changed = system("prepend", ("system", [part]), ("user", "a"))
    assert changed[0] == {"role": "system", "content": [{"type": "text", "text": "POLICY"}, part]}
    assert system("prepend", ("user", "a"))[0] == {"role": "system", "content": "POLICY"}
    assert system("prepend", ("system", None))[0]["content"] == "POLICY"


@pytest.mark.parametrize(
    ("operation", "body", "key", "expected"),
    [
        ("messages", {"messages": []}, "system", "S"),
        ("messages", {"system": "own"}, "system", "S\n\nown"),
        ("messages", {"system": [{"type": "text", "text": "own"}]}, "system",
         [{"type": "text", "text": "S"}, {"type": "text", "text": "own"}]),
        ("responses", {"input": "hi"}, "instructions", "S"),
        ("responses", {"instructions": "own", "input": [{"role": "developer", "content": "two"}]},
         "instructions", "S\n\nown\n\ntwo"),
        ("completions", {"prompt": "hi"}, "prompt", "hi"),
        ("chat", {"messages": "no list"}, "messages", "no list"),
        ("chat", {"model": "m"}, "messages", None),
    ],
)  # fmt: skip
def test_every_dialect_has_its_place_for_the_system_prompt(
    operation: Operation, body: dict[str, Any], key: str, expected: Any
) -> None:
    assert apply_to(BodyPolicy({}, {}, "S"), body, operation).get(key) == expected


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("chat", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
         {"messages": [{"role": "user", "content": "<a>"}, {"role": "assistant", "content": "b"}]}),
        ("chat", {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
         {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "<b>"}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("completions", {"prompt": "a"}, {"prompt": "<a>"}),
        ("completions", {"prompt": ["a"]}, {"prompt": ["a"]}),
        ("responses", {"input": "a"}, {"input": "<a>"}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]},
         {"input": [{"role": "user", "content": [{"type": "input_text", "text": "<a>"}]}]}),
        ("chat", {"messages": []}, {"messages": []}),
        ("chat", {"messages": [7, None, "x"]}, {"messages": [7, None, "x"]}),
    ],
)  # fmt: skip
def test_a_template_is_around_the_users_last_text(
    operation: Operation, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert apply_to(BodyPolicy({}, {}, user_template="<{input}>"), body, operation) == expected


_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "system"]), inner)
    ),
    max_leaves=8,
)
_OPERATIONS = st.sampled_from(["chat", "messages", "responses", "completions"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "system", "input", "instructions", "prompt"]),
                       _ANY, max_size=4), _OPERATIONS)  # fmt: skip
def test_no_body_breaks_a_policy(body: dict[str, Any], operation: Operation) -> None:
    """A body of another form than the dialect's is the engine's to judge."""
    policy = BodyPolicy({"a": 1}, {}, "S", user_template="{input}!")
    changed = apply_to(policy, body, operation)
    assert changed["a"] == 1
    assert json.loads(json.dumps(changed)) == changed
