"""opencode: ``opencode.json``, through its OpenAI-compatible package."""

from __future__ import annotations

from typing import Any

from modelscan.routing.clients.types import (
    PROVIDER,
    ClientFile,
    ClientProgram,
    OfferedRoute,
    ServedGateway,
    without_unknown,
)


def _model(route: OfferedRoute) -> dict[str, Any]:
    limit = {"context": route.context_tokens, "output": route.answer_tokens}
    return without_unknown({
        "name": route.label, "limit": limit if None not in limit.values() else None,
        "tool_call": route.tools, "attachment": route.vision, "reasoning": route.reasoning,
    })  # fmt: skip


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    options = {"baseURL": offer.api}
    if offer.key_variable:
        options["apiKey"] = f"{{env:{offer.key_variable}}}"
    provider = {
        "npm": "@ai-sdk/openai-compatible", "name": PROVIDER, "options": options,
        "models": {route.name: _model(route) for route in offer.routes},
    }  # fmt: skip
    chosen = f"{PROVIDER}/{offer.chosen.name}"
    defaults = {
        "$schema": "https://opencode.ai/config.json", "model": chosen, "small_model": chosen,
    }  # fmt: skip
    path = "$XDG_CONFIG_HOME/opencode/opencode.json"
    return (ClientFile(path, "json", {"provider": {PROVIDER: provider}}, defaults),)


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return ["opencode", "run", "-m", f"{PROVIDER}/{offer.chosen.name}", question]


CLIENT = ClientProgram(
    "opencode", "opencode", _files, lambda offer: f"opencode -m {PROVIDER}/{offer.chosen.name}",
    prompt_tokens=8_000, needs_tools=True,
    turn=_turn, install="npm install -g opencode-ai",
)  # fmt: skip
