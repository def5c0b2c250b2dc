"""A query's words as expressions of the full text, from the narrowest to the widest.

A model's own name goes before its family and lab, those before its other words (task, abilities).
A word may be the beginning of a longer one, and words that say how weights are packed match
anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelscan.catalog.index.read import Index
from modelscan.catalog.index.words import COMMON, KINDS, SIZES, is_packing, mark, word_parts


def tiers(index: Index, words: Sequence[str]) -> list[str]:
    """Expressions in the order of relevance; the last one finds all that match."""
    last = anywhere(index, words)
    if KINDS.issuperset(words):  # a kind of model is asked for, not a name
        return list(dict.fromkeys([_all(_kind(w) for w in words), last]))
    names = [w for w in words if not is_packing(w)]
    packed = "".join(f" AND {_quoted(w)}" for w in words if is_packing(w))
    if not names:
        return [last]
    whole = _all(_quoted(w) for w in names)
    first = " OR ".join(_quoted(part) for w in names for part in (w, *word_parts(w)[:1]))
    found = [
        f"lead : ({first}) AND ident : ({whole})",  # claude: Claude Opus before another's tune
        f"ident : ({whole})",
        f"{{ident lead}} : ({whole})",
        f"{{ident lead}} : ({_all(_beginning(index, w) for w in names)})",
    ]
    if len(names) == 1:
        found.insert(0, f"lead : ({whole})")  # a family or a lab
    return [*dict.fromkeys(f"{tier}{packed}" for tier in found), last]


def anywhere(index: Index, words: Sequence[str]) -> str:
    """Every word, in any column."""
    if KINDS.issuperset(words):
        return _all(_kind(w) if w in SIZES else _beginning(index, w) for w in words)
    return _all(_beginning(index, w) for w in words)


def _all(expressions: Iterable[str]) -> str:
    return " AND ".join(expressions)


def _kind(word: str) -> str:
    """Size words match the counted parameters, not the model's name."""
    return _quoted(mark("size", word) if word in SIZES else word)


def _beginning(index: Index, word: str) -> str:
    """A word of three letters and more that is not common may be the beginning of another."""
    return _quoted(word) if len(word) < 3 or _common(index, word) else f"{_quoted(word)}*"


def _quoted(word: str) -> str:
    return f'"{word}"'


def _common(index: Index, word: str) -> bool:
    found = index.connection.execute("SELECT models FROM word WHERE word = ?", (word,)).fetchone()
    return found is not None and found[0] >= COMMON
