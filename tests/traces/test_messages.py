"""Kept bodies and answers of every dialect, read as chat messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelscan.traces.messages import answer_message, offered_tools, request_messages


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def events(*documents: Any) -> bytes:
    return b"".join(b"event: x\ndata: %b\n\n" % json.dumps(one).encode() for one in documents)


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(("operation", "request_body", "expected"), [
    ("chat", body(messages=[USER]), [USER]),
    ("chat", body(messages=[{"role": "user", "content": [
        {"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:"}}]}]),
     [{"role": "user", "content": "See\n(image_url left out)"}]),
    ("chat", body(messages=[{"role": "assistant", "content": None, "tool_calls": [CALL]},
                            {"role": "tool", "tool_call_id": "c", "content": "2"}]),
     [{"role": "assistant", "content": "", "tool_calls": [CALL]},
      {"role": "tool", "content": "2", "tool_call_id": "c"}]),
    ("messages", body(system="Be brief", messages=[
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f",
                                           "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
                                      "content": [{"type": "text", "text": "2"}]}]}]),
     [{"role": "system", "content": "Be brief"},
      {"role": "assistant", "content": "", "tool_calls": [CALL]},
      {"role": "tool", "content": "2", "tool_call_id": "c"}]),
    ("responses", body(input="Hi", instructions="Be brief"),
     [{"role": "system", "content": "Be brief"}, USER]),
    ("responses", body(input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                              {"type": "function_call", "call_id": "c", "name": "f",
                               "arguments": '{"a": 1}'},
                              {"type": "function_call_output", "call_id": "c", "output": "2"}]),
     [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]},
      {"role": "tool", "content": "2", "tool_call_id": "c"}]),
    ("completions", body(prompt="Hi"), [USER]),
    ("embeddings", body(input="Hi"), None),
    ("chat", b'{"messages": [{"role": "us', None),
    ("chat", b"[1]", None),
    ("transcription", b"", None),
])  # fmt: skip
def test_requests(operation: str, request_body: bytes, expected: Any) -> None:
    assert request_messages(request_body, operation) == expected


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


HELLO = {"role": "assistant", "content": "Hello"}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
ITEM = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
SAID = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello"}],
}


@pytest.mark.parametrize(("answer", "expected"), [
    (body(choices=[{"message": HELLO}]), HELLO),
    (body(choices=[{"message": {"role": "assistant", "content": None, "tool_calls": [CALL]}}]), CALLED),
    (body(choices=[{"text": "Hello"}]), HELLO),
    (events(delta(role="assistant"), delta(content="Hel"), delta(content="lo"), {"choices": []}), HELLO),
    (events(delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}])), CALLED),
    (body(role="assistant", content=[{"type": "text", "text": "Hello"}]), HELLO),
    (events({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"text": "Hel"}},
            {"type": "content_block_delta", "index": 0, "delta": {"text": "lo"}}), HELLO),
    (events({"type": "content_block_start", "index": 0,
             "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}}},
            {"type": "content_block_delta", "index": 0, "delta": {"partial_json": '{"a": '}},
            {"type": "content_block_delta", "index": 0, "delta": {"partial_json": "1}"}}), CALLED),
    (body(output=[SAID]), HELLO),
    (events({"type": "response.created", "response": {}},
            {"type": "response.completed", "response": {"output": [SAID, ITEM]}}),
     {**HELLO, "tool_calls": [CALL]}),
    (b"", None), (b"data: [DONE]\n\n", None), (b"\xff\xfe", None), (body(error="x"), None),
])  # fmt: skip
def test_answers(answer: bytes, expected: Any) -> None:
    assert answer_message(answer) == expected


def test_tools_are_as_the_request_writes_them() -> None:
    assert offered_tools(body(tools=[{"name": "f"}])) == [{"name": "f"}]
    assert offered_tools(body(tools=3)) == offered_tools(b"x") == []
