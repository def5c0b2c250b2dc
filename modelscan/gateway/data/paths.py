"""Which request goes where: an operation of a backend, or the control application."""

from __future__ import annotations

import re

from modelscan.routing.table import Operation

OPERATIONS: dict[bytes, Operation] = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completions",
    b"/v1/embeddings": "embeddings",
    b"/v1/rerank": "rerank",
    b"/v2/rerank": "rerank",
    b"/rerank": "rerank",
    b"/v1/audio/transcriptions": "transcription",
    b"/v1/audio/translations": "transcription",
    b"/v1/audio/speech": "speech",
    b"/v1/images/generations": "image",
    b"/v1/images/edits": "image",
    b"/v1/images/variations": "image",
    b"/v1/responses": "responses",
    b"/v1/messages": "messages",
    b"/v1/messages/count_tokens": "messages",
    b"/api/chat": "chat",
    b"/api/generate": "chat",
    b"/api/embed": "embeddings",
    b"/api/embeddings": "embeddings",
    b"/tokenize": "tokenize",
    b"/detokenize": "tokenize",
    b"/v1/tokenize": "tokenize",
    b"/v1/detokenize": "tokenize",
}
_CONTROL = frozenset(
    (b"models", b"cluster", b"nodes", b"deployments", b"registry", b"events", b"keys", b"traces")
)
_UNSAFE = re.compile(rb"[^\x21-\x7e]|[\\#]|//|/\.{1,2}(?:[/%]|$)|%2e|%5c|%00", re.IGNORECASE)


def operation_of(method: bytes, path: bytes) -> Operation | None:
    """What a request requests from a backend; None: it belongs to the control application."""
    if method == b"POST":
        known = OPERATIONS.get(path)
        if known is not None:
            return known
    if not path.startswith(b"/v1/") or path in OPERATIONS or method == b"OPTIONS":
        return None
    area = path[4:].split(b"/", 1)[0]
    return None if not area or area in _CONTROL else "other"


def is_safe(target: bytes) -> bool:
    """Whether a target is a path that means the same to every server.

    No control characters, no dot segments, no empty segments and no encoded ones of them; the
    query is checked for control characters only.
    """
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or _UNSAFE.search(path):
        return False
    return not query or re.search(rb"[^\x21-\x7e]", query) is None
