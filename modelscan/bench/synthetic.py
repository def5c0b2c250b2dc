"""Prompts of a given length, each with other words. Pure but for the seeded choice of words.

Only the server knows its tokens: a first request tells how many tokens the words made, and the
following ones have as many words as the requested length needs. No local tokenizer guesses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from modelscan.bench.workload import PromptMessage

# Short, common words: one token each in the vocabularies of today, with the space before them.
WORDS = (  # noqa: SIM905 — shorter than a list of literals
    "time year people way day man thing world life hand part child eye place work week case point "
    "number group problem fact good new first last long great little own other old right big high "
    "small large next early young few public bad same able water room area money story month lot "
    "study book word side kind head house friend father power hour game line end member law car "
    "city name team idea body back face level office door health art war history party result "
    "change morning reason research girl guy moment air teacher force food town plan road tree"
).split()
_LAST = "Continue this list of words."


@dataclass(slots=True)
class WordScale:
    """Tokens of a prompt for a number of words: ``fixed + per_word * words``."""

    fixed: float = 32.0
    per_word: float = 1.0

    def words(self, tokens: int) -> int:
        """How many words make a prompt of so many tokens."""
        return max(0, round((tokens - self.fixed) / self.per_word))

    def learn(self, few: tuple[int, int], many: tuple[int, int]) -> None:
        """From two prompts, each (words, tokens as the server counted them)."""
        words, tokens = many[0] - few[0], many[1] - few[1]
        if words > 0 and tokens > 0:
            self.per_word = tokens / words
            self.fixed = few[1] - self.per_word * few[0]


def synthetic_prompt(words: int, nonce: str, seed: int) -> tuple[PromptMessage, ...]:
    """A prompt of so many words after the nonce, which is first so that no prefix is shared."""
    chosen = random.Random(seed).choices(WORDS, k=words)  # noqa: S311 — no secret
    text = " ".join([*chosen, _LAST] if chosen else [_LAST])
    return PromptMessage("system", nonce), PromptMessage("user", text)
