"""Corrects misspelt words of a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.index.search_words import IDLE, deletions, distance

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index


def correct(index: Index, words: Sequence[str]) -> list[str]:
    """The words; each one that no model has is replaced by the most frequent word one typo away."""
    return [_corrected(index, word) for word in words]


def _corrected(index: Index, word: str) -> str:
    letters = word.rstrip("0123456789.")
    rest = word[len(letters) :]
    if len(letters) < 3 or not letters.isalpha() or _known(index, letters):
        return word
    near = sorted({letters, *deletions(letters)})
    marks = ",".join("?" * len(near))
    sql = (
        f"SELECT word, models FROM word WHERE word IN ({marks}) UNION "  # noqa: S608 - only placeholders
        f"SELECT t.word, w.models FROM typo t JOIN word w ON w.word = t.word "
        f"WHERE t.deletion IN ({marks})"
    )
    rows = index.connection.execute(sql, [*near, *near]).fetchall()
    candidates = [(w, n) for w, n in rows if w not in IDLE]  # do not correct foo to "for"
    ranked = sorted((distance(letters, w), w[0] != letters[0], -n, w) for w, n in candidates)
    return ranked[0][3] + rest if ranked and ranked[0][0] < 3 else word


def _known(index: Index, word: str) -> bool:
    """True if the word is a whole word of any model."""
    sql = "SELECT 1 FROM word WHERE word = ?"
    return index.connection.execute(sql, (word,)).fetchone() is not None
