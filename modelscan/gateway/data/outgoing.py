"""The request as a backend receives it: its own name of the model, its credential, its policy."""

from __future__ import annotations

import msgspec

from modelscan.gateway.data.answer import RelayedAnswer
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.reasoning import StrippedAnswer
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.tool_guard import guarded
from modelscan.gateway.data.upload import Upload
from modelscan.gateway.data.upstream import Upstream
from modelscan.routing.policy import apply

_encode = msgspec.json.Encoder().encode


class Outgoing:
    """A request without a body. ``repeatable``: another attempt could send all of it again."""

    __slots__ = ("chunked", "upload")

    def __init__(self) -> None:
        self.upload: Upload | None = None
        self.chunked = False

    @property
    def repeatable(self) -> bool:
        """Whether another attempt could send all of the request again."""
        return self.upload is None or self.upload.replayable

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        """Head and body for one backend."""
        return head_for(request, attempt, b""), b""

    def answer(self, upstream: Upstream, extra: bytes, old: bool) -> RelayedAnswer:
        """What the backend's answer becomes on its way to the client."""
        return RelayedAnswer(upstream, extra, old)

    def close(self) -> None:
        """Release what is kept for another attempt."""
        if self.upload is not None:
            self.upload.close()


class JsonOutgoing(Outgoing):
    """A JSON body, whole; values that no policy names keep their bytes."""

    __slots__ = ("_body", "_strips")

    def __init__(self, body: bytes | bytearray) -> None:
        super().__init__()
        self._body = body
        self._strips = False

    def answer(self, upstream: Upstream, extra: bytes, old: bool) -> RelayedAnswer:
        """The answer, without reasoning where the route's policy says so."""
        if self._strips and upstream.status == 200:
            return StrippedAnswer(upstream, extra, old)
        return RelayedAnswer(upstream, extra, old)

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        self._strips = attempt.route.strips[attempt.at]
        body = self._encoded(plan, attempt)
        return head_for(request, attempt, b"content-length: %d\r\n" % len(body)), body

    def _encoded(self, plan: RoutePlan, attempt: Attempt) -> bytes:
        policy = attempt.route.policies[attempt.at]
        document = plan.document
        model = attempt.model(plan)
        same = model is None or plan.requested == model
        if document is None or (policy is None and same and not plan.guarded):
            return bytes(self._body)
        if plan.guarded:
            document = guarded(plan, attempt, document)
        if policy is not None:
            document = dict(document)
            apply(policy, document, plan.operation)
        encoded = attempt.encoded_model(plan)
        if encoded is not None:
            document["model"] = encoded
        return _encode(document)

    def close(self) -> None:
        self._body = b""


class UploadOutgoing(Outgoing):
    """A body that is streamed; ``model_at`` is where a form names its model."""

    __slots__ = ("_length", "_model_at", "_written")

    def __init__(
        self, upload: Upload, length: int, model_at: tuple[int, int] | None = None
    ) -> None:
        """``length`` -1: not known, the body is sent in chunks."""
        super().__init__()
        self.upload = upload
        self.chunked = length < 0
        self._length = length
        self._model_at = model_at
        self._written: bytes | None = None

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        served = attempt.model(plan)
        if self._model_at is not None and served is not None:
            self._name_model(served.encode())
        if self.chunked:
            return head_for(request, attempt, b"transfer-encoding: chunked\r\n"), b""
        return head_for(request, attempt, b"content-length: %d\r\n" % self._length), b""

    def _name_model(self, name: bytes) -> None:
        assert self._model_at is not None and self.upload is not None
        start, end = self._model_at
        if name == self._written:
            return
        self.upload.replace(start, end, name)
        self._written = name
        self._model_at = (start, start + len(name))
        if self._length >= 0:
            self._length += len(name) - (end - start)


def head_for(
    request: ClientRequest, attempt: Attempt, framing: bytes, target: bytes | None = None
) -> bytes:
    """The request's head for a backend; ``target`` where it is another one.

    HEAD is sent as GET, since httptools cannot be made to expect an answer without its body.
    """
    backend = attempt.backend
    method = b"GET" if request.method == b"HEAD" else request.method
    return b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b%bx-request-id: %b\r\n%b\r\n" % (
        method, backend.prefix, target or request.target, backend.authority, backend.credential,
        request.facts.forward, request.request_id, framing,
    )  # fmt: skip
