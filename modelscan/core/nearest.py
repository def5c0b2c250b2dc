"""The names nearest to one that does not exist: what a "did you mean" is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_COMPARED = 60  # of many names only those that share the most pairs of letters are compared


def likeness(name: str, other: str) -> float:
    """Ratcliff and Obershelp's measure (``difflib``): 0 (nothing in common) to 1 (equal)."""
    import difflib  # only where a name was mistyped: start-up is measured

    return difflib.SequenceMatcher(None, other, name).ratio()


def nearest(
    name: str,
    known: Iterable[str],
    *,
    limit: int = 1,
    cutoff: float = 0.6,
    spelled: Callable[[str], str] = str.lower,
) -> list[str]:
    """At most ``limit`` of the known names, the likest first; of equally alike ones that with the
    same letters (two were swapped), then with the longest same beginning, then in the order given.

    ``spelled`` is what of a name is compared (lower case, say); ``cutoff`` the least likeness.
    """
    text = spelled(name)
    ranked: list[tuple[float, int, int, int, str]] = []
    for position, other in _candidates(text, known, spelled):
        alike = likeness(text, spelled(other))
        if alike >= cutoff:
            foreign, same = _foreign_letters(text, spelled(other)), _beginning(text, spelled(other))
            ranked.append((-alike, foreign, -same, position, other))
    return [other for *_, other in sorted(ranked)[:limit]]


def _foreign_letters(text: str, other: str) -> int:
    """How many letters of the other are not in ``text``, each counted as often as it occurs."""
    letters = list(other)
    for letter in text:
        if letter in letters:
            letters.remove(letter)
    return len(letters)


def _beginning(text: str, other: str) -> int:
    """The length of what both begin with."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(text), len(other)))


def _candidates(
    text: str, known: Iterable[str], spelled: Callable[[str], str]
) -> list[tuple[int, str]]:
    """The names worth comparing, with their places: all of few, of many the promising ones."""
    names = list(enumerate(known))
    if len(names) <= _COMPARED:
        return names
    import heapq

    pairs = _pairs(text)
    shared = ((_dice(pairs, _pairs(spelled(other))), -place, other) for place, other in names)
    return [(-place, other) for dice, place, other in heapq.nlargest(_COMPARED, shared) if dice]


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def _dice(first: set[str], second: set[str]) -> float:
    """Dice's coefficient of two sets: 0 (nothing in common) to 1."""
    return 2 * len(first & second) / (len(first) + len(second) or 1)
