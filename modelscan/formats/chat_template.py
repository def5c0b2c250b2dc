"""The chat template of a repository: a file of its own, or in ``tokenizer_config.json``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.foreign import rows, text

TEMPLATE_FILE, TOKENIZER_FILE = "chat_template.jinja", "tokenizer_config.json"
_WITH_TOOLS = "tool_use"


def stated_template(tokenizer: Mapping[str, Any]) -> str | None:
    """The template of a ``tokenizer_config.json``; of several, the one with tools, else the first.

    None if it has none.
    """
    stated = tokenizer.get("chat_template")
    if isinstance(stated, str):
        return stated or None
    named = {text(row.get("name")): text(row.get("template")) for row in rows(stated)}
    return named.get(_WITH_TOOLS) or next((found for found in named.values() if found), None)
