"""Requests in other dialects, sent to backends as chat completions and answered in their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import msgspec

from modelscan.gateway.data.answer import RelayedAnswer
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.outgoing import JsonOutgoing, head_for
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.tool_guard import guarded
from modelscan.gateway.data.translate import ollama
from modelscan.gateway.data.translate.faces import (
    Dialect,
    StreamTranslator,
    Translation,
    translate,
)
from modelscan.gateway.data.translate.failure import BadRequest, broken, read_failure
from modelscan.gateway.data.translate.messages_answer import token_count
from modelscan.gateway.data.translate.sse import encode_json
from modelscan.gateway.data.upstream import Upstream
from modelscan.routing.policy import apply

if TYPE_CHECKING:
    from modelscan.gateway.data.request import ClientRequest

DIALECTS: dict[bytes, Dialect] = {
    b"/v1/messages": "messages",
    b"/v1/responses": "responses",
    b"/api/chat": "ollama_chat",
    b"/api/generate": "ollama_generate",
}
_COUNT = b"/v1/messages/count_tokens"
_EMBEDDINGS = {b"/api/embed": False, b"/api/embeddings": True}  # True: the older, single answer
TRANSLATED_PATHS = frozenset((*DIALECTS, *_EMBEDDINGS, _COUNT))
_CHAT = b"/v1/chat/completions"
_MAX_WHOLE = 64 * 1024 * 1024  # bytes of an answer that is translated as a whole
_SILENCE_S = 10.0
_MISSING = frozenset((404, 405, 501))


def translated_outgoing(request: ClientRequest, plan: RoutePlan) -> JsonOutgoing:
    """What is sent for a path with a dialect of its own. Raises RefusedError."""
    if request.path == _COUNT:
        return CountOutgoing(request.body)
    dialect = DIALECTS.get(request.path)
    body = bytes(request.body)
    try:
        if dialect is None:
            return EmbeddingsOutgoing(request, plan)
        translation = translate(dialect, body, plan.document or {})
    except BadRequest as error:
        cause = Cause.UNSUPPORTED if error.code else Cause.BODY
        raise RefusedError(cause, error.message) from None
    plan.stream = translation.streaming
    return TranslatedOutgoing(body, dialect, translation)


def _sent_as(
    path: bytes,
    document: dict[str, msgspec.Raw],
    request: ClientRequest,
    plan: RoutePlan,
    attempt: Attempt,
) -> tuple[bytes, bytes]:
    """Head and body for one backend, at another path than the caller's."""
    model = attempt.encoded_model(plan)
    if model is not None:
        document["model"] = model
    body = encode_json(document)
    framing = b"content-length: %d\r\n" % len(body)
    return head_for(request, attempt, framing, path), body


class TranslatedOutgoing(JsonOutgoing):
    """A translated body; a backend whose entry names the dialect receives the original one."""

    __slots__ = ("_dialect", "_native", "_translation")

    def __init__(self, body: bytes, dialect: Dialect, translation: Translation) -> None:
        super().__init__(body)
        self._dialect = dialect
        self._translation = translation
        self._native = False

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        self._native = self._dialect in attempt.backend.spec.dialects
        if self._native:
            return super().for_attempt(request, plan, attempt)
        self._strips = attempt.route.strips[attempt.at]
        document = dict(self._translation.chat)
        if plan.guarded:
            document = guarded(plan, attempt, document)
        policy = attempt.route.policies[attempt.at]
        if policy is not None:
            apply(policy, document, "chat")
        return _sent_as(_CHAT, document, request, plan, attempt)

    def answer(self, upstream: Upstream, extra: bytes, old: bool) -> RelayedAnswer:
        if self._native:
            return super().answer(upstream, extra, old)
        return TranslatedAnswer(upstream, extra, old, self._translation, self._strips)


class WholeAnswer(RelayedAnswer, ABC):
    """An answer that is changed as a whole; ``_changed`` makes its status and body."""

    __slots__ = ()

    def chunk(self, data: bytes) -> bytes:
        """Nothing before the end; what is beyond the limit is counted, not kept."""
        self.size += len(data)
        self.tail.add(data)
        if self.size <= _MAX_WHOLE:
            self._held.append(data)
        return b""

    def end(self, data: bytes, body: bool = True) -> bytes:
        """The whole answer."""
        WholeAnswer.chunk(self, data)
        self.status, document = self._changed(self.held(b""))
        return self._head(len(document)) + document

    @abstractmethod
    def _changed(self, whole: bytes) -> tuple[int, bytes]:
        """The status and the body to send for the backend's whole body."""


