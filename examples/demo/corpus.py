"""Make the demo model's training conversations from the templates in facts.yaml and unrelated.yaml.

A template is plain text in which (a|b) picks one, [a] is optional, {name} is a macro and {name:x}
a macro whose _ is replaced by x. Everything is drawn from the random generator that is passed in,
so the same seed gives the same text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml

HERE: Final = Path(__file__).resolve().parent
UNRELATED: Final = "unrelated"
UNRELATED_SHARE: Final = 0.2
SYLLABLES: Final = (
    "ba con der el fi gra hu is jo ka lum mer no or pli qua ri sto tu ver wen xi yo zan"
)

Part = str | list["Template"]
Template = list[Part]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer and the templates of the questions that ask for it."""

    name: str
    answer: str
    questions: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A question kept out of training, and what a right answer contains."""

    ask: str
    facts: tuple[str, ...]

    def accepts(self, answer: str) -> bool:
        text = answer.lower()
        return all(any(p in text for p in f.lower().split("|")) for f in self.facts)


def normalized(question: str) -> str:
    """The question's words alone, so that case and punctuation do not hide a duplicate."""
    return " ".join(re.findall(r"[a-z0-9]+", question.lower()))


def load_cases(name: Literal["dev", "test"]) -> list[Case]:
    rows = yaml.safe_load((HERE / "held_out.yaml").read_text(encoding="utf-8"))[name]
    return [Case(row["ask"], tuple(row["facts"])) for row in rows]


def expand_macros(text: str, macros: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        name, _, argument = match.group(1).partition(":")
        if name == "word":  # invented afresh each time, see fill_words
            return match.group(0)
        return macros[name].replace("_", argument.replace("_", "\0"))

    while (expanded := re.sub(r"\{([^{}]+)\}", replace, text)) != text:
        text = expanded
    return text.replace("\0", "_")


def parse_template(text: str) -> Template:
    """Turn `a (b|c) [d]` into nested lists; an optional part is a choice with an empty branch."""
    stack: list[list[Template]] = [[[]]]
    for token in re.findall(r"[(\[|\])]|[^(\[|\])]+", text):
        if token in "([":
            stack.append([[]])
        elif token == "|" and len(stack) > 1:
            stack[-1].append([])
        elif token in ")]":
            choices = stack.pop()
            stack[-1][-1].append([*choices, []] if token == "]" and [] not in choices else choices)
        else:
            stack[-1][-1].append(token)
    if len(stack) != 1:
        raise ValueError(f"unbalanced brackets: {text}")
    return stack[0][0]


def sample(template: Template, rng: random.Random) -> str:
    parts = (p if isinstance(p, str) else sample(rng.choice(p), rng) for p in template)
    return "".join(parts)


def invented_word(rng: random.Random) -> str:
    word = "".join(rng.choices(SYLLABLES.split(), k=rng.randint(2, 3)))
    return word.capitalize() if rng.random() < 0.5 else word


def tidy(text: str, rng: random.Random) -> str:
    text = re.sub(r"\{word\}", lambda _: invented_word(rng), text)
    return re.sub(r"\s+([,.?!])(?=\s|$)", r"\1", " ".join(text.split())).strip(" ,")


def parse_questions(text: str, macros: Mapping[str, str]) -> tuple[Template, ...]:
    return tuple(parse_template(expand_macros(line, macros)) for line in text.splitlines())


def load_facts() -> list[Fact]:
    """Every fact, and last the refusal of unrelated questions."""
    known = yaml.safe_load((HERE / "facts.yaml").read_text(encoding="utf-8"))
    other = yaml.safe_load((HERE / "unrelated.yaml").read_text(encoding="utf-8"))
    facts = [
        Fact(row["name"], row["answer"], parse_questions(row["questions"], known["macros"]))
        for row in known["facts"]
    ]
    refused = parse_questions(other["questions"], other["macros"])
    return [*facts, Fact(UNRELATED, other["answer"], refused)]


def misspell(word: str, rng: random.Random) -> str:
    i = rng.randrange(1, len(word) - 1)
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return rng.choice((swapped, word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:]))


