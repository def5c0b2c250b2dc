"""Routing files for tests."""

from __future__ import annotations

from typing import Any

from modelscan.routing.parsed import RoutingFile
from modelscan.routing.schema import parse


def provider(name: str, **fields: Any) -> dict[str, Any]:
    """A local entry."""
    base = {"name": name, "type": "local", "base_url": "http://127.0.0.1:1", "model": f"lab/{name}"}
    return {key: value for key, value in {**base, **fields}.items() if value is not None}


def hosted(name: str, **fields: Any) -> dict[str, Any]:
    """A third party's entry."""
    url = "https://api.example.com"
    return provider(name, **{"type": "openai", "base_url": url, **fields})


def role(name: str, *, operation: str = "chat", prompt: Any = None, **selection: Any) -> Any:
    """A role with the keys of its routing policy."""
    fields: dict[str, Any] = {"role_id": name, "operation": operation}
    if prompt is not None:
        fields["prompt_policy"] = prompt
    return {**fields, "routing_policy": selection} if selection else fields


def routing(*providers: Any, default: str | None = None, **parts: Any) -> dict[str, Any]:
    """The document's data."""
    direct: dict[str, Any] = {"providers": list(providers)}
    if default is not None:
        direct["default_provider"] = default
    return {"version": 1, "routing": {"direct": direct, **parts}}


def file_of(*providers: Any, default: str | None = None, **parts: Any) -> RoutingFile:
    """The typed file, which must have no findings."""
    file = parse(routing(*providers, default=default, **parts))
    assert file.findings == ()
    return file
