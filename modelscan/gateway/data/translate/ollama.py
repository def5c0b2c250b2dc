"""Ollama's own API over chat completions and embeddings, for tools that know only Ollama."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec

from modelscan.gateway.data.translate.chunk_stream import ChunkStream
from modelscan.gateway.data.translate.chunks import NULL, AnswerMessage, CallPart, Chunk, ChunkUsage
from modelscan.gateway.data.translate.failure import BadRequest, UpstreamFailure
from modelscan.gateway.data.translate.sse import encode_json

Shape = Literal["chat", "generate"]
_EMPTY = msgspec.Raw(b"{}")
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop", "repeat_penalty",
    "frequency_penalty", "presence_penalty",
)  # fmt: skip
_OPTIONS = {"num_predict": "max_tokens", **{name: name for name in _SAMPLING}}
_DONE = {"length": "length"}


class _Function(msgspec.Struct):
    name: str = ""
    arguments: msgspec.Raw = _EMPTY


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Turn(msgspec.Struct):
    """A message; ``images`` are base64. Calls have no ids: results follow in their order."""

    role: str
    content: str = ""
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    thinking: str | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Turn] | None = None
    prompt: str = ""
    system: str = ""
    suffix: str = ""
    raw: bool = False
    images: list[str] | None = None
    tools: list[msgspec.Raw] | None = None
    format: msgspec.Raw = NULL
    options: dict[str, msgspec.Raw] | None = None
    think: bool | str | None = None
    stream: bool | None = None


class _EmbedRequest(msgspec.Struct):
    model: str
    input: str | list[str] | None = None
    prompt: str | None = None
    dimensions: int | None = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_embed = msgspec.json.Decoder(_EmbedRequest).decode


def to_chat(body: bytes, shape: Shape) -> dict[str, msgspec.Raw]:
    """The chat completions request for ``/api/chat`` or ``/api/generate``.

    Raises BadRequest for raw prompts and infilling, which chat completions does not have.
    """
    try:
        request = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(str(error)) from error
    if request.raw or request.suffix:
        raise BadRequest("raw prompts and suffixes are not supported: use /v1/completions", "raw")
    turns = request.messages or []
    if shape == "generate":
        turns = [_Turn("system", request.system)] if request.system else []
        turns.append(_Turn("user", request.prompt, request.images))
    fields: dict[str, Any] = {
        "model": request.model, "messages": _messages(turns), "stream": request.stream is not False,
    }  # fmt: skip
    fields |= _options(request.options or {}) | _thinking(request.think) | _format(request.format)
    if request.tools:
        fields["tools"] = request.tools
    return {key: msgspec.Raw(encode_json(value)) for key, value in fields.items()}


def _options(options: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Sampling options under their names here; those of the engine's start do not apply."""
    fields: dict[str, Any] = {_OPTIONS[k]: v for k, v in options.items() if k in _OPTIONS}
    limit = options.get("num_predict")
    if limit is not None and bytes(limit).startswith(b"-"):  # -1: unlimited
        del fields["max_tokens"]
    return fields


def _thinking(think: bool | str | None) -> dict[str, Any]:
    if think is None:
        return {}
    if isinstance(think, str):
        return {"reasoning_effort": think}
    return {"chat_template_kwargs": {"enable_thinking": think}}


def _format(wanted: msgspec.Raw) -> dict[str, Any]:
    if bytes(wanted) in (b'""', b"null"):
        return {}
    if bytes(wanted) == b'"json"':
        return {"response_format": {"type": "json_object"}}
    schema = {"name": "answer", "schema": wanted}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _messages(turns: list[_Turn]) -> list[dict[str, Any]]:
    """Messages with ids for calls and results, given by their order."""
    messages = []
    waiting: list[str] = []
    for number, turn in enumerate(turns):
        message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
        if turn.tool_calls:
            ids = [call.id or f"call_{number}_{i}" for i, call in enumerate(turn.tool_calls)]
            waiting = list(ids)
            message["tool_calls"] = list(map(_call, ids, turn.tool_calls))
            if turn.thinking:
                message["reasoning_content"] = turn.thinking
        if turn.role == "tool":
            identifier = turn.tool_call_id or (waiting.pop(0) if waiting else "call_none")
            message["tool_call_id"] = identifier
        messages.append(message)
    return messages


def _content(turn: _Turn) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.content
    images = [{"type": "image_url", "image_url": {"url": _url(one)}} for one in turn.images]
    return [{"type": "text", "text": turn.content}, *images]


