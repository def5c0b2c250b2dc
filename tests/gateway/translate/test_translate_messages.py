"""The Messages API over chat completions: requests, whole answers, events, errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelscan.gateway.data.translate.chunks import decode_chunk
from modelscan.gateway.data.translate.faces import StreamTranslator, Translation, translate
from modelscan.gateway.data.translate.failure import BadRequest, read_failure

decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def made(request: dict[str, Any]) -> Translation:
    body = json.dumps({"model": "coder", "max_tokens": 100, **request}).encode()
    return translate("messages", body, decode_top(body))


def chat(request: dict[str, Any]) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(made(request).chat))


def messages(*turns: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return chat({"messages": list(turns), **more})["messages"]


def events(sent: bytes) -> list[dict[str, Any]]:
    """The events, each with an event line that agrees with its type."""
    found = []
    for block in sent.decode().split("\n\n")[:-1]:
        head, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert head == f"event: {event['type']}"
        found.append(event)
    return found


def stream(*chunks: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    translator = StreamTranslator(made({"messages": [], "stream": True}).stream())
    sent = b""
    for chunk in chunks:
        data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
        sent += translator.feed(b"data: " + data + b"\n\n")
    return events(sent + translator.close())


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def call(index: int, arguments: str, name: str | None = None, id: str | None = None) -> Any:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function} | ({"id": id} if id else {})


class TestRequest:
    def test_one_leading_system_message_without_the_billing_line(self) -> None:
        sent = messages(
            {"role": "user", "content": "hello"},
            {"role": "system", "content": [{"type": "text", "text": "skills"}]},
            {"role": "assistant", "content": "hi"},
            {"role": "system", "content": "later"},
            system=[
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"},
                {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
            ],
        )
        assert sent == [
            {"role": "system", "content": "be brief\n\nskills"},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": "<system>\nlater\n</system>"},
        ]

    def test_a_tool_loop(self) -> None:
        sent = messages(
            {"role": "user", "content": "read it"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "I need the file", "signature": "none"},
                {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.txt"}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "go on"},
                {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [
                    {"type": "text", "text": "no such file"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QQ=="}},
                ]},
            ]},
        )  # fmt: skip
        assert sent[1] == {
            "role": "assistant", "content": None, "reasoning_content": "I need the file",
            "tool_calls": [{"id": "t1", "type": "function",
                            "function": {"name": "Read", "arguments": '{"path": "a.txt"}'}}],
        }  # fmt: skip
        assert sent[2] == {"role": "tool", "tool_call_id": "t1", "content": "Error: no such file"}
        assert sent[3]["content"] == [
            {"type": "text", "text": "go on"},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QQ=="}},
        ]

    def test_thinking_outside_a_tool_loop_is_left_out(self) -> None:
        block = {"type": "thinking", "thinking": "hm", "signature": "none"}
        sent = messages({"role": "assistant", "content": [block, {"type": "text", "text": "yes"}]})
        assert sent == [{"role": "assistant", "content": "yes"}]

    @pytest.mark.parametrize(("given", "expected"), [
        ({"type": "auto"}, "auto"), ({"type": "any"}, "required"), ({"type": "none"}, "none"),
        ({"type": "tool", "name": "Read"}, {"type": "function", "function": {"name": "Read"}}),
    ])  # fmt: skip
    def test_tools(self, given: dict[str, Any], expected: Any) -> None:
        schema = {"type": "object", "properties": {"n": {"const": 1e400}}}
        tools = [{"name": "Read", "description": "Read a file", "input_schema": schema},
                 {"type": "web_search_20250305", "name": "web_search"}]  # fmt: skip
        body = json.dumps({
            "model": "coder", "messages": [], "tools": tools,
            "tool_choice": {**given, "disable_parallel_tool_use": True},
        }).replace("Infinity", "1e400").encode()  # fmt: skip
        sent = msgspec.json.encode(translate("messages", body, decode_top(body)).chat)
        assert b"1e400" in sent  # schemas are not decoded
        document = json.loads(sent)
        assert [tool["function"]["name"] for tool in document["tools"]] == ["Read"]
        assert document["tool_choice"] == expected
        assert document["parallel_tool_calls"] is False

    def test_parameters(self) -> None:
        sent = chat({
            "messages": [], "stop_sequences": ["END"], "temperature": 0.5, "top_k": 7, "min_p": 0.1,
            "metadata": {"user_id": "x"}, "thinking": {"type": "adaptive"}, "stream": True,
            "context_management": {}, "output_config": {"effort": "max", "format": {
                "type": "json_schema", "schema": {"type": "object"}}},
        })  # fmt: skip
        assert sent == {
            "model": "coder", "max_tokens": 100, "messages": [], "stop": ["END"], "stream": True,
            "temperature": 0.5, "top_k": 7, "min_p": 0.1, "reasoning_effort": "high",
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "answer", "schema": {"type": "object"}, "strict": True}},
        }  # fmt: skip

    @pytest.mark.parametrize("request_", [
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]},
        {"messages": "hello"}, {}, {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
    ])  # fmt: skip
    def test_refused(self, request_: dict[str, Any]) -> None:
        with pytest.raises(BadRequest):
            made(request_)


class TestAnswer:
    def test_whole(self) -> None:
        document = {
            "choices": [{"finish_reason": "stop", "message": {
                "role": "assistant", "content": "done", "reasoning": "because",
                "tool_calls": [{"id": None, "function": {"name": "Read", "arguments": "not json"}}],
            }}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 4,
                      "prompt_tokens_details": {"cached_tokens": 6}},
        }  # fmt: skip
        status, body = made({"messages": []}).answer(json.dumps(document).encode())
        answer = json.loads(body)
        assert status == 200
        assert [block["type"] for block in answer["content"]] == ["thinking", "text", "tool_use"]
        assert answer["content"][2]["input"] == {"input": "not json"}
        assert answer["content"][2]["id"].startswith("toolu_")
        assert (answer["stop_reason"], answer["model"]) == ("tool_use", "coder")
        assert answer["usage"] == {
            "input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 6,
            "output_tokens": 4,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b'{"choices": []}', b'{"choices": 5}', b"[" * 100_000]
    )
    def test_not_an_answer(self, body: bytes) -> None:
        status, sent = made({"messages": []}).answer(body)
        assert status >= 500
        assert json.loads(sent)["type"] == "error"

    @pytest.mark.parametrize(("status", "body", "expected", "text"), [
        (400, {"error": {"message": "request (9031 tokens) exceeds the available context size (8192 tokens), try increasing it",
               "type": "exceed_context_size_error", "n_prompt_tokens": 9031, "n_ctx": 8192}},
         400, "prompt is too long: 9031 tokens > 8192 maximum"),
        (400, {"message": "This model's maximum context length is 8192 tokens. However, you requested 9031 tokens "
               "(8031 in the messages, 1000 in the completion).", "code": 400},
         400, "prompt is too long: 9031 tokens > 8192 maximum"),
        (400, {"error": {"message": "too much", "code": "context_length_exceeded"}}, 400, "prompt is too long: too much"),
        (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, 529, "Loading model"),
        (429, {"error": "slow down"}, 429, "slow down"),
        (500, {"error": {"message": "image input is not supported - hint: mmproj"}}, 400, "image input is not"),
        (500, None, 500, "status 500"),
    ])  # fmt: skip
    def test_errors(self, status: int, body: Any, expected: int, text: str) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        told, sent = made({"messages": []}).failure(status, raw)
        error = json.loads(sent)
        assert told == expected
        assert error["error"]["message"].startswith(text) or text in error["error"]["message"]
        assert error["request_id"].startswith("req_")


class TestStream:
    def test_reasoning_text_and_usage(self) -> None:
        sent = stream(
            delta(role="assistant", content=None), delta(reasoning_content="hm"), delta(content="po"),
            delta(content="ng"), delta("stop"),
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}, b"[DONE]",
        )  # fmt: skip
        assert [(e["type"], e.get("index")) for e in sent] == [
            ("message_start", None), ("ping", None),
            ("content_block_start", 0), ("content_block_delta", 0), ("content_block_delta", 0), ("content_block_stop", 0),
            ("content_block_start", 1), ("content_block_delta", 1), ("content_block_delta", 1), ("content_block_stop", 1),
            ("message_delta", None), ("message_stop", None),
        ]  # fmt: skip
        assert sent[0]["message"]["content"] == []
        assert sent[4]["delta"] == {"type": "signature_delta", "signature": "none"}
        assert sent[10]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
        assert sent[10]["usage"]["output_tokens"] == 2

    def test_interleaved_calls_become_blocks_one_after_another(self) -> None:
        sent = stream(
            delta(tool_calls=[call(0, "", "Read", "a")]), delta(tool_calls=[call(1, "", "List", "b")]),
            delta(tool_calls=[call(0, '{"p":')]), delta(tool_calls=[call(1, "{")]), delta(content="late"),
            delta(tool_calls=[call(0, "1}")]), delta("tool_calls", tool_calls=[call(1, "}")]), b"[DONE]",
        )  # fmt: skip
        blocks: dict[int, list[Any]] = {}
        for event in sent:
            if "index" in event:
                blocks.setdefault(event["index"], []).append(event)
        assert [blocks[i][0]["content_block"].get("name") for i in blocks] == ["Read", "List", None]
        pieces = [[e["delta"]["partial_json"] for e in blocks[i][1:-1]] for i in (0, 1)]
        assert ["".join(one) for one in pieces] == ['{"p":1}', "{}"]
        assert blocks[2][1]["delta"]["text"] == "late"
        assert sent[-2]["delta"]["stop_reason"] == "tool_use"

    def test_a_call_without_id_and_a_name_that_comes_late(self) -> None:
        sent = stream(
            delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]),
            delta(tool_calls=[call(0, "}", "Read")]), delta("tool_calls"), b"[DONE]",
        )  # fmt: skip
        start = next(e for e in sent if e["type"] == "content_block_start")
        assert start["content_block"]["id"].startswith("toolu_")
        assert (
            "".join(e["delta"]["partial_json"] for e in sent if e["type"] == "content_block_delta")
            == "{}"
        )

    @pytest.mark.parametrize(
        "last", [b"{broken", json.dumps({"error": {"message": "out of memory"}}).encode(), None]
    )
    def test_a_broken_stream_ends_in_an_error(self, last: bytes | None) -> None:
        sent = stream(delta(content="po"), *([last] if last else []))
        assert sent[-1]["type"] == "error"
        assert "message_stop" not in [e["type"] for e in sent]

    def test_a_stream_that_told_its_reason_is_complete_without_done(self) -> None:
        assert (
            stream(delta(content="a"), delta("length"))[-2]["delta"]["stop_reason"] == "max_tokens"
        )


def test_failures_that_are_not_of_the_context() -> None:
    for text in ("the context of your question", "invalid model name", "temperature too long"):
        assert (
            read_failure(400, json.dumps({"error": {"message": text}}).encode()).kind
            == "bad_request"
        )


def test_both_names_of_reasoning() -> None:
    chunk = decode_chunk(b'{"choices":[{"delta":{"reasoning":"a"}}]}')
    assert chunk.choices is not None
    assert chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.thought == "a"
