"""Every client by name, and what its user should know before using a route with it."""

from __future__ import annotations

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.routing.clients import (
    aider,
    claude_code,
    codex,
    continue_dev,
    environment,
    litellm,
    llama_swap,
    llm,
    open_webui,
    opencode,
    zed,
)
from modelscan.routing.clients.types import ClientProgram, OfferedRoute

CLIENTS: dict[str, ClientProgram] = {
    module.CLIENT.name: module.CLIENT
    for module in (
        opencode, codex, claude_code, continue_dev, aider, zed, open_webui, litellm, llama_swap,
        llm, environment,
    )
}  # fmt: skip
_OTHER_NAMES = {
    "claude": "claude-code",
    "cn": "continue",
    "openai": "env",
    "openwebui": "open-webui",
}
# Codex changes its tools for the names of OpenAI's own models (seen with 0.171).
_OPENAI_NAMES = ("gpt-5.", "gpt-6")


def client_of(name: str) -> ClientProgram:
    """The client of that name. Raises UsageError with the nearest names."""
    client = CLIENTS.get(_OTHER_NAMES.get(name.lower(), name.lower()))
    if client is not None:
        return client
    close = nearest(name, CLIENTS, limit=1)
    raise UsageError(
        f"there is no client '{name}'; known are {', '.join(CLIENTS)}",
        hint=f"modelscan connect {close[0] if close else 'opencode'}",
        code="unknown_client",
    )


def warnings(client: ClientProgram, route: OfferedRoute) -> list[str]:
    """What will not work well with this client over this route."""
    found = []
    needed, served = client.prompt_tokens, route.context_tokens
    if needed and served is not None and needed >= served:
        found.append(
            f"{client.title} sends about {needed:,} tokens before your first word; "
            f"'{route.name}' serves a context of {served:,}"
        )
    if client.needs_tools and route.tools is False:
        found.append(
            f"{client.title} works by calling tools; the model behind '{route.name}' has no tools "
            "in its chat template, so it will answer in prose"
        )
    if client.name == "codex" and route.name.startswith(_OPENAI_NAMES):
        found.append(
            f"Codex sends other tools to a model called '{route.name}', which is OpenAI's name; "
            "use an alias of another name"
        )
    return found
