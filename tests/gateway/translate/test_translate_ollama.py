"""Ollama's API over chat completions and embeddings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelscan.gateway.data.translate.faces import Dialect, StreamTranslator, translate
from modelscan.gateway.data.translate.failure import BadRequest
from modelscan.gateway.data.translate.ollama import embeddings, to_embeddings

decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def made(dialect: Dialect = "ollama_chat", **request: Any) -> Any:
    body = json.dumps({"model": "coder", **request}).encode()
    return translate(dialect, body, decode_top(body))


def chat(dialect: Dialect = "ollama_chat", **request: Any) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(made(dialect, **request).chat))


def test_a_request() -> None:
    sent = chat(
        messages=[
            {"role": "user", "content": "look", "images": ["QQ=="]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "a", "arguments": {"n": 1}}}, {"function": {"name": "b", "arguments": {}}}]},
            {"role": "tool", "content": "one", "tool_name": "a"}, {"role": "tool", "content": "two"},
        ],
        tools=[{"type": "function", "function": {"name": "a"}}], format={"type": "object"}, keep_alive="5m",
        options={"num_ctx": 4096, "num_predict": 64, "temperature": 0, "stop": ["x"]}, think=False,
    )  # fmt: skip
    ids = [one["id"] for one in sent["messages"][1]["tool_calls"]]
    assert [m["tool_call_id"] for m in sent["messages"][2:]] == ids
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"n": 1}'
    assert sent["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64,QQ=="
    assert {k: v for k, v in sent.items() if k not in ("messages", "tools")} == {
        "model": "coder", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 64,
        "temperature": 0, "stop": ["x"], "chat_template_kwargs": {"enable_thinking": False},
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
    }  # fmt: skip


def test_generate() -> None:
    sent = chat("ollama_generate", prompt="hello", system="brief", stream=False, format="json",
                options={"num_predict": -1})  # fmt: skip
    assert sent == {
        "model": "coder", "stream": False, "response_format": {"type": "json_object"},
        "messages": [{"role": "system", "content": "brief"}, {"role": "user", "content": "hello"}],
    }  # fmt: skip
    for refused in ({"raw": True}, {"suffix": "x"}, {"options": 5}):
        with pytest.raises(BadRequest):
            made("ollama_generate", prompt="x", **refused)


def lines(dialect: Dialect, *chunks: dict[str, Any]) -> list[dict[str, Any]]:
    translator = StreamTranslator(made(dialect, messages=[]).stream())
    sent = b"".join(translator.feed(b"data: %s\n\n" % json.dumps(one).encode()) for one in chunks)
    return [json.loads(line) for line in (sent + translator.close()).splitlines()]


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def test_a_stream() -> None:
    function = {"name": "a", "arguments": '{"n":'}
    sent = lines(
        "ollama_chat", delta(reasoning_content="hm"), delta(content="po"),
        delta(tool_calls=[{"index": 0, "function": function}]),
        delta("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    )  # fmt: skip
    assert sent[0]["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert sent[1]["message"]["content"] == "po"
    assert sent[2]["message"]["tool_calls"] == [{"function": {"name": "a", "arguments": {"n": 1}}}]
    assert [one["done"] for one in sent] == [False, False, False, True]
    assert (sent[-1]["prompt_eval_count"], sent[-1]["eval_count"], sent[-1]["done_reason"]) == (
        7,
        3,
        "stop",
    )
    assert lines("ollama_generate", delta(content="a"), delta("length"))[0]["response"] == "a"
    assert "error" in lines("ollama_chat", delta(content="a"))[-1]


def test_whole() -> None:
    document = {"choices": [{"finish_reason": "length", "message": {"content": "pong"}}]}
    status, body = made(messages=[], stream=False).answer(json.dumps(document).encode())
    answer = json.loads(body)
    assert (status, answer["message"]["content"], answer["done"]) == (200, "pong", True)
    assert answer["done_reason"] == "length"
    assert made(messages=[]).failure(404, b'{"error":{"message":"no such model"}}') == (
        404, b'{"error":"no such model"}',
    )  # fmt: skip


def test_embeddings() -> None:
    sent = to_embeddings(b'{"model":"e","input":["a","b"],"dimensions":8,"truncate":true}')
    assert json.loads(msgspec.json.encode(sent)) == {
        "model": "e",
        "input": ["a", "b"],
        "dimensions": 8,
    }
    answer = b'{"data":[{"index":1,"embedding":[2.50]},{"index":0,"embedding":[1e-30]}],"usage":{"prompt_tokens":4}}'
    made = embeddings(answer, "e", single=False)
    assert b"[[1e-30],[2.50]]" in made  # numbers are not rewritten
    assert json.loads(made)["prompt_eval_count"] == 4
    assert json.loads(embeddings(answer, "e", single=True)) == {"embedding": [1e-30]}
    with pytest.raises(BadRequest):
        to_embeddings(b'{"model":"e"}')
