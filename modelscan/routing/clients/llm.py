"""llm: ``extra-openai-models.yaml`` in its own folder."""

from __future__ import annotations

from typing import Any

from modelscan.routing.clients.types import (
    ClientFile,
    ClientProgram,
    OfferedRoute,
    ServedGateway,
    without_unknown,
)


def _entry(offer: ServedGateway, route: OfferedRoute) -> dict[str, Any]:
    return without_unknown({
        "model_id": route.name, "model_name": route.name, "api_base": offer.api,
        "api_key_name": "modelscan" if offer.key_variable else None,
        "supports_tools": route.tools, "vision": route.vision,
    })  # fmt: skip


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    values = {"": [_entry(offer, route) for route in offer.routes]}
    path = "$LLM_USER_PATH/extra-openai-models.yaml"
    return (ClientFile(path, "yaml", values, {}, {"": "model_id"}),)


def _start(offer: ServedGateway) -> str:
    key = f' --key "${offer.key_variable}"' if offer.key_variable else ""
    return f"llm -m {offer.chosen.name}{key} 'Hello'"


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return ["llm", "-m", offer.chosen.name, "--no-stream", question]


CLIENT = ClientProgram(
    "llm", "llm", _files, _start,
    turn=_turn, install="pipx install llm",
)  # fmt: skip
