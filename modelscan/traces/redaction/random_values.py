"""Long mixtures of letters and digits, as no word, name or hash is. Pure."""

from __future__ import annotations

import itertools
import re

from modelscan.traces.redaction.detector import START, Detector, detector

_ID = re.compile(  # of answers, calls and files: no secrets
    r"(?:call|chatcmpl|toolu|srvtoolu|tooluse|msg|resp|cmpl|gen|fc|req|rs|run|file|asst|thread|item|evt|event"
    r"|batch|step|ftjob|ft|vs|conv|sha256|sha384|sha512)[_-]"
)
_HASH_NAME = re.compile(r"(?i)sha\d{1,3}[-:=]\Z")


_RUNS = re.compile(r"[a-z]{5,}|[A-Z]{5,}")


def _is_of_words(value: str) -> bool:
    """A name made of words, as a class or a file of a model has; or of short parts."""
    runs = "".join(_RUNS.findall(value)).lower()
    vowels = sum(one in "aeiouy" for one in runs)
    if len(runs) >= 0.45 * len(value) and vowels >= 0.3 * len(runs):
        return True
    return max(map(len, re.split(r"[-_./]", value))) < 10


def _is_random(value: str, match: re.Match[str]) -> bool:
    """A long mixture of small and capital letters and digits, as no word or name is."""
    if _HASH_NAME.search(match.string, max(0, match.start() - 8), match.start()):
        return False
    if _ID.match(match.group(0)):
        return False
    if _is_of_words(value):
        return False
    classes = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "-"
               for c in value]  # fmt: skip
    changes = sum(a != b for a, b in itertools.pairwise(classes))
    enough = "d" in classes and min(classes.count(one) for one in "ul") >= 4
    return enough and changes >= 0.33 * len(value)


def _is_prefixed(value: str, match: re.Match[str]) -> bool:
    """After a provider's letters, as many of every kind as a random value has."""
    kinds = (sum(map(test, value)) for test in (str.isdigit, str.isupper, str.islower))
    return min(kinds) >= 2 and not value.startswith("01") and _is_random(value, match)


def _is_base36(value: str, match: re.Match[str]) -> bool:
    """Small letters and digits mixed, in other letters than a hash has."""
    if _HASH_NAME.search(match.string, max(0, match.start() - 8), match.start()):
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(value))
    others = sum(one > "f" for one in value)
    if value.startswith(("bafy", "bafk")):  # the name of a file by its content
        return False
    return others >= 0.2 * len(value) and changes >= 0.25 * len(value)


RANDOM: tuple[Detector, ...] = (
    detector(
        "token",
        START + r"[a-z][a-z0-9]{1,11}[_-](?P<v>[A-Za-z0-9]{20,})(?![A-Za-z0-9])",
        check=_is_prefixed,
    ),
    detector("token", START + r"(?P<v>[a-z0-9]{32,})(?![A-Za-z0-9_-])", check=_is_base36),
    detector("token", START + r"[A-Za-z0-9_-]{32,}(?![A-Za-z0-9])", check=_is_random),
    detector("token", START + r"[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9])", check=_is_random),
)
