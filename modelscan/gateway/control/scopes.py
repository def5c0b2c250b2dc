"""Which scope each path of the control application needs, and the table of all paths."""

from __future__ import annotations

from modelscan.gateway.control.registry.paths import HUB_PATHS, REGISTRY_PATHS
from modelscan.gateway.scopes import INFERENCE, OTHER, PathScope

PATHS: tuple[PathScope, ...] = (
    PathScope(("GET",), "/v1/models", ("infer", "read"), "the models that this key may use"),
    PathScope(("GET",), "/v1/models/{name:path}", ("infer", "read"), "one of them"),
    PathScope(("GET",), "/api/tags", ("infer", "read"), "the same, in Ollama's form"),
    PathScope(("GET",), "/api/ps", ("infer", "read"), "those of them that are loaded"),
    PathScope(("POST",), "/api/show", ("infer", "read"), "one of them, in Ollama's form"),
    PathScope(("GET",), "/api/version", ("infer", "read"), "the version, for Ollama's clients"),
    PathScope(("GET",), "/v1/audit", ("admin",), "who changed what, the newest first"),
    PathScope(("POST",), "/v1/nodes/register", ("node",), "a node registers with its services"),
    PathScope(("POST",), "/v1/nodes/heartbeat", ("node",), "a node lives; 404: register again"),
    PathScope(("POST",), "/v1/nodes/leave", ("node",), "a node stops"),
    PathScope(("GET",), "/v1/cluster/hosts", ("read",), "every node, in GenieHive's form and more"),
    PathScope(("GET",), "/v1/cluster/services", ("read",), "every service of every node"),
    PathScope(("GET",), "/v1/cluster/health", ("read",), "how many hosts and services are well"),
    PathScope(
        ("POST",), "/v1/cluster/routes/match", ("read",), "the roles and entries for a task, ranked"
    ),
    PathScope(
        ("GET",), "/v1/cluster/routes/resolve", ("read",), "what would serve `?model=NAME`, and why"
    ),
    PathScope(("GET",), "/v1/cluster/roles", ("read",), "every role, and what serves it now"),
    PathScope(("GET",), "/v1/cluster/benchmarks", ("read",), "the results of benchmarks"),
    PathScope(("POST",), "/v1/cluster/benchmarks", ("operator",), "store results of benchmarks"),
    *REGISTRY_PATHS,
    *HUB_PATHS,
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

TABLE: tuple[PathScope, ...] = (*INFERENCE, *PATHS, OTHER)
"""Every path, of inference too."""


def allows(row: PathScope, scopes: frozenset[str] | None, *, loopback: bool) -> bool:
    """Whether a request with these scopes (None: without a key) may use a path."""
    if row.open_on_loopback and loopback:
        return True
    return scopes is not None and bool(scopes & {*row.scopes, "admin"})
