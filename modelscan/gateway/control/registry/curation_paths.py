"""The paths of curations, results and events with their scopes."""

from __future__ import annotations

from modelscan.core.access import Scope
from modelscan.gateway.scopes import PathScope

_READERS: tuple[Scope, ...] = ("read", "operator", "curator")
_CURATIONS = "/v1/registry/curations"

CURATION_PATHS: tuple[PathScope, ...] = (
    PathScope(("GET",), _CURATIONS, _READERS, "the curations, the newest first"),
    PathScope(("POST",), _CURATIONS, ("curator",), "propose a tag that needs approvals"),
    PathScope(("POST",), f"{_CURATIONS}/{{id}}/approvals", ("curator",), "approve a proposal"),
    PathScope(("GET",), f"{_CURATIONS}/{{id}}", _READERS, "a curation with its gates"),
    PathScope(
        ("DELETE",), f"{_CURATIONS}/{{id}}", ("curator",),
        "reject a proposal, or take an approved tag away",
    ),
    PathScope(("GET",), "/v1/registry/evals", _READERS, "results of versions, sorted by a metric"),
    PathScope(
        ("POST",), "/v1/registry/evals", ("operator", "curator"),
        "store a report of `bench run` or `eval run` as it is; a repetition changes nothing",
    ),
    PathScope(
        ("GET",), "/v1/events", _READERS,
        "what happens to models, deployments, nodes and routes, as server-sent events",
    ),
)  # fmt: skip
"""The rows, the more specific ones first."""
