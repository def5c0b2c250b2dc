"""Claude Code: ``settings.json``; it speaks the Messages API only.

The key is read by a command at each start, since the file has no references of its own.
"""

from __future__ import annotations

from typing import Any

from modelscan.routing.clients.types import ClientFile, ClientProgram, ServedGateway

_MODELS = (
    "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
)  # fmt: skip


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    environment = {"ANTHROPIC_BASE_URL": offer.base_url}
    environment |= dict.fromkeys(_MODELS, offer.chosen.name)
    values: dict[str, Any] = {"env": environment}
    if offer.key_variable:
        values["apiKeyHelper"] = f"printenv {offer.key_variable}"
    else:
        environment["ANTHROPIC_AUTH_TOKEN"] = "none"  # noqa: S105 - without one it asks for a login
    return (ClientFile("$CLAUDE_CONFIG_DIR/settings.json", "json", values),)


def _turn(offer: ServedGateway, question: str, paths: list[str]) -> list[str]:
    return ["claude", "-p", question]


CLIENT = ClientProgram(
    "claude-code", "Claude Code", _files, lambda _: "claude",
    prompt_tokens=19_000, needs_tools=True,
    turn=_turn, install="npm install -g @anthropic-ai/claude-code",
)  # fmt: skip
