"""Any split of the model server's bytes gives the same bytes to the caller."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.gateway.data.translate.chunks import EventLines
from modelscan.gateway.data.translate.faces import Dialect, StreamTranslator, translate

decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
REQUESTS: dict[Dialect, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "hello"}], "stream": True},
    "responses": {"input": "hello", "stream": True},
    "ollama_chat": {"messages": [{"role": "user", "content": "hello"}]},
    "ollama_generate": {"prompt": "hello"},
}
CHANGING = re.compile(
    rb'(?:msg|toolu|resp|rs|fc|call|req)_[0-9a-f]{24}|"created_at":[^,}]+|_duration":\d+'
)


def event(data: object) -> bytes:
    return b"data: %s\r\n\r\n" % json.dumps(data, ensure_ascii=False).encode()


def part(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}}


def delta(reason: str | None = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]})


SERVER = (
    b": keep-alive\n\n" + delta(role="assistant") + delta(reasoning_content="hm 🌱")
    + delta(content="pöng") + b"event: message\nid: 4\n" + delta(content=" 🔍")
    + delta(tool_calls=[part(0, "a", '{"x":')]) + delta(tool_calls=[part(1, "b", "{}")])
    + delta("tool_calls", tool_calls=[part(0, None, '"é"}')])
    + event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}) + b"data: [DONE]\n\n"
)  # fmt: skip


def answered(dialect: Dialect, pieces: list[bytes]) -> bytes:
    body = json.dumps({"model": "m", **REQUESTS[dialect]}).encode()
    translator = StreamTranslator(translate(dialect, body, decode_top(body)).stream())
    sent = b"".join(map(translator.feed, pieces)) + translator.close()
    return CHANGING.sub(b"?", sent)


@pytest.mark.parametrize("dialect", REQUESTS)
def test_every_position(dialect: Dialect) -> None:
    whole = answered(dialect, [SERVER])
    assert "pöng".encode() in whole
    for at in range(1, len(SERVER)):
        assert answered(dialect, [SERVER[:at], SERVER[at:]]) == whole
    assert answered(dialect, [bytes([one]) for one in SERVER]) == whole


@given(st.lists(st.binary(max_size=60), max_size=12))
@settings(max_examples=300, deadline=None)
def test_bytes_of_no_meaning_never_raise(pieces: list[bytes]) -> None:
    for dialect in REQUESTS:
        answered(dialect, [b"data: ", *pieces, b"\n\n"])


def test_an_endless_event_is_refused() -> None:
    lines = EventLines(limit=1000)
    with pytest.raises(ValueError, match="1000 bytes"):
        for _ in range(100):
            lines.feed(b"data: " + b"x" * 100 + b"\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "role", "content", "text", "name", "input", "output", "tools", "source"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.sampled_from(list(REQUESTS)),
    st.dictionaries(
        st.sampled_from(["messages", "input", "system", "tools", "tool_choice", "text", "options", "format"]),
        json_values, max_size=4,
    ),
)  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_any_request_is_translated_or_refused(dialect: Dialect, fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", **REQUESTS[dialect], **fields}).encode()
    try:
        translation = translate(dialect, body, decode_top(body))
    except ValueError as error:
        assert type(error).__name__ == "BadRequest"
        return
    chat = json.loads(msgspec.json.encode(translation.chat))
    systems = [i for i, one in enumerate(chat["messages"]) if one["role"] == "system"]
    assert dialect.startswith("ollama") or systems in ([], [0])
