"""Differences between a hosted name and a repository's name that do not change the model.

Words for price and speed, serving words, sizes and dates may be added or omitted; a date, a version
or a size in both names must be equal.
"""

from __future__ import annotations

import re

from modelscan.formats.repo_names import short, tokens

SERVING = ("instruct", "it", "chat")  # words for the way of serving, not for another model
DATE = re.compile(r"^(?:2[3-9](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|20[2-3]\d)$")
_EXTRA = frozenset({*SERVING, "hf", "text", "preview", "v"})
DECORATION = frozenset({
    "free", "turbo", "fast", "highspeed", "maas", "tee", "cloud", "official", "nitro", "extended",
    "lora", "original", "hf", "serverless", "exacto", "cheaper", "discounted", "tput",
    "versatile", "instant", "flex",
})  # fmt: skip
_FASTER = {"flashx": "flash"}  # words for a faster service of the same model
_SIZE = re.compile(r"^\d+[bmt]$")
_SIZE_TAG = re.compile(r":\d+(?:\.\d+)?[bt]$", re.IGNORECASE)
_VERSION_LETTER = re.compile(r"(?<![a-z])v(?=\d)", re.IGNORECASE)
_SIZE_UNITS = ("b", "m", "t")


def agrees(name: str, repo: str, *, lenient: bool = False) -> bool:
    """True if the repository's name does not contradict the id's date, version and size.

    A date in the id must be in the repository's name; ``lenient``: or that has no date.
    """
    dates, repo_dates = _dates(name), _dates(short(repo))
    if not (dates <= repo_dates or (lenient and not repo_dates)):
        return False
    words, other = tokens(name), tokens(short(repo))
    return _same_version(words, other) and _same_size(words, other)


def _dates(text: str) -> set[str]:
    return {w for w in tokens(text) if len(w) == 4 and DATE.match(w)}


def _same_version(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """True if all versions in ``words`` are in ``other``: ``v4`` is not v4.1; no version matches
    any.
    """
    versions = _versions(other)
    return all(
        run in versions or (not versions and _contains(other, run)) for run in _versions(words)
    )


def _versions(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The numbers after each v, without sizes and dates: ``v0.1`` is (0, 1), ``v1.0`` is (1,)."""
    versions = set()
    for start in (i + 1 for i, word in enumerate(words) if word == "v"):
        run: list[str] = []
        for index in range(start, len(words)):
            if not words[index].isdecimal() or DATE.match(words[index]) or _is_size(words, index):
                break
            run.append(words[index])
        while len(run) > 1 and run[-1] == "0":
            run.pop()
        versions.add(tuple(run))
    return versions - {()}


def _contains(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    ends = range(len(words) - len(run) + 1)
    return any(words[start : start + len(run)] == run for start in ends)


def _same_size(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """True if the sizes are equal: ``3b`` is not 14B; a name without a size matches any."""
    sizes = _sizes(other)
    return not sizes or _sizes(words) <= sizes


def _sizes(words: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(word, words[i + 1]) for i, word in enumerate(words) if _is_size(words, i)}


def _is_size(words: tuple[str, ...], index: int) -> bool:
    following = words[index + 1] if index + 1 < len(words) else ""
    return words[index].isdecimal() and following in _SIZE_UNITS


def completes(words: tuple[str, ...], other: tuple[str, ...], *, anchored: bool) -> bool:
    """True if ``words`` is an ordered part of ``other`` and the added words are insignificant.

    Sizes, serving words and dates may be added; a version only if a date anchors the name.
    """
    if not _same_size(words, other):
        return False
    words, other = _whole_sizes(words), _whole_sizes(other)
    position, added_words = 0, []
    for index, token in enumerate(other):
        if position < len(words) and token == words[position]:
            position += 1
        else:
            added_words.append((index, token))
    if position < len(words) or not added_words:
        return False
    return all(_harmless(other, index, word, anchored) for index, word in added_words)


def _whole_sizes(words: tuple[str, ...]) -> tuple[str, ...]:
    """Join a number and its unit, so that the 3 in ``Ministral 3`` does not match 3B."""
    joined: list[str] = []
    for index, word in enumerate(words):
        if index and _is_size(words, index - 1):
            joined[-1] += word
        else:
            joined.append(word)
    return tuple(joined)


def _harmless(other: tuple[str, ...], index: int, word: str, anchored: bool) -> bool:
    if word in _EXTRA or DATE.match(word) or _SIZE.match(word):
        return True
    following = other[index + 1] if index + 1 < len(other) else ""
    previous = other[index - 1] if index else ""
    if word.isdecimal():
        if following in ("e", "x"):
            return True  # number of experts
        if len(word) == 2 and len(following) == 4 and DATE.match(following):
            return True  # the month of a date
        return anchored or _in_version_ending(other, index)
    if word in ("e", "x"):
        return previous.isdecimal()
    return word == "a" and bool(_SIZE.match(following))


def _in_version_ending(words: tuple[str, ...], index: int) -> bool:
    """True if the name ends in v1, v0.1 or v1.5 and the word at ``index`` is one of its numbers."""
    start = index
    while start and words[start - 1].isdecimal():
        start -= 1
    return bool(start) and words[start - 1] == "v" and all(w.isdecimal() for w in words[start:])


def undecorated(text: str) -> str | None:
    """The name without words for price and speed and without a size tag; None if it has none."""
    plain = _SIZE_TAG.sub("", text.lower())
    words = re.split(r"[-_:\s]+", plain)
    remaining = [_FASTER.get(w, w) for w in words if w not in DECORATION]
    changed = remaining != words or plain != text.lower()
    return "-".join(remaining) if remaining and changed else None


def without_version_letter(text: str) -> str:
    """``llama-v3.1-8b`` -> ``llama-3.1-8b``."""
    return _VERSION_LETTER.sub("", text)
