"""What this machine's routing file and its requests say of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Privacy = Literal["local", "self_hosted", "third_party"]


@dataclass(frozen=True, slots=True)
class MeasuredHere:
    """Medians over the newest requests of this machine: seconds to the first byte, output tokens
    per second after it. None: no request says. ``newest_at``: RFC 3339."""

    requests: int
    ttft_s: float | None
    tokens_per_s: float | None
    newest_at: str


@dataclass(frozen=True, slots=True)
class RouteHere:
    """An entry of the routing file that serves the model. ``privacy``: whose machine it is.
    ``trusted``: it has the tag trusted or curated."""

    name: str
    privacy: Privacy
    enabled: bool
    trusted: bool
    context_tokens: int | None
    measured: MeasuredHere | None


@dataclass(frozen=True, slots=True)
class ModelHere:
    """The entries of the routing file that serve a model."""

    model: str
    routes: tuple[RouteHere, ...]
