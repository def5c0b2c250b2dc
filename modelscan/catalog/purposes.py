"""What a model is made for, by words of its name: used for tags, search and use cases. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LONG_CONTEXT_TOKENS = 256_000  # from here a context is called long


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose: its tag, the words of a name that show it, and words that find it in a search."""

    tag: str
    names: frozenset[str]
    search: str


def _purpose(tag: str, names: str, search: str) -> Purpose:
    return Purpose(tag, frozenset(names.split()), search)


PURPOSES = (
    _purpose(
        "coding",
        "coder code codestral devstral starcoder codegemma codellama codex deepcoder swe",
        "code coding coder programming generation",
    ),
    _purpose("math", "math mathstral numina", "math mathematics"),
    _purpose("translation", "translate translategemma mt", "translation translate"),
    _purpose("safety", "guard safeguard safety shield", "safety moderation guard"),
    _purpose("ocr", "ocr", "ocr documents"),
    _purpose("medical", "med medgemma", "medical"),
)


def purposes_of(name_words: Iterable[str]) -> list[Purpose]:
    """The purposes that these words of a name show."""
    words = set(name_words)
    return [purpose for purpose in PURPOSES if purpose.names & words]
