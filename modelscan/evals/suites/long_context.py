"""Questions about long texts: a needle, a chain of facts, the order of events.

The texts follow from the seed alone, not from a tokenizer: the same seed and levels give the same
items for every model. A level is an upper limit in tokens, at four characters per token, less room
for question and answer; simple English words need fewer tokens in every common tokenizer.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from modelscan.evals.items import (
    EvalItem,
    EvalSuite,
    Grade,
    ModelAnswer,
    RunCode,
    SuiteRequest,
    failed,
    passed,
)
from modelscan.evals.suites.reader import one_line, read_data, suite_of

LEVELS = (4096, 8192, 16384, 32768, 65536, 131072)
_LEAST_ITEMS = 30
_CHARACTERS_PER_TOKEN = 4
_ROOM_TOKENS = 640  # system prompt, question, chat template, answer
_NEEDLE_DEPTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_OTHER_DEPTHS = (0.1, 0.35, 0.6, 0.85)


def make(request: SuiteRequest) -> EvalSuite:
    """The items for every level up to the served context."""
    data = read_data("long_context")
    levels = levels_up_to(request.context_tokens)
    per_level = len(_NEEDLE_DEPTHS) + 2 * len(_OTHER_DEPTHS)
    repeats = -(-_LEAST_ITEMS // (per_level * len(levels)))
    items = [
        _item(data, request.seed, level, kind, depth, number)
        for level in levels
        for number in range(repeats)
        for kind, depths in _KINDS.items()
        for depth in depths
    ]
    return suite_of(data, items)


def levels_up_to(context_tokens: int | None) -> tuple[int, ...]:
    """The levels that fit the served context; an unknown context counts as the smallest level."""
    if context_tokens is not None and context_tokens < LEVELS[0]:
        return (context_tokens,)
    return tuple(level for level in LEVELS if level <= (context_tokens or LEVELS[0]))


def _item(
    data: dict[str, Any], seed: int, level: int, kind: str, depth: float, number: int
) -> EvalItem:
    name = f"{kind}-{level}-{round(100 * depth)}-{number + 1}"
    words = random.Random(f"{seed}/{name}")  # noqa: S311 - texts, no secrets
    facts, question, answer, wrong = _MAKERS[kind](data, words)
    budget = max(400, (level - _ROOM_TOKENS) * _CHARACTERS_PER_TOKEN)
    text = _hide(facts, depth, _filler(data, words, budget))
    return EvalItem(
        id=name,
        prompt=f"{text}\n\nQuestion: {question}",
        reference=ModelAnswer(answer),
        wrong=tuple(map(ModelAnswer, [*wrong, "", text])),
        data={"answer": answer, "tokens": level, "depth": depth, "kind": kind},
    )


def _filler(data: dict[str, Any], words: random.Random, characters: int) -> list[str]:
    sentences: list[str] = []
    while characters > 0:
        sentence = (
            f"{words.choice(data['people'])} {words.choice(data['verbs'])} the "
            f"{words.choice(data['colors'])} {words.choice(data['things'])} at the "
            f"{words.choice(data['places'])} {words.choice(data['times'])}."
        )
        sentences.append(sentence)
        characters -= len(sentence) + 1
    return sentences


def _hide(facts: Sequence[str], depth: float, filler: list[str]) -> str:
    """The first fact at ``depth`` of the text, the others evenly between it and the end."""
    first = round(depth * len(filler))
    step = (len(filler) - first) / len(facts)
    for number, fact in reversed(list(enumerate(facts))):
        filler.insert(first + round(number * step), fact)
    return " ".join(filler)


Made = tuple[list[str], str, str, list[str]]


def _needle(data: dict[str, Any], words: random.Random) -> Made:
    place = words.choice(data["places"])
    code, other = words.sample(range(10_000, 100_000), 2)
    fact = f"The secret number of the {place} is {code}."
    return [fact], f"What is the secret number of the {place}?", str(code), [str(other)]


def _chain(data: dict[str, Any], words: random.Random) -> Made:
    people = words.sample(data["people"], 4)
    facts = [f"{a} gave the golden key to {b}." for a, b in itertools.pairwise(people)]
    question = (
        f"{people[0]} had the golden key at first. Who has it after all hand-overs? One name."
    )
    return facts, question, people[-1], people[:-1]


def _order(data: dict[str, Any], words: random.Random) -> Made:
    colors = words.sample(data["colors"], 4)
    facts = [f"Then the {color} flag was raised." for color in colors]
    question = (
        "In which order were the four flags raised? Write the four colors in this order, "
        "separated by commas."
    )
    return facts, question, ", ".join(colors), [", ".join(reversed(colors)), colors[0]]


_MAKERS = {"needle": _needle, "multi_hop": _chain, "ordering": _order}
_KINDS = {"needle": _NEEDLE_DEPTHS, "multi_hop": _OTHER_DEPTHS, "ordering": _OTHER_DEPTHS}


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether the answer is the expected word, number or list."""
    given = ", ".join(part.strip() for part in one_line(answer.text).split(","))
    if given == item.data["answer"].casefold():
        return passed()
    return failed(f"'{answer.text.strip()[:80]}' instead of '{item.data['answer']}'")
