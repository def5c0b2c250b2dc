"""llama-swap: the gateway as a peer, which serves the routes by name."""

from __future__ import annotations

from modelscan.routing.clients.types import (
    PROVIDER,
    ClientFile,
    ClientProgram,
    ServedGateway,
    without_unknown,
)


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    key = f"${{env.{offer.key_variable}}}" if offer.key_variable else None
    names = [route.name for route in offer.routes]
    peer = without_unknown({"proxy": offer.base_url, "apiKey": key, "models": names})
    return (ClientFile(None, "yaml", {"peers": {PROVIDER: peer}}),)


CLIENT = ClientProgram("llama-swap", "llama-swap", _files)
