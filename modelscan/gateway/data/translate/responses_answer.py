"""Answers of chat completions in the shapes of the OpenAI Responses API, errors included."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from modelscan.gateway.data.translate.chunk_stream import SequentialStream
from modelscan.gateway.data.translate.chunks import AnswerMessage, CallPart, Chunk, ChunkUsage
from modelscan.gateway.data.translate.failure import UpstreamFailure
from modelscan.gateway.data.translate.responses_tools import Original, ToolNames, call_item
from modelscan.gateway.data.translate.sse import encode_json, event, new_id

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: dict[str, Any] = {
    "instructions": None, "metadata": {}, "max_output_tokens": None, "parallel_tool_calls": True,
    "temperature": None, "top_p": None, "tool_choice": "auto", "tools": [], "reasoning": None,
    "text": {"format": {"type": "text"}}, "truncation": "disabled", "user": None,
}  # fmt: skip
_CODES = {
    "context": "context_length_exceeded", "rate_limit": "rate_limit_exceeded",
    "overloaded": "server_is_overloaded", "server": "server_error", "broken": "server_error",
    "timeout": "server_error",
}  # fmt: skip


def usage_of(usage: ChunkUsage | None) -> dict[str, Any] | None:
    """The tokens of an answer; None if the server returns none."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


