"""The paths of promotions with their scopes."""

from __future__ import annotations

from modelscan.core.access import Scope
from modelscan.gateway.scopes import PathScope

PROMOTIONS = "/v1/registry/promotions"
_READERS: tuple[Scope, ...] = ("read", "operator", "curator")

PROMOTION_PATHS: tuple[PathScope, ...] = (
    PathScope(("GET",), PROMOTIONS, _READERS, "the promotions to routes, the newest first"),
    PathScope(("POST",), PROMOTIONS, ("operator",), "promote a version to a route: 202"),
    PathScope(
        ("POST",), f"{PROMOTIONS}/{{id}}/rollback", ("operator",),
        "let the route lead to what it led to before: 202",
    ),
    PathScope(("GET",), f"{PROMOTIONS}/{{id}}", _READERS, "a promotion with its steps"),
)  # fmt: skip
"""The rows, the more specific ones first."""
