"""Texts that are nearly equal: MinHash over shingles of words, with bands. Pure.

A signature has 64 minimums of hashes of all runs of three words; texts whose signatures agree in
one of 16 bands of 4 are compared, and are near duplicates from a similarity (Jaccard's, of the runs
of words) of 0.8 on. Two texts of that similarity are compared with a probability of 0.9998.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict

_HASHES, _BANDS = 64, 16
_ROWS = _HASHES // _BANDS
SIMILAR = 0.8
_PRIME = (1 << 61) - 1
# Chinese, Japanese and Thai are written without blanks: each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % _PRIME


_FACTORS = tuple((_number(f"a{n}") | 1, _number(f"b{n}")) for n in range(_HASHES))


def shingles(text: str) -> frozenset[int]:
    """The runs of three words, without regard to case; a shorter text is one run, and one without
    words is itself."""
    words = _WORD.findall(text.lower()) or [text.strip()]
    runs = {" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))}
    return frozenset(map(_number, runs))


def signature(runs: frozenset[int]) -> tuple[int, ...]:
    """For each hash function the smallest value over all runs."""
    return tuple(min((a * run + b) % _PRIME for run in runs) for a, b in _FACTORS)


def similarity(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of common runs."""
    return len(one & other) / len(one | other)


class NearDuplicates:
    """Texts that were seen."""

    def __init__(self) -> None:
        self._bands: defaultdict[tuple[int, ...], list[frozenset[int]]] = defaultdict(list)

    def seen(self, text: str) -> bool:
        """Whether a text is nearly equal to an earlier one; else it is remembered."""
        runs = shingles(text)
        minimums = signature(runs)
        keys = [(at, *minimums[at : at + _ROWS]) for at in range(0, _HASHES, _ROWS)]
        if any(similarity(runs, other) >= SIMILAR for key in keys for other in self._bands[key]):
            return True
        for key in keys:
            self._bands[key].append(runs)
        return False
