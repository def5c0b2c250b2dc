"""Entries of the routing file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.tls import TlsFiles

ProviderType = Literal["local", "gpustack", "ollama", "openai"]
MODES = ("direct", "plano_proxy", "plano_embedded")


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests for a model go. ``base_url`` is the server's root, without /v1.

    ``model`` None: a server of many models, which are requested as NAME/MODEL. ``tier``: whose
    machine it is.
    """

    name: str
    type: str
    base_url: str
    model: str | None
    served_model: str | None = None
    api_key: str | None = None  # env:NAME or file:PATH, never a literal
    context_tokens: int | None = None
    tags: tuple[str, ...] = ()
    deployment: str | None = None
    enabled: bool = True
    preset: str | None = None
    tier: Literal["local", "self_hosted", "third_party"] = "local"
    unix_socket: str | None = None  # the path of its socket; base_url may then be ""
    tls: TlsFiles | None = None  # of https to a server with certificates of one's own

    @property
    def sent_model(self) -> str:
        """The name to send in a request; "" for a server of many models."""
        return self.served_model or self.model or ""
