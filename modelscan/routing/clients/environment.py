"""Environment variables that the OpenAI libraries and many programs read."""

from __future__ import annotations

from modelscan.routing.clients.types import ClientFile, ClientProgram, ServedGateway


def _key(offer: ServedGateway) -> str:
    return f"${{{offer.key_variable}}}" if offer.key_variable else "none"


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    values = {
        "OPENAI_BASE_URL": offer.api, "OPENAI_API_BASE": offer.api, "OPENAI_API_KEY": _key(offer),
        "OPENAI_MODEL": offer.chosen.name,
    }  # fmt: skip
    return (ClientFile(None, "env", values),)


CLIENT = ClientProgram("env", "environment variables", _files)