class Envelope:
    """The response object around the output; it repeats the request's options."""

    __slots__ = ("_fields",)

    def __init__(self, document: Mapping[str, msgspec.Raw], model: str) -> None:
        asked = {key: document.get(key, value) for key, value in _ECHOED.items()}
        self._fields = {
            "id": new_id("resp"), "object": "response", "created_at": int(time.time()),
            "model": model, **asked, "previous_response_id": None, "store": False,
            "background": False,
        }  # fmt: skip

    def response(
        self,
        status: str,
        output: list[dict[str, Any]],
        *,
        usage: ChunkUsage | None = None,
        reason: str | None = None,
        error: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The object in one state; ``reason`` is that of an incomplete answer."""
        return {
            **self._fields, "status": status, "output": output, "usage": usage_of(usage),
            "error": error, "incomplete_details": {"reason": reason} if reason else None,
        }  # fmt: skip


def response(
    chunk: Chunk, document: Mapping[str, msgspec.Raw], names: ToolNames, model: str
) -> bytes:
    """A whole answer. ``model`` is the name that the caller used."""
    answer, finish_reason = chunk.whole
    reason = _INCOMPLETE.get(finish_reason or "")
    status = "incomplete" if reason else "completed"
    output = _output(answer, names)
    envelope = Envelope(document, model)
    return encode_json(envelope.response(status, output, usage=chunk.usage, reason=reason))


def _output(answer: AnswerMessage, names: ToolNames) -> list[dict[str, Any]]:
    output = []
    if answer.thought:
        output.append(_reasoning_item(new_id("rs"), answer.thought, "completed"))
    text = answer.content or answer.refusal
    if text:
        output.append(_message_item(new_id("msg"), text, "completed"))
    for call in answer.tool_calls or ():
        original = names.original(call.function.name or "")
        identifier = call.id or new_id("call")
        output.append(call_item(original, identifier, call.function.arguments or "", "completed"))
    return output


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message_item(identifier: str, text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [_text_part(text)]
    return {
        "type": "message", "id": identifier, "role": "assistant", "status": status,
        "content": content,
    }  # fmt: skip


def _reasoning_item(identifier: str, text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {
        "type": "reasoning", "id": identifier, "summary": [], "content": content,
        "encrypted_content": None, "status": status,
    }  # fmt: skip


def error_of(failure: UpstreamFailure, param: str | None = None) -> tuple[int, bytes]:
    """The status and the body that tell a failure to clients of this API and of chat."""
    error = {"message": failure.message, "type": _error_type(failure), "param": param,
             "code": _CODES.get(failure.kind) or failure.code}  # fmt: skip
    return failure.status, encode_json({"error": error})


def _error_type(failure: UpstreamFailure) -> str:
    if failure.kind in ("server", "broken", "timeout", "overloaded"):
        return "server_error"
    return {"rate_limit": "rate_limit_error", "authentication": "authentication_error"}.get(
        failure.kind, "invalid_request_error"
    )


@dataclass(slots=True)
class _Call:
    """A tool call in the making; ``item_id`` is set once its item was announced."""

    id: str
    name: str
    arguments: str = ""
    item_id: str | None = None
    sent: int = 0


@dataclass(slots=True)
class _Open:
    """The item that is being streamed: a message or reasoning."""

    kind: str
    id: str
    texts: list[str]


class ResponsesStream(SequentialStream):
    """Chunks of a stream as events of this API.

    Items follow one another: the first call is streamed as it comes, later ones at the end.
    """

    __slots__ = ("_calls", "_envelope", "_names", "_open", "_output", "_sequence")

    def __init__(self, document: Mapping[str, msgspec.Raw], names: ToolNames, model: str) -> None:
        super().__init__()
        self._envelope = Envelope(document, model)
        self._names = names
        self._output: list[dict[str, Any]] = []
        self._open: _Open | None = None
        self._calls: dict[int, _Call] = {}
        self._sequence = 0

    def _event(self, kind: str, data: dict[str, Any]) -> bytes:
        numbered = event(kind, {**data, "sequence_number": self._sequence})
        self._sequence += 1
        return numbered

    def start(self) -> bytes:
        begun = self._envelope.response("in_progress", [])
        return self._event("response.created", {"response": begun}) + self.keep_alive()

    def keep_alive(self) -> bytes:
        """An event, since comments do not reset Codex's idle timer."""
        begun = self._envelope.response("in_progress", list(self._output))
        return self._event("response.in_progress", {"response": begun})

    def _thought(self, thought: str) -> bytes:
        return self._piece("reasoning", thought)

    def _text(self, text: str) -> bytes:
        return self._piece("message", text)

    def _piece(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        sent = b""
        if self._open is None or self._open.kind != kind:
            sent = self._close() + self._begin(kind)
        item = self._opened()
        item.texts.append(text)
        data = {**self._place(item.id), "content_index": 0, "delta": text}
        if kind == "message":
            return sent + self._event("response.output_text.delta", {**data, "logprobs": []})
        return sent + self._event("response.reasoning_text.delta", data)

    def _opened(self) -> _Open:
        assert self._open is not None
        return self._open

    def _place(self, item_id: str) -> dict[str, Any]:
        return {"item_id": item_id, "output_index": len(self._output)}

    def _begin(self, kind: str) -> bytes:
        message = kind == "message"
        identifier = new_id("msg" if message else "rs")
        self._open = _Open(kind, identifier, [])
        make = _message_item if message else _reasoning_item
        added = {"output_index": len(self._output), "item": make(identifier, None, "in_progress")}
        sent = self._event("response.output_item.added", added)
        if message:
            part = {**self._place(identifier), "content_index": 0, "part": _text_part("")}
            sent += self._event("response.content_part.added", part)
        return sent

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        item, self._open = self._open, None
        text = "".join(item.texts)
        place = {**self._place(item.id), "content_index": 0}
        if item.kind == "message":
            done = {**place, "text": text, "logprobs": []}
            sent = self._event("response.output_text.done", done)
            part = {**place, "part": _text_part(text)}
            sent += self._event("response.content_part.done", part)
            return sent + self._item_done(_message_item(item.id, text, "completed"))
        sent = self._event("response.reasoning_text.done", {**place, "text": text})
        return sent + self._item_done(_reasoning_item(item.id, text, "completed"))

    def _item_done(self, item: dict[str, Any]) -> bytes:
        data = {"output_index": len(self._output), "item": item}
        sent = self._event("response.output_item.done", data)
        self._output.append(item)
        return sent

    def _call_part(self, part: CallPart) -> bytes:
        call = self._calls.setdefault(part.index, _Call(part.id or new_id("call"), ""))
        call.name = call.name or part.function.name or ""
        call.arguments += part.function.arguments or ""
        first = next(iter(self._calls))
        return self._stream_call(call) if part.index == first and call.name else b""

    def _stream_call(self, call: _Call) -> bytes:
        """Announce the call once, and send the arguments that were not sent yet."""
        original = self._names.original(call.name)
        sent = self._close()
        if call.item_id is None:
            sent += self._announce(call, original)
        piece = call.arguments[call.sent :]
        if original.kind == "function" and piece:
            call.sent = len(call.arguments)
            data = {**self._place(call.item_id or ""), "delta": piece}
            sent += self._event("response.function_call_arguments.delta", data)
        return sent

    def _announce(self, call: _Call, original: Original) -> bytes:
        item = call_item(original, call.id, "", "in_progress")
        if original.kind == "function":
            item["arguments"] = ""
        call.item_id = item["id"]
        data = {"output_index": len(self._output), "item": item}
        return self._event("response.output_item.added", data)

    def _finish_call(self, call: _Call) -> bytes:
        original = self._names.original(call.name)
        sent = self._stream_call(call)
        item = call_item(original, call.id, call.arguments, "completed", call.item_id)
        place = self._place(item["id"])
        if original.kind == "function":
            done = {**place, "name": item["name"], "arguments": item["arguments"]}
            sent += self._event("response.function_call_arguments.done", done)
        elif original.kind == "custom":
            text = item["input"]
            sent += self._event("response.custom_tool_call_input.delta", {**place, "delta": text})
            sent += self._event("response.custom_tool_call_input.done", {**place, "input": text})
        return sent + self._item_done(item)

    def end(self) -> bytes:
        """The last events of a complete stream."""
        sent = self._close() + b"".join(map(self._finish_call, self._calls.values()))
        if self._late.strip():
            sent += self._piece("message", self._late) + self._close()
        reason = _INCOMPLETE.get(self._reason or "")
        status = "incomplete" if reason else "completed"
        done = self._envelope.response(status, self._output, usage=self._usage, reason=reason)
        return sent + self._event(f"response.{status}", {"response": done})

    def fail(self, failure: UpstreamFailure) -> bytes:
        """The event that ends a broken stream."""
        error = {"code": _CODES.get(failure.kind) or "invalid_prompt", "message": failure.message}
        failed = self._envelope.response("failed", self._output, error=error)
        return self._event("response.failed", {"response": failed})
