"""What a hosted name may leave out of a repository's name, or add to it, and still mean it.

Words of price and speed, serving words, sizes and dates may differ; a date, a version or a size
that both of them state may not.
"""

from __future__ import annotations

import re

from modelscan.formats.repo_names import short, tokens

SERVING = ("instruct", "it", "chat")  # words that say how a model is served, not which it is
DATE = re.compile(r"^(?:2[3-9](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|20[2-3]\d)$")
_EXTRA = frozenset({*SERVING, "hf", "text", "preview", "v"})
DECORATION = frozenset({
    "free", "turbo", "fast", "highspeed", "maas", "tee", "cloud", "official", "nitro", "extended",
    "lora", "original", "hf", "serverless", "exacto", "cheaper", "discounted", "tput",
    "versatile", "instant", "flex",
})  # fmt: skip
_FASTER = {"flashx": "flash"}  # words that say the same of a faster service
_SIZE = re.compile(r"^\d+[bmt]$")
_SIZE_TAG = re.compile(r":\d+(?:\.\d+)?[bt]$", re.IGNORECASE)
_VERSION_LETTER = re.compile(r"(?<![a-z])v(?=\d)", re.IGNORECASE)
_SIZE_UNITS = ("b", "m", "t")


def agrees(name: str, repo: str, *, lenient: bool = False) -> bool:
    """What the id says of date, version and size, the repository's name does not say otherwise.

    A date must stand in it; lenient: or it has none.
    """
    asked, has = _dates(name), _dates(short(repo))
    if not (asked <= has or (lenient and not has)):
        return False
    words, other = tokens(name), tokens(short(repo))
    return _same_version(words, other) and _same_size(words, other)


def _dates(text: str) -> set[str]:
    return {w for w in tokens(text) if len(w) == 4 and DATE.match(w)}


def _same_version(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """``v4`` is neither v4.1 nor no version at all; a name without one may mean any."""
    has = _versions(other)
    return all(run in has or (not has and _contains(other, run)) for run in _versions(words))


def _versions(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    """``v0.1`` as (0, 1), ``v1.0`` as (1,): the numbers after each v, less sizes and dates."""
    found = set()
    for start in (i + 1 for i, word in enumerate(words) if word == "v"):
        run: list[str] = []
        for index in range(start, len(words)):
            if not words[index].isdigit() or DATE.match(words[index]) or _is_size(words, index):
                break
            run.append(words[index])
        while len(run) > 1 and run[-1] == "0":
            run.pop()
        found.add(tuple(run))
    return found - {()}


def _contains(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    ends = range(len(words) - len(run) + 1)
    return any(words[start : start + len(run)] == run for start in ends)


def _same_size(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """``3b`` is not 14B, nor the 3 of another word; a name without a size may have any."""
    has = _sizes(other)
    return not has or _sizes(words) <= has


def _sizes(words: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(word, words[i + 1]) for i, word in enumerate(words) if _is_size(words, i)}


def _is_size(words: tuple[str, ...], index: int) -> bool:
    following = words[index + 1] if index + 1 < len(words) else ""
    return words[index].isdigit() and following in _SIZE_UNITS


def completes(words: tuple[str, ...], other: tuple[str, ...], *, anchored: bool) -> bool:
    """``words`` is an ordered part of ``other`` and what ``other`` adds cannot name another model.

    Sizes, serving words and dates may be added; a version only where a date anchors the name.
    """
    if not _same_size(words, other):
        return False
    words, other = _whole_sizes(words), _whole_sizes(other)
    position, added = 0, []
    for index, token in enumerate(other):
        if position < len(words) and token == words[position]:
            position += 1
        else:
            added.append((index, token))
    if position < len(words) or not added:
        return False
    return all(_harmless(other, index, word, anchored) for index, word in added)


def _whole_sizes(words: tuple[str, ...]) -> tuple[str, ...]:
    """A number and its unit as one word, so that the 3 of ``Ministral 3`` is not that of 3B."""
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
    if word.isdigit():
        if following in ("e", "x"):
            return True  # of experts
        if len(word) == 2 and len(following) == 4 and DATE.match(following):
            return True  # the month of a date
        return anchored or _in_version_ending(other, index)
    if word in ("e", "x"):
        return previous.isdigit()
    return word == "a" and bool(_SIZE.match(following))


def _in_version_ending(words: tuple[str, ...], index: int) -> bool:
    """The name ends in v1, v0.1 or v1.5, and the word at ``index`` is one of its numbers."""
    start = index
    while start and words[start - 1].isdigit():
        start -= 1
    return bool(start) and words[start - 1] == "v" and all(w.isdigit() for w in words[start:])


def undecorated(text: str) -> str | None:
    """The name without words of price and speed and a size tag; None when there were none."""
    plain = _SIZE_TAG.sub("", text.lower())
    words = re.split(r"[-_:\s]+", plain)
    kept = [_FASTER.get(w, w) for w in words if w not in DECORATION]
    changed = kept != words or plain != text.lower()
    return "-".join(kept) if kept and changed else None


def without_version_letter(text: str) -> str:
    """``llama-v3.1-8b`` -> ``llama-3.1-8b``."""
    return _VERSION_LETTER.sub("", text)
