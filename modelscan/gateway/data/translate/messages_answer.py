"""Answers of chat completions in the shapes of the Anthropic Messages API, errors included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from modelscan.gateway.data.translate.chunk_stream import SequentialStream
from modelscan.gateway.data.translate.chunks import AnswerMessage, CallPart, Chunk, ChunkUsage
from modelscan.gateway.data.translate.failure import FailureKind, UpstreamFailure
from modelscan.gateway.data.translate.sse import encode_json, event, new_id

_STOP = {"length": "max_tokens", "content_filter": "refusal"}
_SIGNATURE = "none"  # clients return it as it is; there is nothing to sign here
_ERRORS: dict[FailureKind, tuple[int, str]] = {
    "context": (400, "invalid_request_error"),
    "bad_request": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "server": (500, "api_error"),
    "broken": (502, "api_error"),
    "timeout": (504, "timeout_error"),
    "overloaded": (529, "overloaded_error"),
}


def usage_of(usage: ChunkUsage | None) -> dict[str, int]:
    """Cached tokens are apart here; chat completions counts them among the prompt's."""
    usage = usage or ChunkUsage()
    return {
        "input_tokens": max(0, usage.prompt - usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }


def token_count(body: bytes) -> int:
    """About how many tokens a request has: four bytes each, without what is not for the model."""
    return len(body) // 4 + 1


def message(chunk: Chunk, model: str) -> bytes:
    """A whole answer. ``model`` is the name that the caller used."""
    answer, reason = chunk.whole
    document = {
        **_head(model),
        "content": _content(answer) or [{"type": "text", "text": ""}],
        "stop_reason": _stop_reason(reason, bool(answer.tool_calls)),
        "usage": usage_of(chunk.usage),
    }
    return encode_json(document)


def _head(model: str) -> dict[str, Any]:
    return {
        "id": new_id("msg"), "type": "message", "role": "assistant", "model": model,
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage_of(None),
    }  # fmt: skip


def _stop_reason(reason: str | None, calls: bool) -> str:
    return "tool_use" if calls else _STOP.get(reason or "", "end_turn")


def _content(answer: AnswerMessage) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if answer.thought:
        content.append({"type": "thinking", "thinking": answer.thought, "signature": _SIGNATURE})
    text = answer.content or answer.refusal
    if text:
        content.append({"type": "text", "text": text})
    return content + [_tool_use(call) for call in answer.tool_calls or ()]


def _tool_use(call: CallPart) -> dict[str, Any]:
    return {
        "type": "tool_use", "id": call.id or new_id("toolu"), "name": call.function.name or "",
        "input": _input(call.function.arguments or ""),
    }  # fmt: skip


def _input(arguments: str) -> Any:
    """The arguments as an object, which this API wants; what is none goes below ``input``."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"input": arguments}
    return value if isinstance(value, dict) else {"input": value}


def error_of(failure: UpstreamFailure) -> tuple[int, bytes]:
    """The status and the body that tell a failure to clients of this API."""
    status, document = _error(failure)
    return status, encode_json({"type": "error", **document})


def _error(failure: UpstreamFailure) -> tuple[int, dict[str, Any]]:
    status, kind = _ERRORS[failure.kind]
    text = failure.message
    if failure.kind == "context":
        known = failure.tokens and failure.limit_tokens and failure.tokens > failure.limit_tokens
        numbers = f"{failure.tokens} tokens > {failure.limit_tokens} maximum"
        text = f"prompt is too long: {numbers if known else text}"
    return status, {"error": {"type": kind, "message": text}, "request_id": new_id("req")}


@dataclass(slots=True)
class _Call:
    """A tool call in the making; ``waiting`` are arguments that could not be sent yet."""

    id: str
    name: str
    waiting: str = ""


class MessagesStream(SequentialStream):
    """Chunks of a stream as events of this API.

    Content blocks follow one another, so the pieces of a second tool call wait for the first.
    """

    __slots__ = ("_calls", "_index", "_model", "_open")

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._index = 0
        self._open: str | int | None = None
        self._calls: dict[int, _Call] = {}

    def start(self) -> bytes:
        return event("message_start", {"message": _head(self._model)}) + self.keep_alive()

    def keep_alive(self) -> bytes:
        return event("ping", {})

    def _thought(self, thought: str) -> bytes:
        if not thought:
            return b""
        begun = self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return begun + self._block_delta({"type": "thinking_delta", "thinking": thought})

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        begun = self._begin("text", {"type": "text", "text": ""})
        return begun + self._block_delta({"type": "text_delta", "text": text})

    def _call_part(self, part: CallPart) -> bytes:
        call = self._calls.setdefault(part.index, _Call(part.id or new_id("toolu"), ""))
        call.name = call.name or part.function.name or ""
        call.waiting += part.function.arguments or ""
        first = next(iter(self._calls))
        return self._flush(part.index, call) if part.index == first and call.name else b""

    def _flush(self, index: int, call: _Call) -> bytes:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        sent = self._begin(index, block)
        if call.waiting:
            sent += self._block_delta({"type": "input_json_delta", "partial_json": call.waiting})
            call.waiting = ""
        return sent

    def _begin(self, kind: str | int, block: dict[str, Any]) -> bytes:
        if self._open == kind:
            return b""
        closed = self._close()
        self._open = kind
        return closed + event("content_block_start", {"index": self._index, "content_block": block})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        signed = b""
        if self._open == "thinking":
            signed = self._block_delta({"type": "signature_delta", "signature": _SIGNATURE})
        stopped = event("content_block_stop", {"index": self._index})
        self._index += 1
        self._open = None
        return signed + stopped

    def _block_delta(self, delta: dict[str, Any]) -> bytes:
        return event("content_block_delta", {"index": self._index, "delta": delta})

    def end(self) -> bytes:
        """The last events of a complete stream."""
        first = next(iter(self._calls), None)
        sent = b"".join(
            self._flush(index, call)
            for index, call in self._calls.items()
            if index != first or call.waiting
        )
        sent += self._text(self._late if self._late.strip() else "") + self._close()
        delta = {
            "stop_reason": _stop_reason(self._reason, bool(self._calls)), "stop_sequence": None,
        }  # fmt: skip
        sent += event("message_delta", {"delta": delta, "usage": usage_of(self._usage)})
        return sent + event("message_stop", {})

    def fail(self, failure: UpstreamFailure) -> bytes:
        """The event that ends a broken stream; clients know that their answer is not complete."""
        return event("error", _error(failure)[1])
