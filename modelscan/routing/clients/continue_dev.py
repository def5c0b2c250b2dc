"""Continue (editor extension and ``cn``): ``config.yaml``."""

from __future__ import annotations

from typing import Any

from modelscan.routing.clients.types import (
    ClientFile,
    ClientProgram,
    OfferedRoute,
    ServedGateway,
    without_unknown,
)


def _model(offer: ServedGateway, route: OfferedRoute) -> dict[str, Any]:
    abilities = [("tool_use", route.tools), ("image_input", route.vision)]
    options = {"contextLength": route.context_tokens, "maxTokens": route.answer_tokens}
    key = f"${{{{ secrets.{offer.key_variable} }}}}" if offer.key_variable else None
    return without_unknown({
        "name": route.name, "provider": "openai", "model": route.name, "apiBase": offer.api,
        "apiKey": key, "roles": ["chat", "edit", "apply"],
        "capabilities": [name for name, has in abilities if has] or None,
        "defaultCompletionOptions": without_unknown(options) or None,
    })  # fmt: skip


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    values = {"models": [_model(offer, route) for route in offer.routes]}
    defaults = {"name": "modelscan", "version": "0.0.1", "schema": "v1"}
    return (ClientFile("~/.continue/config.yaml", "yaml", values, defaults, {"models": "name"}),)


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return ["cn", "-p", question, "--config", paths[0], "--silent"]


CLIENT = ClientProgram(
    "continue", "Continue", _files, lambda _: "cn", prompt_tokens=1_500, needs_tools=True,
    turn=_turn, install="npm install -g @continuedev/cli",
)  # fmt: skip
