"""What the clients of both hubs have in common."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.net.address import public
from modelscan.net.client import HttpClient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A hub at an address. ``token`` is the secret itself, never shown."""

    http: HttpClient
    endpoint: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({public(self.endpoint)!r})"

    @property
    def headers(self) -> dict[str, str]:
        """The token as a bearer; nothing without one."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
