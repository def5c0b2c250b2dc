"""Which scope each path of the gateway needs: the rows of inference, and what a row is.

The rows of the control application are in ``control.scopes``. Both parts check requests with
their rows; the reference page and ``/openapi.json`` are made from all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelscan.core.access import Scope
from modelscan.routing.table import Operation


@dataclass(frozen=True, slots=True)
class PathScope:
    """One row. One of ``scopes`` is needed; ``open_on_loopback``: none where only this machine
    can connect. A key with the scope admin may do everything.

    ``operation``: of a backend, which the data path sends the request to.
    """

    methods: tuple[str, ...]
    path: str
    scopes: tuple[Scope, ...]
    what: str
    open_on_loopback: bool = False
    operation: Operation | None = None
    public: bool = False  # no key is needed, wherever the caller is


def _inference(path: str, operation: Operation, what: str) -> PathScope:
    return PathScope(("POST",), path, ("infer",), what, operation=operation)


INFERENCE: tuple[PathScope, ...] = (
    _inference("/v1/chat/completions", "chat", "chat completions"),
    _inference("/v1/completions", "completions", "completions of a text"),
    _inference("/v1/embeddings", "embeddings", "embeddings"),
    _inference("/v1/rerank", "rerank", "a ranking of documents"),
    _inference("/v2/rerank", "rerank", "the same, for Cohere's clients"),
    _inference("/rerank", "rerank", "the same, for Jina's clients"),
    _inference("/v1/responses", "responses", "OpenAI's responses"),
    _inference("/v1/messages", "messages", "Anthropic's messages"),
    _inference("/v1/messages/count_tokens", "messages", "the number of a message's tokens"),
    _inference("/v1/audio/transcriptions", "transcription", "the text of a recording"),
    _inference("/v1/audio/translations", "transcription", "its text in English"),
    _inference("/v1/audio/speech", "speech", "speech"),
    _inference("/v1/images/generations", "image", "images"),
    _inference("/v1/images/edits", "image", "changed images"),
    _inference("/v1/images/variations", "image", "variations of an image"),
    _inference("/api/chat", "chat", "chat, in Ollama's form"),
    _inference("/api/generate", "chat", "a completion, in Ollama's form"),
    _inference("/api/embed", "embeddings", "embeddings, in Ollama's form"),
    _inference("/api/embeddings", "embeddings", "one embedding, in Ollama's older form"),
    _inference("/tokenize", "tokenize", "the tokens of a text"),
    _inference("/detokenize", "tokenize", "the text of tokens"),
    _inference("/v1/tokenize", "tokenize", "the tokens of a text"),
    _inference("/v1/detokenize", "tokenize", "the text of tokens"),
)
OTHER = PathScope(
    ("GET", "POST", "PUT", "PATCH", "DELETE"), "/v1/{other:path}", ("infer",),
    "passed to the backend of the model unchanged", operation="other",
)  # fmt: skip
"""Every other path below ``/v1/``, if its first part is not one of the control application."""
CONTROL_AREAS = frozenset((
    "models", "cluster", "nodes", "deployments", "registry", "events", "keys", "traces", "audit",
    "cache",
))  # fmt: skip
"""First parts of paths below ``/v1/`` that never go to a backend."""


def permitted(scopes: Iterable[Scope]) -> frozenset[Operation]:
    """The operations that a key with these scopes may ask of a backend."""
    own = frozenset(scopes)
    rows = (*INFERENCE, OTHER)
    return frozenset(
        row.operation for row in rows if row.operation and own & {*row.scopes, "admin"}
    )


def needed(operation: Operation) -> str:
    """The scopes that an operation needs, as text."""
    row = next(row for row in (*INFERENCE, OTHER) if row.operation == operation)
    return " or ".join(row.scopes)
