"""One request in another dialect, from its chat completions request to its last event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from modelscan.gateway.data.translate import (
    messages_answer,
    messages_request,
    ollama,
    responses_answer,
    responses_request,
)
from modelscan.gateway.data.translate.chunk_stream import ChunkStream
from modelscan.gateway.data.translate.chunks import (
    DONE,
    Chunk,
    EventLines,
    decode_chunk,
    without_thought,
)
from modelscan.gateway.data.translate.failure import UpstreamFailure, broken, read_failure

Dialect = Literal["messages", "responses", "ollama_chat", "ollama_generate"]
Document = dict[str, msgspec.Raw]
_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = b"true"


@dataclass(slots=True)
class Translation:
    """``chat`` is the request to send; the functions make the caller's answers.

    ``content_type`` is that of a stream in the caller's dialect.
    """

    chat: Document
    streaming: bool
    content_type: str
    whole: Callable[[Chunk], bytes]
    stream: Callable[[], ChunkStream]
    error: Callable[[UpstreamFailure], tuple[int, bytes]]

    def answer(self, body: bytes, strips: bool = False) -> tuple[int, bytes]:
        """The status and body for a whole answer of status 200."""
        try:
            chunk = decode_chunk(body)
        except (msgspec.DecodeError, RecursionError) as error:
            return self.error(broken(f"the model server's answer cannot be read: {error}"))
        if not chunk.choices:
            return self.error(read_failure(502, body))
        if strips:
            without_thought(chunk)
        return 200, self.whole(chunk)

    def failure(self, status: int, body: bytes) -> tuple[int, bytes]:
        """The status and body for an answer of status 400 and above."""
        return self.error(read_failure(status, body))


def translate(dialect: Dialect, body: bytes, document: Mapping[str, msgspec.Raw]) -> Translation:
    """The request of ``dialect`` as chat completions.

    ``document`` are the body's top-level fields. Raises failure.BadRequest.
    """
    translation = _FACES[dialect](body, document)
    if translation.streaming:
        translation.chat["stream_options"] = _USAGE
    return translation


def _model(document: Mapping[str, msgspec.Raw]) -> str:
    value = msgspec.json.decode(document.get("model", b'""'))
    return value if isinstance(value, str) else ""


def _messages(body: bytes, document: Mapping[str, msgspec.Raw]) -> Translation:
    chat = messages_request.to_chat(body, document)
    model = _model(document)
    return Translation(
        chat,
        bytes(document.get("stream", b"")) == _TRUE,
        "text/event-stream; charset=utf-8",
        lambda chunk: messages_answer.message(chunk, model),
        lambda: messages_answer.MessagesStream(model),
        messages_answer.error_of,
    )


def _responses(body: bytes, document: Mapping[str, msgspec.Raw]) -> Translation:
    chat, names = responses_request.to_chat(body, document)
    model = _model(document)
    return Translation(
        chat,
        bytes(document.get("stream", b"")) == _TRUE,
        "text/event-stream; charset=utf-8",
        lambda chunk: responses_answer.response(chunk, document, names, model),
        lambda: responses_answer.ResponsesStream(document, names, model),
        responses_answer.error_of,
    )


def _ollama(shape: ollama.Shape) -> Callable[[bytes, Mapping[str, msgspec.Raw]], Translation]:
    def face(body: bytes, document: Mapping[str, msgspec.Raw]) -> Translation:
        chat = ollama.to_chat(body, shape)
        model = _model(document)
        return Translation(
            chat,
            bytes(chat["stream"]) == _TRUE,
            "application/x-ndjson",
            lambda chunk: ollama.OllamaStream(model, shape).whole(chunk),
            lambda: ollama.OllamaStream(model, shape),
            ollama.error_of,
        )

    return face


_FACES: dict[Dialect, Callable[[bytes, Mapping[str, msgspec.Raw]], Translation]] = {
    "messages": _messages,
    "responses": _responses,
    "ollama_chat": _ollama("chat"),
    "ollama_generate": _ollama("generate"),
}


class StreamTranslator:
    """The bytes of a chat completions stream, in any pieces, as the bytes of another dialect."""

    __slots__ = ("_ended", "_lines", "_started", "_stream", "_strips")

    def __init__(self, stream: ChunkStream, strips: bool = False) -> None:
        self._stream = stream
        self._strips = strips
        self._lines = EventLines()
        self._started = False
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the last event was sent; what the server sends after it is ignored."""
        return self._ended

    def feed(self, received: bytes) -> bytes:
        """The caller's bytes for the next bytes of the model server."""
        try:
            return self._events(self._lines.feed(received))
        except ValueError as error:
            return self._fail(broken(str(error)))

    def fail(self, reason: str) -> bytes:
        """The event for a connection that broke."""
        return self._fail(broken(f"the model server broke the stream: {reason}"))

    def keep_alive(self) -> bytes:
        """What to send while the model server is silent, so that clients wait."""
        return b"" if self._ended else self._start() + self._stream.keep_alive()

    def close(self) -> bytes:
        """The model server ended the stream: its last events, or what says that it is broken."""
        sent = self._events(self._lines.close())
        if self._ended:
            return sent
        if self._stream.finished:
            return sent + self._end()
        return sent + self._fail(broken("the model server ended the stream before it was complete"))

    def _events(self, events: list[bytes]) -> bytes:
        return b"".join(self._event(data) for data in events if not self._ended)

    def _event(self, data: bytes) -> bytes:
        if data == DONE:
            return self._end()
        try:
            chunk = decode_chunk(data)
        except (msgspec.DecodeError, RecursionError) as error:
            return self._fail(broken(f"an event of the model server cannot be read: {error}"))
        if chunk.failed:
            return self._fail(read_failure(500, data))
        if self._strips:
            without_thought(chunk)
        return self._start() + self._stream.add(chunk)

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return self._stream.start()

    def _end(self) -> bytes:
        self._ended = True
        return self._start() + self._stream.end()

    def _fail(self, failure: UpstreamFailure) -> bytes:
        if self._ended:
            return b""
        self._ended = True
        return self._start() + self._stream.fail(failure)
