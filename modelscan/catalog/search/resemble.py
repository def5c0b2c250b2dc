"""Names that look like what was typed, for the error that says there is no such model."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable

from modelscan.catalog.index.words import spelling

_LOOKED_AT, _ALIKE = 60, 0.7


def resembling(text: str, ids: Iterable[str], limit: int = 5) -> list[str]:
    """The ids whose own name (without the lab) is spelled most like ``text``'s, best first; equally
    good ones stay in the order given. Two letters in common count first, to look closely at few.
    """
    asked = _letters(text)
    pairs = _pairs(asked)
    common = ((_shared(pairs, _pairs(_letters(one))), -n, one) for n, one in enumerate(ids))
    ranked: list[tuple[float, int, str]] = []
    for shared, order, one in heapq.nlargest(_LOOKED_AT, common):
        if shared:
            alike = difflib.SequenceMatcher(None, asked, _letters(one)).ratio()
            ranked.append((alike, order, one))
    return [one for alike, _, one in sorted(ranked, reverse=True) if alike >= _ALIKE][:limit]


def _letters(name: str) -> str:
    return spelling(name.rpartition("/")[2]).replace(" ", "")


def _pairs(letters: str) -> set[str]:
    return {letters[i : i + 2] for i in range(len(letters) - 1)}


def _shared(first: set[str], second: set[str]) -> float:
    """Dice's coefficient: 0 (nothing in common) to 1."""
    return 2 * len(first & second) / (len(first) + len(second) or 1)
