"""Finds the model for a provider's id that no source lists, with the linking rules.

Providers change between two snapshots; ``cerebras/llama-3.3-70b`` still identifies a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.curated import curated
from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.link.name_differences import DECORATION
from modelscan.catalog.link.rules import Linker

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index


def hosted_row(index: Index, text: str) -> int | None:
    """The model's row; None if ``text`` is not a provider's id or no rule matches."""
    host, _, rest = text.partition("/")
    is_listed = bool(rest) and index.is_provider(host)
    if not is_listed and "/" not in rest:
        return None
    plain, _, tag = text.rpartition(":")
    if tag.lower() in DECORATION:  # qwen3-coder:free is qwen3-coder
        listed = index.by_name(plain, (NameKind.OFFERING,))
        if len(listed) == 1:
            return listed[0][1]
    linker = Linker(index.repositories(), curated())
    if not is_listed and linker.take_apart(text, provider=True).foreign:
        return None  # a fine-tune under its owner's name, not a hosted catalog model
    match = linker.link(text, provider=True)
    rows = index.by_name(match.repo, (NameKind.REPOSITORY, NameKind.WEIGHTS)) if match else []
    return rows[0][1] if rows else None