class TranslatedAnswer(WholeAnswer):
    """An answer of chat completions in the caller's dialect."""

    __slots__ = ("_alive_at", "_strips", "_translation", "_translator")

    def __init__(
        self,
        upstream: Upstream,
        extra: bytes,
        old: bool,
        translation: Translation,
        strips: bool = False,
    ) -> None:
        """``strips``: without the model's reasoning."""
        super().__init__(upstream, extra, old)
        self._translation = translation
        self._strips = strips
        self._translator: StreamTranslator | None = None
        self._alive_at = 0.0
        content_type = "application/json"
        if upstream.status == 200 and upstream.content_type.startswith(b"text/event-stream"):
            self._translator = StreamTranslator(translation.stream(), strips)
            content_type = translation.content_type
        passed = (b"retry-after:", b"x-upstream-request-id:")
        kept = [line for line in upstream.headers if line.startswith(passed)]
        self.headers = [b"content-type: %b\r\n" % content_type.encode(), *kept]
        self._hold = False
        self._length = -1

    def chunk(self, data: bytes) -> bytes:
        """Nothing until the first event: clients' idle timers begin with the head."""
        if self._translator is None:
            return super().chunk(data)
        self.size += len(data)
        self.tail.add(data)
        return self._sent(self._translator.feed(data))

    def _sent(self, data: bytes) -> bytes:
        if not data:
            return b""
        return self._framed(data) if self.committed else self._head(-1) + self._framed(data)

    def end(self, data: bytes, body: bool = True) -> bytes:
        if self._translator is None:
            return super().end(data, body)
        last = self.chunk(data) + self._sent(self._translator.close())
        return last + b"0\r\n\r\n" if self._chunked else last

    def _changed(self, whole: bytes) -> tuple[int, bytes]:
        if self.size > _MAX_WHOLE:
            return self._translation.error(broken("the model server's answer is too large"))
        if self.status >= 400:
            return self._translation.failure(self.status, whole)
        return self._translation.answer(whole, self._strips)

    def broken_off(self, reason: str) -> bytes:
        """The event after which clients know that the stream is not complete."""
        return b"" if self._translator is None else self._sent(self._translator.fail(reason))

    def keep_alive(self, now: float, silent_s: float) -> bytes:
        """An event without a meaning, where clients would stop waiting."""
        if self._translator is None or not self.committed:
            return b""
        if min(silent_s, now - self._alive_at) < _SILENCE_S:
            return b""
        self._alive_at = now
        return self._sent(self._translator.keep_alive())


class EmbeddingsOutgoing(JsonOutgoing):
    """Ollama's request for embeddings."""

    __slots__ = ("_model", "_request", "_single")

    def __init__(self, request: ClientRequest, plan: RoutePlan) -> None:
        """Raises BadRequest."""
        super().__init__(request.body)
        self._request = ollama.to_embeddings(bytes(request.body))
        self._model = plan.requested or ""
        self._single = _EMBEDDINGS[request.path]

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        return _sent_as(b"/v1/embeddings", dict(self._request), request, plan, attempt)

    def answer(self, upstream: Upstream, extra: bytes, old: bool) -> RelayedAnswer:
        return EmbeddingsAnswer(upstream, extra, old, self._model, self._single)


class EmbeddingsAnswer(WholeAnswer):
    """Embeddings in Ollama's shape."""

    __slots__ = ("_model", "_single")

    def __init__(
        self, upstream: Upstream, extra: bytes, old: bool, model: str, single: bool
    ) -> None:
        super().__init__(upstream, extra, old)
        self._model = model
        self._single = single
        self.headers = [b"content-type: application/json\r\n"]

    def _changed(self, whole: bytes) -> tuple[int, bytes]:
        if self.status >= 400:
            return ollama.error_of(read_failure(self.status, whole))
        try:
            return 200, ollama.embeddings(whole, self._model, single=self._single)
        except (msgspec.DecodeError, RecursionError) as error:
            return ollama.error_of(broken(f"the answer cannot be read: {error}"))


class CountOutgoing(JsonOutgoing):
    """A request for a count of tokens: the backend's, or an estimate where it has none."""

    __slots__ = ()

    def answer(self, upstream: Upstream, extra: bytes, old: bool) -> RelayedAnswer:
        return CountAnswer(upstream, extra, old, self._body)


class CountAnswer(RelayedAnswer):
    """The backend's count; where it does not know the path, a quarter of the bytes."""

    __slots__ = ("_request_body",)

    def __init__(
        self, upstream: Upstream, extra: bytes, old: bool, body: bytes | bytearray
    ) -> None:
        super().__init__(upstream, extra, old)
        self._request_body = body
        self._hold = True

    def end(self, data: bytes, body: bool = True) -> bytes:
        if self.status not in _MISSING:
            return super().end(data, body)
        self.status = 200
        self.headers = [b"content-type: application/json\r\n"]
        document = msgspec.json.encode({"input_tokens": token_count(bytes(self._request_body))})
        return self._head(len(document)) + document
