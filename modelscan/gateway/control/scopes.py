"""Which scope each path of the control application needs: the table, also of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.access import Scope

Open = Literal["loopback"]


@dataclass(frozen=True, slots=True)
class PathScope:
    """One row. One of ``scopes`` is needed; ``open_on_loopback``: none where only this machine
    can connect. A key with the scope admin may do everything.
    """

    methods: tuple[str, ...]
    path: str
    scopes: tuple[Scope, ...]
    what: str
    open_on_loopback: bool = False


PATHS: tuple[PathScope, ...] = (
    PathScope(("GET",), "/v1/models", ("infer", "read"), "the models that this key may use"),
    PathScope(("GET",), "/v1/models/{name:path}", ("infer", "read"), "one of them"),
    PathScope(("GET",), "/api/tags", ("infer", "read"), "the same, in Ollama's form"),
    PathScope(("GET",), "/api/ps", ("infer", "read"), "those of them that are loaded"),
    PathScope(("POST",), "/api/show", ("infer", "read"), "one of them, in Ollama's form"),
    PathScope(("GET",), "/api/version", ("infer", "read"), "the version, for Ollama's clients"),
    PathScope(("POST",), "/v1/nodes/register", ("node",), "a node registers with its services"),
    PathScope(("POST",), "/v1/nodes/heartbeat", ("node",), "a node lives; 404: register again"),
    PathScope(("POST",), "/v1/nodes/leave", ("node",), "a node stops"),
    PathScope(("GET",), "/v1/cluster/hosts", ("read",), "every node, in GenieHive's form and more"),
    PathScope(("GET",), "/v1/cluster/services", ("read",), "every service of every node"),
    PathScope(("GET",), "/v1/cluster/health", ("read",), "how many hosts and services are well"),
    PathScope(
        ("GET",), "/health", ("read",), "whether the gateway is well, and every backend's state",
        open_on_loopback=True,
    ),
    PathScope(
        ("GET",), "/ready", ("read",), "200 where a backend can answer, else 503",
        open_on_loopback=True,
    ),
    PathScope(
        ("GET",), "/metrics", ("read",), "counters for Prometheus", open_on_loopback=True,
    ),
    PathScope(
        ("GET",), "/openapi.json", ("read",), "this table as OpenAPI", open_on_loopback=True,
    ),
)  # fmt: skip


def allows(row: PathScope, scopes: frozenset[str] | None, *, loopback: bool) -> bool:
    """Whether a request with these scopes (None: without a key) may use a path."""
    if row.open_on_loopback and loopback:
        return True
    return scopes is not None and bool(scopes & {*row.scopes, "admin"})