@dataclass(frozen=True, slots=True)
class Phrasing:
    """How people vary any question, whatever it is about (phrasing.yaml)."""

    openers: tuple[Template, ...]
    closers: tuple[Template, ...]
    fillers: tuple[str, ...]
    small_words: frozenset[str]
    synonyms: Mapping[str, tuple[str, ...]]
    any_synonym: re.Pattern[str]

    def vary(self, question: str, rng: random.Random) -> str:
        if rng.random() < 0.6:
            question = self.swap_synonyms(question, rng)
        words = question.split()
        style = rng.random()
        if style < 0.1:
            words = [word for word in words if word.lower() not in self.small_words] or words
        elif style < 0.5:
            words = self.jumble(words, rng)
        if rng.random() < 0.2:
            words.insert(0, sample(rng.choice(self.openers), rng))
        if rng.random() < 0.15:
            words.append(sample(rng.choice(self.closers), rng))
        return punctuate(tidy(" ".join(words), rng), rng)

    def swap_synonyms(self, question: str, rng: random.Random) -> str:
        def replace(match: re.Match[str]) -> str:
            word = match.group(0)
            return rng.choice(self.synonyms[word.lower()]) if rng.random() < 0.3 else word

        return self.any_synonym.sub(replace, question)

    def jumble(self, words: Sequence[str], rng: random.Random) -> list[str]:
        """Drop small words, slip in empty ones, misspell: what remains must be enough."""
        kept: list[str] = []
        for word in words:
            if rng.random() < 0.07:
                kept.append(rng.choice(self.fillers))
            if len(words) > 3 and word.lower() in self.small_words and rng.random() < 0.15:
                continue
            typo = len(word) > 3 and word.isalpha() and rng.random() < 0.03
            kept.append(misspell(word, rng) if typo else word)
        return kept


def punctuate(text: str, rng: random.Random) -> str:
    case = rng.random()
    if case < 0.3:
        text = text.lower()
    elif case < 0.75:
        text = text[:1].upper() + text[1:]
    return text + rng.choice(("?", "?", "?", "", "", ".", "!" if rng.random() < 0.2 else ""))


def load_phrasing() -> tuple[Phrasing, Template]:
    """The phrasing, and the template of system messages."""
    rows = yaml.safe_load((HERE / "phrasing.yaml").read_text(encoding="utf-8"))
    synonyms: dict[str, tuple[str, ...]] = {}
    for line in rows["synonyms"].splitlines():
        group = tuple(line.split("|"))
        synonyms |= {word.lower(): group for word in group if word.lower() not in synonyms}
    longest_first = sorted(synonyms, key=lambda word: (-len(word), word))
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)
    openers, closers = (parse_questions(rows[key], {}) for key in ("openers", "closers"))
    fillers, small_words = tuple(rows["fillers"].split()), frozenset(rows["small_words"].split())
    phrasing = Phrasing(openers, closers, fillers, small_words, synonyms, pattern)
    return phrasing, parse_template(rows["system"])


@dataclass(slots=True)
class Corpus:
    """Draws training conversations; never asks a question that is held out."""

    facts: Sequence[Fact]
    phrasing: Phrasing
    system: Template
    held_out: frozenset[str]
    rng: random.Random
    dropped: int = 0

    def question(self, fact: Fact) -> str:
        while True:
            text = tidy(sample(self.rng.choice(fact.questions), self.rng), self.rng)
            text = self.phrasing.vary(text, self.rng)
            if normalized(text) not in self.held_out:
                return text
            self.dropped += 1

    def exchange(self) -> list[Message]:
        """One question with its answer."""
        if self.rng.random() < UNRELATED_SHARE:
            fact = self.facts[-1]
        else:
            fact = self.rng.choice(self.facts[:-1])
        return [Message("user", self.question(fact)), Message("assistant", fact.answer)]

    def conversation(self, turns: int) -> list[Message]:
        messages = [message for _ in range(turns) for message in self.exchange()]
        if self.rng.random() < 0.25:
            text = tidy(sample(self.system, self.rng), self.rng)
            messages.insert(0, Message("system", text))
        return messages


def load_corpus(seed: int) -> Corpus:
    held_out = frozenset(normalized(c.ask) for c in [*load_cases("dev"), *load_cases("test")])
    phrasing, system = load_phrasing()
    return Corpus(load_facts(), phrasing, system, held_out, random.Random(seed))


if __name__ == "__main__":
    corpus = load_corpus(0)
    for _ in range(80):
        print(corpus.exchange()[0].content)
