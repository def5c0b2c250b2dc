"""The common base of the clients of both hubs."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.net.address import public
from modelscan.net.client import HttpClient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A hub's address with its credentials. ``token`` is the secret itself, never displayed."""

    http: HttpClient
    endpoint: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({public(self.endpoint)!r})"

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header; empty without a token."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
