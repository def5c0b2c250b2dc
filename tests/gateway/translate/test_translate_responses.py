"""The Responses API over chat completions: requests, whole answers, events, errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelscan.gateway.data.translate.faces import StreamTranslator, Translation, translate
from modelscan.gateway.data.translate.failure import BadRequest

decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
GRAMMAR = {"type": "custom", "name": "apply_patch", "description": "Edit files",
           "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}}  # fmt: skip
NAMESPACE = {"type": "namespace", "name": "agents", "tools": [
    {"type": "function", "name": "wait", "parameters": {"type": "object"}}]}  # fmt: skip


def made(**request: Any) -> Translation:
    body = json.dumps({"model": "coder", **request}).encode()
    return translate("responses", body, decode_top(body))


def chat(**request: Any) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(made(**request).chat))


def stream(translation: Translation, *chunks: Any) -> list[dict[str, Any]]:
    translator = StreamTranslator(translation.stream())
    sent = b"".join(translator.feed(b"data: %s\n\n" % json.dumps(one).encode()) for one in chunks)
    sent += translator.close()
    events = []
    for number, block in enumerate(sent.decode().split("\n\n")[:-1]):
        head, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert head == f"event: {event['type']}"
        assert event["sequence_number"] == number
        events.append(event)
    return events


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def call(name: str, arguments: str, index: int = 0) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"call{index}", "function": function}


class TestRequest:
    def test_instructions_and_developer_messages_lead(self) -> None:
        sent = chat(
            instructions="be brief",
            input=[
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
                {"role": "user", "content": "one"},
                {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
                {"role": "developer", "content": "late"},
            ],
        )["messages"]  # fmt: skip
        assert sent == [
            {"role": "system", "content": "be brief\n\nrules"},
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "<system>\nlate\n</system>"},
        ]  # fmt: skip
        assert chat(input="hello")["messages"] == [{"role": "user", "content": "hello"}]

    def test_a_tool_loop(self) -> None:
        sent = chat(input=[
            {"role": "user", "content": "go"},
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": [], "encrypted_content": None},
            {"type": "function_call", "call_id": "c1", "name": "wait", "namespace": "agents", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"},
             {"type": "input_image", "image_url": "data:image/png;base64,QQ=="}]},
            {"type": "web_search_call", "id": "ws"},
        ])["messages"]  # fmt: skip
        assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "user"]
        assert sent[1]["reasoning_content"] == "hm"
        functions = [one["function"] for one in sent[1]["tool_calls"]]
        assert functions == [{"name": "agents__wait", "arguments": "{}"},
                             {"name": "apply_patch", "arguments": '{"input":"*** Begin"}'}]  # fmt: skip
        assert [m.get("tool_call_id") for m in sent[2:4]] == ["c1", "c2"]

    def test_tools_of_every_kind(self) -> None:
        sent = chat(
            input=[{"type": "additional_tools", "role": "developer", "tools": [
                {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}]}],
            tools=[GRAMMAR, NAMESPACE, {"type": "web_search"}, {"type": "local_shell"},
                   {"type": "namespace", "name": "n" * 70, "tools": [{"type": "function", "name": "f"}]}],
            tool_choice={"type": "custom", "name": "apply_patch"}, parallel_tool_calls=True,
        )  # fmt: skip
        names = [tool["function"]["name"] for tool in sent["tools"]]
        assert names[:3] == ["apply_patch", "agents__wait", "local_shell"]
        assert len(names[3]) == 64
        assert names[4] == "functions__exec"
        assert "lark grammar:\nstart: WORD" in sent["tools"][0]["function"]["description"]
        assert sent["tool_choice"] == {"type": "function", "function": {"name": "apply_patch"}}
        assert sent["parallel_tool_calls"] is True
        assert "parallel_tool_calls" not in chat(input="x", parallel_tool_calls=True, tools=[])

    def test_parameters(self) -> None:
        sent = chat(
            input="x", max_output_tokens=50, reasoning={"effort": "low", "summary": "auto"}, store=False,
            include=["reasoning.encrypted_content"], prompt_cache_key="k", min_p=0.1, stream=True,
            text={"verbosity": "low", "format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        )  # fmt: skip
        assert sent == {
            "model": "coder", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50,
            "reasoning_effort": "low", "min_p": 0.1, "stream": True, "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
        }  # fmt: skip

    @pytest.mark.parametrize("request_", [
        {"input": "x", "previous_response_id": "resp_1"}, {"input": "x", "conversation": "c"},
        {"input": [{"type": "item_reference", "id": "x"}]}, {"input": 5},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ])  # fmt: skip
    def test_refused(self, request_: dict[str, Any]) -> None:
        with pytest.raises(BadRequest) as refused:
            made(**request_)
        if "previous_response_id" in request_:
            assert refused.value.code == "unsupported_parameter"


class TestAnswer:
    def test_whole(self) -> None:
        document = {"choices": [{"finish_reason": "length", "message": {
            "content": "text", "reasoning_content": "hm", "tool_calls": [call("agents__wait", "")]}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2}}  # fmt: skip
        translation = made(input="x", tools=[NAMESPACE], temperature=0.3)
        status, body = translation.answer(json.dumps(document).encode())
        answer = json.loads(body)
        assert status == 200
        assert [item["type"] for item in answer["output"]] == [
            "reasoning",
            "message",
            "function_call",
        ]
        wait = answer["output"][2]
        assert (wait["name"], wait["namespace"], wait["arguments"]) == ("wait", "agents", "{}")
        assert (answer["status"], answer["incomplete_details"]) == (
            "incomplete",
            {"reason": "max_output_tokens"},
        )
        assert answer["usage"]["total_tokens"] == 5
        assert (answer["temperature"], answer["store"], answer["tools"]) == (
            0.3,
            False,
            [NAMESPACE],
        )

    @pytest.mark.parametrize(("status", "body", "expected", "code"), [
        (400, {"error": {"message": "m", "type": "exceed_context_size_error", "code": 400}}, 400, "context_length_exceeded"),
        (429, {"error": {"message": "m"}}, 429, "rate_limit_exceeded"),
        (503, {"error": {"message": "Loading model"}}, 503, "server_is_overloaded"),
        (404, {"error": {"message": "m", "code": "model_not_found"}}, 404, "model_not_found"),
    ])  # fmt: skip
    def test_errors(self, status: int, body: Any, expected: int, code: str) -> None:
        told, sent = made(input="x").failure(status, json.dumps(body).encode())
        assert (told, json.loads(sent)["error"]["code"]) == (expected, code)


class TestStream:
    def test_text_and_reasoning(self) -> None:
        sent = stream(
            made(input="x", stream=True), delta(reasoning="hm"), delta(content="po"), delta("stop", content="ng"),
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        )  # fmt: skip
        kinds = [e["type"].removeprefix("response.") for e in sent]
        assert kinds == [
            "created", "in_progress",
            "output_item.added", "reasoning_text.delta", "reasoning_text.done", "output_item.done",
            "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
            "output_text.done", "content_part.done", "output_item.done", "completed",
        ]  # fmt: skip
        assert sent[0]["response"]["output"] == []
        assert {e["output_index"] for e in sent[6:13]} == {1}
        assert {e["content_index"] for e in sent[7:12]} == {0}
        done = sent[-1]["response"]
        assert [item["type"] for item in done["output"]] == ["reasoning", "message"]
        assert done["output"][1]["content"][0]["text"] == "pong"
        assert done["usage"]["total_tokens"] == 3

    def test_calls(self) -> None:
        sent = stream(
            made(input="x", stream=True, tools=[GRAMMAR, NAMESPACE]),
            delta(tool_calls=[call("agents__wait", '{"a"')]),
            delta(tool_calls=[call("apply_patch", '{"input":"*** B', 1)]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
            delta("tool_calls", tool_calls=[{"index": 1, "function": {"arguments": 'egin"}'}}]),
        )
        kinds = [e["type"].removeprefix("response.") for e in sent]
        assert kinds == [
            "created", "in_progress", "output_item.added", "function_call_arguments.delta",
            "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
            "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done",
            "output_item.done", "completed",
        ]  # fmt: skip
        assert sent[2]["item"]["arguments"] == ""
        assert sent[6]["item"]["arguments"] == '{"a":1}'
        assert sent[2]["item"]["id"] == sent[6]["item"]["id"]
        assert sent[10]["item"]["input"] == "*** Begin"
        assert sent[10]["item"]["type"] == "custom_tool_call"

    def test_broken(self) -> None:
        sent = stream(made(input="x", stream=True), delta(content="po"))
        assert sent[-1]["type"] == "response.failed"
        assert sent[-1]["response"]["error"]["code"] == "server_error"
        sent = stream(made(input="x", stream=True), {"error": {"message": "context size exceeded"}})
        assert sent[-1]["response"]["error"]["code"] == "context_length_exceeded"
