"""The names most similar to a misspelled one, for "did you mean" suggestions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_COMPARED = 60  # of many names, only those sharing the most letter pairs are compared


def likeness(name: str, other: str) -> float:
    """Ratcliff-Obershelp similarity (``difflib``): 0 (nothing in common) to 1 (equal)."""
    import difflib  # imported only for a misspelled name: start-up is measured

    return difflib.SequenceMatcher(None, other, name).ratio()


def nearest(
    name: str,
    names: Iterable[str],
    *,
    limit: int = 1,
    cutoff: float = 0.6,
    spelled: Callable[[str], str] = str.lower,
) -> list[str]:
    """At most ``limit`` of ``names``, the most similar first.

    Equally similar names are ordered by the number of letters that ``name`` lacks, then by the
    length of the common prefix, then as given. ``spelled`` maps a name to the text that is compared
    (lower case by default); ``cutoff`` is the smallest similarity.
    """
    text = spelled(name)
    ranked: list[tuple[float, int, int, int, str]] = []
    for position, other in _candidates(text, names, spelled):
        alike = likeness(text, spelled(other))
        if alike >= cutoff:
            foreign, same = _foreign_letters(text, spelled(other)), _beginning(text, spelled(other))
            ranked.append((-alike, foreign, -same, position, other))
    return [other for *_, other in sorted(ranked)[:limit]]


def _foreign_letters(text: str, other: str) -> int:
    """The number of letters of ``other`` that ``text`` lacks, with repetitions."""
    letters = list(other)
    for letter in text:
        if letter in letters:
            letters.remove(letter)
    return len(letters)


def _beginning(text: str, other: str) -> int:
    """The length of the common prefix."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(text), len(other)))


def _candidates(
    text: str, names: Iterable[str], spelled: Callable[[str], str]
) -> list[tuple[int, str]]:
    """The names to compare with their positions: all if few, else the most promising."""
    numbered = list(enumerate(names))
    if len(numbered) <= _COMPARED:
        return numbered
    import heapq

    pairs = _pairs(text)
    shared = ((_dice(pairs, _pairs(spelled(other))), -place, other) for place, other in numbered)
    return [(-place, other) for dice, place, other in heapq.nlargest(_COMPARED, shared) if dice]


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def _dice(first: set[str], second: set[str]) -> float:
    """Dice's coefficient of two sets: 0 (nothing in common) to 1."""
    return 2 * len(first & second) / (len(first) + len(second) or 1)
