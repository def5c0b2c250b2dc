"""The names of called tools, out of every dialect's answers, however they are cut."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from modelscan.gateway.data.left import LeftBytes
from modelscan.gateway.data.tools import ToolTail, tool_uses


def events(*documents: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in documents)


def delta(**call: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}


def called(name: str, number: str) -> dict[str, Any]:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": "{}"}}


ITEM = {"type": "function_call", "call_id": "c1", "name": "search", "arguments": "{}"}
ANSWERS: dict[str, tuple[bytes, list[tuple[str, int]]]] = {
    "chat": (
        json.dumps({"choices": [{"message": {"tool_calls": [
            called("search", "a"), called("read", "b"), called("search", "c")]}}]}).encode(),
        [("search", 2), ("read", 1)],
    ),
    "chat stream": (
        events(
            delta(index=0, id="a", function={"name": "search", "arguments": ""}),
            delta(index=0, function={"arguments": '{"name": "none", "tool_calls": 1}'}),
            delta(index=1, id="b", function={"name": "search", "arguments": ""}),
            delta(index=1, id="b", function={"name": "search", "arguments": "{}"}),
        ),
        [("search", 2)],
    ),
    "messages": (
        json.dumps({"content": [{"type": "text", "text": "x"}, {"type": "tool_use", "id": "t",
                                 "name": "read", "input": {"name": "n"}}]}).encode(),
        [("read", 1)],
    ),
    "messages stream": (
        events(
            {"type": "content_block_start", "index": 1, "content_block":
                {"type": "tool_use", "id": "t", "name": "read", "input": {}}},
            {"type": "content_block_delta", "index": 1, "delta": {"partial_json": '"name": 1'}},
        ),
        [("read", 1)],
    ),
    "responses stream": (
        events(
            {"type": "response.output_item.added", "item": ITEM},
            {"type": "response.output_item.done", "item": ITEM},
            {"type": "response.completed", "response": {"output": [ITEM]}},
        ),
        [("search", 1)],
    ),
    "the older form": (
        json.dumps({"choices": [{"message": {"function_call": {"name": "f"}}}]}).encode(),
        [("f", 1)],
    ),
    "words about tools": (
        json.dumps({"choices": [{"message": {"content":
            '{"tool_calls": [{"function": {"name": "x"}}]}'}}]}).encode(),
        [],
    ),
    "broken": (b'data: {"tool_calls": "name"\n\ndata: [1, "tool_calls"]\n\n{', []),
    "empty": (b"", []),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_names_and_counts_are_read_whole_and_in_pieces(name: str) -> None:
    data, expected = ANSWERS[name]
    assert [tuple(one) for one in tool_uses(data)] == expected
    rng = random.Random(name)
    for _ in range(30):
        tail = ToolTail()
        rest = data
        while rest:
            size = rng.choice((1, 3, 17, 90, 1000))
            tail.add(rest[:size])
            rest = rest[size:]
        assert [tuple(one) for one in tail.tools()] == expected


def test_what_left_is_counted_over_all_attempts() -> None:
    left = LeftBytes("chat")
    left.add("a.example", b'{"messages": [], "tools": []}')
    left.add("b.example", b'{"messages": []}')
    assert left.total(None) == 29 + 16
    assert (list(left.hosts), left.kinds(None)) == (["a.example", "b.example"], ("text", "tools"))
    empty = LeftBytes("other")
    empty.add("a.example", b"")
    assert (empty.total(None), empty.kinds(None)) == (0, ())
