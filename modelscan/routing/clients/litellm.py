"""LiteLLM's proxy: one entry per route. The prefix ``openai/`` would drop parameters."""

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
    key = f"os.environ/{offer.key_variable}" if offer.key_variable else "none"
    parameters = {"model": f"hosted_vllm/{route.name}", "api_base": offer.api, "api_key": key}
    limits = without_unknown({
        "mode": "chat", "max_input_tokens": route.context_tokens,
        "max_output_tokens": route.answer_tokens, "input_cost_per_token": 0,
        "output_cost_per_token": 0, "supports_function_calling": route.tools,
        "supports_vision": route.vision,
    })  # fmt: skip
    return {"model_name": route.name, "litellm_params": parameters, "model_info": limits}


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    values = {
        "model_list": [_entry(offer, route) for route in offer.routes],
        "litellm_settings": {"drop_params": False, "request_timeout": 600},
    }
    return (ClientFile(None, "yaml", values, {}, {"model_list": "model_name"}),)


CLIENT = ClientProgram("litellm", "LiteLLM", _files)
