"""Zed: ``settings.json``. It reads the key from the variable that its provider's name gives."""

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
    abilities = {
        "tools": route.tools is not False, "images": bool(route.vision),
        "parallel_tool_calls": False,
        "prompt_cache_key": False, "chat_completions": True,
    }  # fmt: skip
    return without_unknown({
        "name": route.name, "display_name": route.label, "max_tokens": route.context_tokens,
        "max_output_tokens": route.answer_tokens, "capabilities": abilities,
    })  # fmt: skip


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    models = [_model(route) for route in offer.routes]
    provider = {"api_url": offer.api, "available_models": models}
    values = {"language_models": {"openai_compatible": {PROVIDER: provider}}}
    return (ClientFile("$XDG_CONFIG_HOME/zed/settings.json", "json", values),)


CLIENT = ClientProgram("zed", "Zed", _files, needs_tools=True)
