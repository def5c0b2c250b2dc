"""The chat template of a folder or a hub repository whose family nothing else tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.engines.families import family_of, is_no_chat
from modelscan.formats.chat_template import TEMPLATE_FILE, TOKENIZER_FILE, stated_template

if TYPE_CHECKING:
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.reference import Reference
    from modelscan.hub.repository import Hub

_MOST_BYTES = 4 << 20


def local_template(folder: Path) -> str | None:
    """The template in a repository's folder; None without one, or if it cannot be read."""
    return _template(_read(folder / TEMPLATE_FILE), _read(folder / TOKENIZER_FILE))


def hub_template(hub: Hub, reference: Reference, model: ResolvedModel) -> str | None:
    """The template of a hub repository, requested if neither name nor class tells the family.

    None if it has none, or if the hub does not answer: the plan has no parsers then.
    """
    if model.task != "chat" or is_no_chat((model.name,)) or _has_family(model):
        return None
    try:
        own = hub.fetch_optional(reference, TEMPLATE_FILE)
        return _template(own, None if own else hub.fetch_optional(reference, TOKENIZER_FILE))
    except ModelscanError:
        return None


def _has_family(model: ResolvedModel) -> bool:
    """Whether the parsers follow from name or class, or are the engine's matter (GGUF)."""
    first = next(iter(model.candidates), None)
    if first is None or first.variant.format == "gguf":
        return True
    return family_of((model.name,), first.shape.architecture.checkpoint.classes) is not None


def _template(own: bytes | None, tokenizer: bytes | None) -> str | None:
    if own:
        return own.decode("utf-8", "replace")
    try:
        stated = json_value(tokenizer or b"{}")
    except ValueError:
        return None
    return stated_template(stated) if isinstance(stated, dict) else None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes() if file.stat().st_size <= _MOST_BYTES else None
    except OSError:
        return None
