"""``modelscan registry``: models that are trusted, their versions, and the way to a route."""

from __future__ import annotations

from modelscan.cli.framework import group
from modelscan.cli.registry import adapter, promote

app = group("Models that are trusted: their versions, and the way to a route.")
adapter.register(app)
promote.register(app)
