"""Entries of the routing file."""

from __future__ import annotations

from dataclasses import dataclass

ROUTE_TYPES = ("local", "gpustack", "openai")
MODES = ("direct", "plano_proxy", "plano_embedded")


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests for a model go. ``base_url`` is the server's root, without /v1."""

    name: str
    type: str
    base_url: str
    model: str
    served_model: str | None = None
    api_key: str | None = None  # env:NAME or file:PATH, never a literal
    context_tokens: int | None = None
    tags: tuple[str, ...] = ()
    deployment: str | None = None
    enabled: bool = True