def _url(image: str) -> str:
    return image if image.startswith("data:") else f"data:image/png;base64,{image}"


def _call(identifier: str, call: _Call) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": bytes(call.function.arguments).decode()}
    return {"id": identifier, "type": "function", "function": function}


def to_embeddings(body: bytes) -> dict[str, msgspec.Raw]:
    """The embeddings request for ``/api/embed`` and the older ``/api/embeddings``."""
    try:
        request = _decode_embed(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(str(error)) from error
    texts = request.input if request.input is not None else request.prompt
    if texts is None:
        raise BadRequest("the request has no input", "input")
    fields: dict[str, Any] = {"model": request.model, "input": texts}
    if request.dimensions is not None:
        fields["dimensions"] = request.dimensions
    return {key: msgspec.Raw(encode_json(value)) for key, value in fields.items()}


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Vector]
    usage: ChunkUsage | None = None


_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode


def embeddings(body: bytes, model: str, *, single: bool) -> bytes:
    """The answer of ``/api/embed``, or with ``single`` that of ``/api/embeddings``."""
    answer = _decode_embeddings(body)
    vectors = [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
    if single:
        return encode_json({"embedding": vectors[0] if vectors else []})
    tokens = answer.usage.prompt if answer.usage else 0
    return encode_json({"model": model, "embeddings": vectors, "prompt_eval_count": tokens})


def error_of(failure: UpstreamFailure) -> tuple[int, bytes]:
    """The status and the body that tell a failure to clients of this API."""
    return failure.status, encode_json({"error": failure.message})


class OllamaStream(ChunkStream):
    """An answer in Ollama's shapes: ``whole`` for one object, the rest for lines of JSON."""

    __slots__ = ("_begun", "_calls", "_model", "_shape")

    def __init__(self, model: str, shape: Shape) -> None:
        super().__init__()
        self._model = model
        self._shape = shape
        self._calls: dict[int, CallPart] = {}
        self._begun = time.monotonic_ns()

    def start(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        """An object without text: there are no comments in lines of JSON."""
        return self._line(AnswerMessage(content=""), {"done": False})

    def _delta(self, delta: AnswerMessage) -> bytes:
        for part in delta.tool_calls or ():
            self._collect(part)
        if not delta.content and not delta.thought:
            return b""
        return self._line(delta, {"done": False})

    def _collect(self, part: CallPart) -> None:
        call = self._calls.setdefault(part.index, CallPart(part.index))
        call.function.name = call.function.name or part.function.name
        call.function.arguments = (call.function.arguments or "") + (part.function.arguments or "")

    def end(self) -> bytes:
        calls = AnswerMessage(content="", tool_calls=list(self._calls.values()))
        sent = self._line(calls, {"done": False}) if self._calls else b""
        return sent + self._line(AnswerMessage(content=""), self._end())

    def fail(self, failure: UpstreamFailure) -> bytes:
        return encode_json({"error": failure.message}) + b"\n"

    def whole(self, chunk: Chunk) -> bytes:
        """One object for an answer that was not streamed."""
        answer, self._reason = chunk.whole
        self._usage = chunk.usage
        return self._line(answer, self._end()).rstrip()

    def _end(self) -> dict[str, Any]:
        usage = self._usage or ChunkUsage()
        elapsed = time.monotonic_ns() - self._begun
        return {
            "done": True, "done_reason": _DONE.get(self._reason or "", "stop"),
            "total_duration": elapsed, "load_duration": 0,
            "prompt_eval_count": usage.prompt, "prompt_eval_duration": 0,
            "eval_count": usage.completion, "eval_duration": elapsed,
        }  # fmt: skip

    def _line(self, message: AnswerMessage, rest: dict[str, Any]) -> bytes:
        created = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        head = {"model": self._model, "created_at": created}
        return encode_json({**head, **self._body(message), **rest}) + b"\n"

    def _body(self, message: AnswerMessage) -> dict[str, Any]:
        text = message.content or message.refusal or ""
        thought = {"thinking": message.thought} if message.thought else {}
        if self._shape == "generate":
            return {"response": text, **thought}
        body: dict[str, Any] = {"role": "assistant", "content": text, **thought}
        if message.tool_calls:
            body["tool_calls"] = [{"function": _function(call)} for call in message.tool_calls]
        return {"message": body}


def _function(call: CallPart) -> dict[str, Any]:
    """Arguments are an object here; text that is no object goes below ``input``."""
    arguments = call.function.arguments or "{}"
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        value = {"input": arguments}
    return {"name": call.function.name or "", "arguments": value}
