"""The conversations of a workload for a server: bodies with nonces, made when they are sent."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from modelscan.bench.load import Conversation, Turn
from modelscan.bench.place import BenchPlace
from modelscan.bench.request_body import RequestStyle, request_body
from modelscan.bench.synthetic import WordScale, synthetic_prompt
from modelscan.bench.workload import DEFAULT_TOKENS, BenchWorkload, PromptCase, PromptMessage
from modelscan.engines.families import family_of
from modelscan.engines.thinking import template_switch
from modelscan.routing.policy import apply_to

_encode = msgspec.json.encode
# The golden section of the numbers of 12 digits: neighbours are far apart, none comes twice.
_NONCES, _NONCE_STEP = 10**12, 618_033_988_749
_SEED_STEP = 1_000_003  # so that neighbouring seeds do not choose the same words


@dataclass(slots=True)
class PromptSource:
    """Makes the requests of a run; every one has a nonce of its own, warm-ups included."""

    place: BenchPlace
    workload: BenchWorkload
    style: RequestStyle
    seed: int
    scale: WordScale = field(default_factory=WordScale)
    _run: int = field(default_factory=lambda: secrets.randbelow(_NONCES))
    _count: Iterator[int] = field(default_factory=itertools.count)

    def conversations(self) -> Iterator[Conversation]:
        """The workload's cases in turn, without an end."""
        for case in itertools.cycle(self.workload.cases):
            yield self.conversation(case)

    def conversation(self, case: PromptCase) -> Conversation:
        """One prompt of the workload, as the turns that are sent."""
        number = next(self._count)
        if case.input_tokens is not None:
            words = self.scale.words(case.input_tokens)
            return (self.synthetic(words, case.max_tokens, case.id, number),)
        return tuple(
            Turn(case.id, _Written(self, case, index, number)) for index in range(len(case.turns))
        )

    def synthetic(
        self, words: int, max_tokens: int | None, case: str = "", number: int | None = None
    ) -> Turn:
        """A request with so many words."""
        number = next(self._count) if number is None else number
        nonce = self.nonce(number)
        messages = synthetic_prompt(words, nonce, self.seed * _SEED_STEP + number)
        return Turn(case, lambda _: self.encoded(messages, max_tokens, nonce))

    def nonce(self, number: int) -> str:
        """A number that no other request has; its digits are as many tokens each time, and its
        first ones differ, so that no prefix is shared."""
        return f"{(self._run + number * _NONCE_STEP) % _NONCES:012d}"

    def encoded(
        self, messages: Sequence[PromptMessage], max_tokens: int | None, nonce: str
    ) -> bytes:
        """The body with the changes of the route."""
        body = request_body(self.style, self.workload, messages, max_tokens, nonce)
        body = {**body, **self._thinking()}
        if self.place.policy is not None:
            body = apply_to(self.place.policy, body, "chat")
        return _encode(body)

    def _thinking(self) -> dict[str, object]:
        """The switch of a workload that wants no thinking; the route's own policy comes later."""
        if self.workload.thinking is None or self.place.engine is None:
            return {}
        family = family_of([self.place.model_id or self.place.model, self.place.model], ())
        return dict(template_switch(family.name, False) or {}) if family else {}


@dataclass(frozen=True, slots=True)
class _Written:
    """The body of one turn, after the answers to the turns before it."""

    source: PromptSource
    case: PromptCase
    index: int
    number: int

    def __call__(self, answers: Sequence[str]) -> bytes:
        system = self.source.workload.system
        messages = [PromptMessage("system", system)] if system is not None else []
        messages += self.case.messages
        for turn, answer in zip(self.case.turns, answers, strict=False):
            messages += [PromptMessage("user", turn), PromptMessage("assistant", answer)]
        messages.append(PromptMessage("user", self.case.turns[self.index]))
        tokens = self.case.max_tokens or DEFAULT_TOKENS
        return self.source.encoded(messages, tokens, self.source.nonce(self.number))
