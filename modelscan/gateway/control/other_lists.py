"""The list of models in the shapes of Ollama's and Anthropic's clients. Pure.

A digest or a size of weights is not known here: digests are those of the name, sizes 0.
"""

from __future__ import annotations

import hashlib
from typing import Any

from modelscan.gateway.control.models import ModelRow

_TIME = "1970-01-01T00:00:00Z"  # when a model was made is not known


def anthropic_models(rows: tuple[ModelRow, ...]) -> dict[str, Any]:
    """``GET /v1/models`` for clients that send ``anthropic-version``."""
    data = [
        {"type": "model", "id": row.id, "display_name": row.id, "created_at": _TIME} for row in rows
    ]
    ends = {"first_id": rows[0].id, "last_id": rows[-1].id} if rows else {}
    return {"data": data, "has_more": False, "first_id": None, "last_id": None} | ends


def ollama_tags(rows: tuple[ModelRow, ...]) -> dict[str, Any]:
    """``GET /api/tags``: every model."""
    return {"models": [_tag(row) for row in rows]}


def ollama_running(rows: tuple[ModelRow, ...]) -> dict[str, Any]:
    """``GET /api/ps``: the loaded ones."""
    loaded = [row for row in rows if row.modelscan.loaded]
    return {
        "models": [
            {**_tag(row), "size_vram": 0, "expires_at": None,
             "context_length": row.modelscan.context.tokens or 0}
            for row in loaded
        ]
    }  # fmt: skip


def ollama_show(row: ModelRow) -> dict[str, Any]:
    """``POST /api/show``: one model, with the served context under its architecture's key."""
    facts = row.modelscan
    architecture = facts.model or row.id
    info: dict[str, Any] = {"general.architecture": architecture, "general.basename": row.id}
    if facts.context.tokens is not None:
        info[f"{architecture}.context_length"] = facts.context.tokens
    kinds = {"embeddings": ["embedding"]}.get(facts.operation or "chat", ["completion"])
    return {
        "modelfile": "", "parameters": "", "template": "", "details": _details(row),
        "model_info": info, "capabilities": kinds, "modified_at": _TIME,
    }  # fmt: skip


def _tag(row: ModelRow) -> dict[str, Any]:
    return {
        "name": row.id, "model": row.id, "modified_at": _TIME, "size": 0,
        "digest": hashlib.sha256(row.id.encode()).hexdigest(), "details": _details(row),
    }  # fmt: skip


def _details(row: ModelRow) -> dict[str, Any]:
    return {
        "parent_model": row.modelscan.model or "", "format": "", "family": "", "families": None,
        "parameter_size": "", "quantization_level": "",
    }  # fmt: skip
