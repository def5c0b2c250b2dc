"""Converts the words of a query into full-text expressions, from narrow to wide.

Matches in a model's own name come before its family and lab, those before other words (task,
capabilities). A word may be a prefix of a longer one; weight formats match in any column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.index.search_words import COMMON, KINDS, SIZES, is_packing, mark, word_parts

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index


def tiers(index: Index, words: Sequence[str]) -> list[str]:
    """Expressions in order of relevance; the last one matches everything that any of them does."""
    last = anywhere(index, words)
    if KINDS.issuperset(words):  # words for a kind of model, not a name
        return list(dict.fromkeys([_all(_kind(w) for w in words), last]))
    names = [w for w in words if not is_packing(w)]
    formats = "".join(f" AND {_quoted(w)}" for w in words if is_packing(w))
    if not names:
        return [last]
    whole = _all(_quoted(w) for w in names)
    first = " OR ".join(_quoted(part) for w in names for part in (w, *word_parts(w)[:1]))
    expressions = [
        f"lead : ({first}) AND ident : ({whole})",  # claude: Claude Opus before fine-tunes
        f"ident : ({whole})",
        f"{{ident lead}} : ({whole})",
        f"{{ident lead}} : ({_all(_beginning(index, w) for w in names)})",
    ]
    if len(names) == 1:
        expressions.insert(0, f"lead : ({whole})")  # a family or a lab
    return [*dict.fromkeys(f"{tier}{formats}" for tier in expressions), last]


def anywhere(index: Index, words: Sequence[str]) -> str:
    """An expression that matches each word in any column."""
    if KINDS.issuperset(words):
        return _all(_kind(w) if w in SIZES else _beginning(index, w) for w in words)
    return _all(_beginning(index, w) for w in words)


def _all(expressions: Iterable[str]) -> str:
    return " AND ".join(expressions)


def _kind(word: str) -> str:
    """The expression for a kind word; size words match the counted parameters, not the model's
    name.
    """
    return _quoted(mark("size", word) if word in SIZES else word)


def _beginning(index: Index, word: str) -> str:
    """A prefix expression for an uncommon word of at least three letters; else the exact word."""
    return _quoted(word) if len(word) < 3 or _common(index, word) else f"{_quoted(word)}*"


def _quoted(word: str) -> str:
    return f'"{word}"'


def _common(index: Index, word: str) -> bool:
    row = index.connection.execute("SELECT models FROM word WHERE word = ?", (word,)).fetchone()
    return row is not None and row[0] >= COMMON
