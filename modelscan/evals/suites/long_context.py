"""Questions about long texts: a needle, a chain of facts, the order of events.

All questions of one length are about the same text: a server reads it once and keeps it, and the
other facts are what a model may confuse with the right one. The texts follow from the seed alone,
not from a tokenizer: the same seed and levels give the same items for every model. A level is an
upper limit in tokens, at four characters per token, less room for question and answer; simple
English words need fewer tokens in every common tokenizer.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
from modelscan.evals.suites.reader import read_data, suite_of

LEVELS = (4096, 8192, 16384, 32768, 65536, 131072)
_LEAST_ITEMS = 30
_CHARACTERS_PER_TOKEN = 4
_ROOM_TOKENS = 640  # system prompt, question, chat template, answer
_SHORTEST_TEXT = 400  # characters
_SHORTEST_SHARED = 4000  # with fewer characters, the facts of all questions would be the text
_LONGEST_ANSWER = 200  # characters: repeating the text is no answer
_VOCABULARY = {"multi_hop": "people", "ordering": "colors"}
_THOUSANDS = re.compile(r"(?<=\d)[,'\u2019\u202f](?=\d{3}\b)")
_NEGATION = re.compile(
    r"\b(?:or|not|never|neither|nor|except|but|unless|without|cannot)\b|n['\u2019]t\b"
)
_NEEDLE_DEPTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_OTHER_DEPTHS = (0.1, 0.35, 0.6, 0.85)
_KINDS = {"needle": _NEEDLE_DEPTHS, "multi_hop": _OTHER_DEPTHS, "ordering": _OTHER_DEPTHS}


class _Question(NamedTuple):
    """A question, and the facts that answer it: the first at ``depth`` of the text."""

    kind: str
    depth: float
    facts: Sequence[str]
    question: str
    answer: str
    wrong: Sequence[str]


def make(request: SuiteRequest) -> EvalSuite:
    """The items for every level up to the served context, those of one text one after another."""
    data = read_data("long_context")
    levels = levels_up_to(request.context_tokens)
    per_level = sum(map(len, _KINDS.values()))
    repeats = -(-_LEAST_ITEMS // (per_level * len(levels)))
    return suite_of(data, [
        item
        for level in levels
        for number in range(repeats)
        for item in _items(data, request.seed, level, number + 1)
    ])  # fmt: skip


def levels_up_to(context_tokens: int | None) -> tuple[int, ...]:
    """The levels that fit the served context; an unknown context counts as the smallest level."""
    if context_tokens is not None and context_tokens < LEVELS[0]:
        return (context_tokens,)
    return tuple(level for level in LEVELS if level <= (context_tokens or LEVELS[0]))


def _items(data: dict[str, Any], seed: int, level: int, number: int) -> Iterator[EvalItem]:
    """All questions of one length, about one text; in a short context each about its own."""
    words = random.Random(f"{seed}/{level}/{number}")  # noqa: S311 - texts, no secrets
    characters = max(_SHORTEST_TEXT, (level - _ROOM_TOKENS) * _CHARACTERS_PER_TOKEN)
    questions = [*_needles(data, words), *_chains(data, words), *_orders(data, words)]
    shared = characters >= _SHORTEST_SHARED
    for group in [questions] if shared else [[one] for one in questions]:
        text = _text(group, data, words, characters)
        for one in group:
            yield _item(one, text, level, number)


def _item(one: _Question, text: str, level: int, number: int) -> EvalItem:
    return EvalItem(
        id=f"{one.kind}-{level}-{round(100 * one.depth)}-{number}",
        prompt=f"{text}\n\nQuestion: {one.question}",
        reference=ModelAnswer(one.answer),
        wrong=tuple(map(ModelAnswer, [*one.wrong, "", text])),
        data={"answer": one.answer, "tokens": level, "depth": one.depth, "kind": one.kind},
    )


def _text(
    questions: Sequence[_Question], data: dict[str, Any], words: random.Random, characters: int
) -> str:
    """Sentences without meaning, and the facts of the questions at their depths."""
    placed = [
        (one.depth + number * (1 - one.depth) / len(one.facts), fact)
        for one in questions
        for number, fact in enumerate(one.facts)
    ]
    characters -= sum(len(fact) + 1 for _, fact in placed)
    sentences = _filler(data, words, characters)
    count = len(sentences)
    # Equal places keep the order of the questions: from the last to the first.
    for place, fact in sorted(placed, key=lambda one: one[0], reverse=True):
        sentences.insert(round(place * count), fact)
    return " ".join(sentences)


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


def _needles(data: dict[str, Any], words: random.Random) -> Iterator[_Question]:
    """One number per place; another place's is wrong."""
    places = words.sample(data["places"], len(_NEEDLE_DEPTHS))
    codes = [str(one) for one in words.sample(range(10_000, 100_000), len(places))]
    for number, (depth, place) in enumerate(zip(_NEEDLE_DEPTHS, places, strict=True)):
        fact = f"The secret number of the {place} is {codes[number]}."
        question = f"What is the secret number of the {place}?"
        yield _Question("needle", depth, [fact], question, codes[number], [codes[number - 1]])


def _chains(data: dict[str, Any], words: random.Random) -> Iterator[_Question]:
    """Three hand-overs of a thing that only this chain has."""
    for depth, thing in zip(_OTHER_DEPTHS, data["treasures"], strict=True):
        people = words.sample(data["people"], 4)
        facts = [f"{a} gave the {thing} to {b}." for a, b in itertools.pairwise(people)]
        question = (
            f"{people[0]} had the {thing} at first. Who has it after all hand-overs? One name."
        )
        yield _Question("multi_hop", depth, facts, question, people[-1], people[:-1])


def _orders(data: dict[str, Any], words: random.Random) -> Iterator[_Question]:
    """Four events of one kind, which differ in their colors."""
    for depth, signal in zip(_OTHER_DEPTHS, data["signals"], strict=True):
        colors = words.sample(data["colors"], 4)
        facts = [f"Then the {color} {signal} was raised." for color in colors]
        question = (
            f"In which order were the four {signal}s raised? Write the four colors in this order, "
            "separated by commas."
        )
        wrong = [", ".join(reversed(colors)), colors[0]]
        yield _Question("ordering", depth, facts, question, ", ".join(colors), wrong)


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether a short answer names exactly the number, the person or the colors in their order.

    Recall is graded, not form: a sentence around the answer is right; a second name is not.
    """
    text = answer.text.strip()
    expected = item.data["answer"]
    named = _named(item.data["kind"], text) if len(text) <= _LONGEST_ANSWER else []
    if named == expected.casefold().split(", "):
        return passed()
    return failed(f"'{text[:80]}' instead of '{expected}'")


def _named(kind: str, text: str) -> list[str]:
    """The numbers, people or colors in a text, in order; a repeated one counts once.

    A text that denies or hedges names nothing: "not 12345", "Mira or so".
    """
    text = _THOUSANDS.sub("", text.casefold())
    if _NEGATION.search(text):
        return []
    words = re.findall(r"\w+", text)
    if kind == "needle":
        return list(dict.fromkeys(word for word in words if word.isdigit()))
    known = {word.casefold() for word in read_data("long_context")[_VOCABULARY[kind]]}
    return list(dict.fromkeys(word for word in words if word in known))
