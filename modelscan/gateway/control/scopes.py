"""Which scope each path of the control application needs, and the table of all paths."""

from __future__ import annotations

from modelscan.gateway.control.registry.curation_paths import CURATION_PATHS
from modelscan.gateway.control.registry.paths import HUB_PATHS, REGISTRY_PATHS
from modelscan.gateway.control.registry.promotion_paths import PROMOTION_PATHS
from modelscan.gateway.scopes import INFERENCE, OTHER, PathScope

MCP_PATH = "/mcp"


def _page(path: str, what: str) -> PathScope:
    return PathScope(("GET",), path, ("read", "operator"), what, open_on_loopback=True)


PAGES: tuple[PathScope, ...] = (
    _page("/", "what runs here (a page)"),
    _page("/find", "models that run on a machine (a page)"),
    _page("/model/{id:path}", "one model on a machine (a page)"),
    _page("/compare", "models next to each other (a page)"),
    _page("/deployment/{name}", "one deployment (a page)"),
    _page("/traffic", "requests and routes (a page)"),
    _page("/traffic/{trace}", "one request (a page)"),
    _page("/scores", "results of evals and benchmarks (a page)"),
    _page("/scores/compare", "two runs, task by task (a page)"),
    _page("/registry", "the registry's models, and what waits for an approval (a page)"),
    _page("/system", "checks, weights, settings (a page)"),
    _page("/docs", "the manual, and `?q=WORDS` a search in it (a page)"),
    _page("/docs/images/{file}", "a picture of the manual"),
    _page("/docs/{page:path}", "a page of the manual (a page)"),
    _page("/export/{form}/{id:path}", "a plan as a file of another tool"),
    PathScope(
        ("GET",), "/static/{file:path}", ("read", "operator"), "styles and scripts of the pages",
        public=True,
    ),
    _page("/api/v1/live", "what runs now: the document of `top`"),
    _page("/api/v1/series", "rates and latencies over time"),
    _page("/api/v1/log", "the last lines of a deployment's log"),
    _page("/api/v1/sizes/{id:path}", "every file of a model: the document of `estimate --files`"),
)  # fmt: skip
"""The pages and what they load; handlers of the room ``web``."""

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
    PathScope(
        ("POST",), "/v1/cluster/routes/test", ("operator",), "send an entry a real request"
    ),
    PathScope(("GET",), "/v1/cluster/roles", ("read",), "every role, and what serves it now"),
    PathScope(("GET",), "/v1/cluster/benchmarks", ("read",), "the results of benchmarks"),
    PathScope(("POST",), "/v1/cluster/benchmarks", ("operator",), "store results of benchmarks"),
    *CURATION_PATHS, *PROMOTION_PATHS,
    *REGISTRY_PATHS,
    *HUB_PATHS,
    PathScope(("GET",), "/v1/deployments", ("read", "operator"), "every deployment"),
    PathScope(("POST",), "/v1/deployments", ("operator",), "deploy a model: 202, a job"),
    PathScope(("POST",), "/v1/deployments/plan", ("read", "operator"), "the plan, nothing is run"),
    PathScope(
        ("GET",), "/v1/deployments/{name}", ("read", "operator"), "a deployment, its plan, memory"
    ),
    PathScope(("DELETE",), "/v1/deployments/{name}", ("operator",), "stop and delete it: 202"),
    PathScope(
        ("PATCH",), "/v1/deployments/{name}", ("operator",), "give it other options: 202, a job"
    ),
    PathScope(
        ("GET",), "/v1/deployments/{name}/job", ("read", "operator"), "what became of a change"
    ),
    PathScope(("POST",), "/v1/deployments/{name}/start", ("operator",), "start it: 202"),
    PathScope(("POST",), "/v1/deployments/{name}/stop", ("operator",), "stop it: 202"),
    PathScope(("POST",), "/v1/deployments/{name}/restart", ("operator",), "restart it: 202"),
    PathScope(
        ("POST",), "/v1/deployments/{name}/upgrade", ("operator",), "newer weights for it: 202"
    ),
    PathScope(("GET",), "/v1/cache", ("read", "operator"), "the pulled weights"),
    PathScope(
        ("POST",), "/v1/cache/prune", ("operator",), "delete weights that no deployment uses"
    ),
    PathScope(
        ("GET",), "/v1/traces/{id}", ("operator",),
        "a request, with its texts where they are kept by choice",
    ),
    PathScope(
        ("POST", "DELETE"), MCP_PATH, ("read", "operator"),
        "tools and resources for assistants (MCP), with `serve --mcp`",
    ),
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
    *PAGES,
)  # fmt: skip

TABLE: tuple[PathScope, ...] = (*INFERENCE, *PATHS, OTHER)
"""Every path, of inference too."""


def allows(row: PathScope, scopes: frozenset[str] | None, *, loopback: bool) -> bool:
    """Whether a request with these scopes (None: without a key) may use a path."""
    if row.public or (row.open_on_loopback and loopback):
        return True
    return scopes is not None and bool(scopes & {*row.scopes, "admin"})
