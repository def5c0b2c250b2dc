"""A provider's id that no source lists: the model it means by the rules that link those listed.

Providers come and go between two snapshots; ``cerebras/llama-3.3-70b`` is still that model.
"""

from __future__ import annotations

from modelscan.catalog.curated import curated
from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.read import Index
from modelscan.catalog.link.rules import Linker
from modelscan.catalog.link.words import DECORATION


def hosted_row(index: Index, text: str) -> int | None:
    """The row of the model, None where ``text`` is no provider's id or no rule is sure."""
    host, _, rest = text.partition("/")
    known = bool(rest) and index.is_provider(host)
    if not known and "/" not in rest:
        return None
    plain, _, tag = text.rpartition(":")
    if tag.lower() in DECORATION:  # qwen3-coder:free is qwen3-coder
        listed = index.by_name(plain, (NameKind.OFFERING,))
        if len(listed) == 1:
            return listed[0][1]
    linker = Linker(index.repositories(), curated())
    if not known and linker.take_apart(text, provider=True).foreign:
        return None  # a fine-tune under its owner's name, not a hosted catalog model
    found = linker.link(text, provider=True)
    rows = index.by_name(found.repo, (NameKind.REPOSITORY, NameKind.WEIGHTS)) if found else []
    return rows[0][1] if rows else None
