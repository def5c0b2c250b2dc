"""Codex: a profile in a file of its own (since 0.17x); it speaks the Responses API only."""

from __future__ import annotations

from modelscan.routing.clients.types import (
    PROVIDER,
    ClientFile,
    ClientProgram,
    ServedGateway,
    without_unknown,
)


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    provider = without_unknown({
        "name": PROVIDER, "base_url": offer.api, "env_key": offer.key_variable,
        "wire_api": "responses",
    })  # fmt: skip
    route = offer.chosen
    chosen = without_unknown({
        "model": route.name, "model_provider": PROVIDER,
        "model_context_window": route.context_tokens,
    })  # fmt: skip
    tables = {"model_providers": {PROVIDER: provider}}
    return (ClientFile(f"$CODEX_HOME/{PROVIDER}.config.toml", "toml", tables, chosen),)


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return ["codex", "exec", "--skip-git-repo-check", "--profile", PROVIDER, question]


CLIENT = ClientProgram(
    "codex", "Codex", _files, lambda offer: f"codex --profile {PROVIDER}",
    prompt_tokens=10_000, needs_tools=True,
    turn=_turn, install="npm install -g @openai/codex",
)  # fmt: skip
