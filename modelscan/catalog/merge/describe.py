"""Writes a model's description and tags from its facts. Pure.

Sources' own texts are not copied: some repeat model cards or advertise. A user's text is kept.
"""

from __future__ import annotations

from typing import Any

from modelscan.catalog.purposes import LONG_CONTEXT_TOKENS, purposes_of
from modelscan.core.units import format_count
from modelscan.formats.repo_names import tokens

SOURCE = "facts"  # in provenance: the text was made from the model's other facts
_KINDS = {
    "chat": "chat model", "embedding": "embedding model", "rerank": "reranker",
    "image": "image generation model", "video": "video generation model",
    "speech_to_text": "speech recognition model", "text_to_speech": "speech synthesis model",
}  # fmt: skip
_WEIGHTS: dict[bool | None, str] = {True: "Open-weights ", False: "Closed "}
_WITH_CONTEXT = (None, "chat", "embedding", "rerank")  # others do not read a text of that length
_ABLE = ("tools", "reasoning")


def tags(name: str, values: dict[str, Any]) -> tuple[str, ...]:
    """The stated tags, then those that follow from name and facts; each once."""
    context = values.get("limits.context_tokens") or 0
    derived = [
        *(purpose.tag for purpose in purposes_of(tokens(name))),
        *(able for able in (*_ABLE, "vision") if values.get(f"capabilities.{able}")),
        *(["moe"] if values.get("active_parameters") else []),
        *(["long-context"] if context >= LONG_CONTEXT_TOKENS else []),
    ]
    return tuple(dict.fromkeys([*(values.get("tags") or ()), *derived]))


def description(lab: str, values: dict[str, Any]) -> str | None:
    """One sentence: kind, lab, size, context, abilities; None if only the lab is known."""
    details = [*_sizes(values), *_abilities(values)]
    kind = _KINDS.get(values.get("task") or "")
    if kind is None and not details:
        return None
    weights = _WEIGHTS.get(values.get("open_weights"), "")
    sentence = f"{weights}{kind or 'model'} by {lab}"
    text = f"{sentence}: {', '.join(details)}." if details else f"{sentence}."
    return text[0].upper() + text[1:]


def _sizes(values: dict[str, Any]) -> list[str]:
    total, active = values.get("parameters"), values.get("active_parameters")
    details = []
    if total:
        used = f" ({format_count(active)} active per token)" if active else ""
        details.append(f"{format_count(total)} parameters{used}")
    context = values.get("limits.context_tokens")
    if context and values.get("task") in _WITH_CONTEXT:
        details.append(f"{context:,} tokens of context")
    return details


def _abilities(values: dict[str, Any]) -> list[str]:
    able = [name for name in _ABLE if values.get(f"capabilities.{name}")]
    extra = [kind for kind in values.get("modalities_in") or () if kind != "text"]
    details = [" and ".join(able)] if able else []
    details += [f"{' and '.join(extra)} input"] if extra else []
    released = values.get("release_date")
    return details + ([f"released {released}"] if released else [])
