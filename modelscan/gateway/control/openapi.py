"""``/openapi.json``: the paths of the control application and of inference, with their scopes."""

from __future__ import annotations

from typing import Any

from modelscan.gateway.control.scopes import PATHS, PathScope

INFERENCE = (
    ("/v1/chat/completions", "chat completions"),
    ("/v1/completions", "completions of a text"),
    ("/v1/embeddings", "embeddings"),
    ("/v1/rerank", "a ranking of documents"),
    ("/v1/responses", "OpenAI's responses"),
    ("/v1/messages", "Anthropic's messages"),
    ("/v1/messages/count_tokens", "the number of a message's tokens"),
    ("/v1/audio/transcriptions", "the text of a recording"),
    ("/v1/audio/speech", "speech"),
    ("/v1/images/generations", "images"),
    ("/tokenize", "the tokens of a text"),
)


def document(version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of every path; bodies of inference pass unchanged, so they have no schema."""
    paths: dict[str, Any] = {}
    for row in PATHS:
        path = row.path.replace(":path", "")
        paths.setdefault(path, {}).update(
            {method.lower(): _operation(row) for method in row.methods}
        )
    for path, what in INFERENCE:
        paths[path] = {"post": _described(what, "infer")}
    key = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "modelscan", "version": version},
        "paths": paths,
        "components": {"securitySchemes": {"key": key}},
        "security": [{"key": []}],
    }


def _operation(row: PathScope) -> dict[str, Any]:
    described = _described(row.what, " or ".join(row.scopes))
    if "{" in row.path:
        name = row.path.split("{")[1].split(":")[0]
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    return described


def _described(what: str, scope: str) -> dict[str, Any]:
    return {
        "summary": what,
        "description": f"scope: {scope}",
        "responses": {"200": {"description": what}},
    }
