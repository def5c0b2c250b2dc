"""aider: ``.aider.conf.yml`` and the limits of its models."""

from __future__ import annotations

from modelscan.routing.clients.types import (
    ClientFile,
    ClientProgram,
    ServedGateway,
    without_unknown,
)


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    limits = {
        f"openai/{route.name}": without_unknown({
            "max_input_tokens": route.context_tokens, "max_output_tokens": route.answer_tokens,
            "input_cost_per_token": 0, "output_cost_per_token": 0,
            "litellm_provider": "openai", "mode": "chat",
        })
        for route in offer.routes
    }  # fmt: skip
    defaults = {"model": f"openai/{offer.chosen.name}"}
    return (
        ClientFile("~/.aider.conf.yml", "yaml", {"openai-api-base": offer.api}, defaults),
        ClientFile("~/.aider.model.metadata.json", "json", limits),
    )


def _start(offer: ServedGateway) -> str:
    key = f'"${offer.key_variable}"' if offer.key_variable else "none"
    return f"OPENAI_API_KEY={key} aider --model openai/{offer.chosen.name}"


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return [
        "aider", "--model", f"openai/{offer.chosen.name}", "--no-git", "--yes-always",
        "--no-check-update", "--message", question,
    ]  # fmt: skip


CLIENT = ClientProgram(
    "aider", "aider", _files, _start, prompt_tokens=100,
    turn=_turn, install="pipx install aider-chat",
)  # fmt: skip
