"""``/openapi.json``: the paths of the control application and of inference, with their scopes."""

from __future__ import annotations

import re
from typing import Any

from modelscan.gateway.control.scopes import TABLE
from modelscan.gateway.scopes import PathScope


def document(version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of every path; bodies of inference pass unchanged, so they have no schema."""
    paths: dict[str, Any] = {}
    for row in TABLE:
        path = re.sub(r":\w+\}", "}", row.path)
        paths.setdefault(path, {}).update(
            {method.lower(): _operation(row) for method in row.methods}
        )
    key = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "modelscan", "version": version},
        "paths": paths,
        "components": {"securitySchemes": {"key": key}},
        "security": [{"key": []}],
    }


def _operation(row: PathScope) -> dict[str, Any]:
    scopes = list(row.scopes)
    key = [{"key": scopes}]
    operation: dict[str, Any] = {
        "summary": row.what,
        "description": f"scope: {' or '.join(scopes)}",
        "security": [{}, *key] if row.open_on_loopback else key,
        "responses": {
            "200": {"description": row.what},
            "401": {"description": "the key is missing or not valid"},
            "403": {"description": "the key lacks the scope"},
        },
    }
    if "{" in row.path:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)", row.path)
        ]
    return operation
