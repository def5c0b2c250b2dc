"""How thinking is switched on or off in a request, by the model's family.

The families' published templates read a variable, which llama.cpp, vLLM and SGLang take from a
request's ``chat_template_kwargs``; a family without an entry cannot be switched by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Families that think by default, and are switched off unless a policy or a caller says otherwise.
THINKS_BY_DEFAULT = frozenset({"qwen3", "qwen3.5"})
_VARIABLES = {
    "qwen3": "enable_thinking", "qwen3.5": "enable_thinking", "glm-4.5": "enable_thinking",
    "glm-4.7": "enable_thinking", "nemotron-3": "enable_thinking", "gemma-4": "enable_thinking",
    "hunyuan-a13b": "enable_thinking", "intern-s1": "enable_thinking",
    "mimo-v2-flash": "enable_thinking", "deepseek-v3.1": "thinking", "deepseek-v3.2": "thinking",
    "granite-3": "thinking",
}  # fmt: skip
# Families that always think, more or less; the least and the usual effort.
_EFFORTS = {"gpt-oss": ("low", "medium")}


def template_switch(family: str, on: bool) -> Mapping[str, Any] | None:
    """The keys of a request's body; None: the family cannot be switched."""
    if family in _EFFORTS:
        return {"reasoning_effort": _EFFORTS[family][on]}
    variable = _VARIABLES.get(family)
    return None if variable is None else {"chat_template_kwargs": {variable: on}}


def effort_switch(family: str, on: bool) -> Mapping[str, Any] | None:
    """The same for a server that decides by ``reasoning_effort`` itself."""
    if family in _EFFORTS:
        return {"reasoning_effort": _EFFORTS[family][on]}
    return {"reasoning_effort": "medium" if on else "none"} if family in _VARIABLES else None


def switchable() -> tuple[str, ...]:
    """The families that can be switched."""
    return (*_VARIABLES, *_EFFORTS)
