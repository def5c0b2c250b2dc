"""The prompts of a benchmark, and what of a request they shape. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from modelscan.bench.checks import AnswerCheck
from modelscan.core.jsonform import to_json

Role = Literal["system", "user", "assistant", "tool", "developer"]
DEFAULT_TOKENS = 128


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a request."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class PromptCase:
    """One prompt. ``turns``: of a conversation, each is sent with the answers to those before.

    ``messages`` precede the first turn. ``at_s``: when it is sent, seconds from the start (None:
    when the load allows). ``input_tokens``: its synthetic length, None for a written prompt.
    """

    id: str
    turns: tuple[str, ...] = ()
    messages: tuple[PromptMessage, ...] = ()
    max_tokens: int | None = None
    checks: tuple[AnswerCheck, ...] = ()
    at_s: float | None = None
    input_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class BenchWorkload:
    """A named set of prompts. ``synthetic``: words without meaning, every request with others.

    ``thinking`` "off": the template's switch is sent; None: the route decides.
    ``minimum_pass_rate``: of the checks, below which a run has a warning.
    """

    name: str
    cases: tuple[PromptCase, ...]
    version: int = 1
    system: str | None = None
    temperature: float | None = 0.0
    thinking: Literal["off"] | None = None
    synthetic: bool = False
    ignore_eos: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    description: str | None = field(default=None, compare=False)
    minimum_pass_rate: float | None = None

    @property
    def is_checked(self) -> bool:
        """Whether any answer has a check."""
        return any(case.checks for case in self.cases)

    @property
    def is_scheduled(self) -> bool:
        """Whether the prompts have times at which they are sent."""
        return any(case.at_s is not None for case in self.cases)


def workload_hash(workload: BenchWorkload, seed: int) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of what shapes the requests."""
    content = {**to_json(workload), "description": None, "seed": seed}
    del content["minimum_pass_rate"]  # of the answers; the requests are the same
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shape(input_tokens: int, output_tokens: int) -> BenchWorkload:
    """Synthetic prompts of one length, whose answers all have the same length."""
    case = PromptCase("shape", max_tokens=output_tokens, input_tokens=input_tokens)
    return BenchWorkload(
        "shape", (case,), synthetic=True, ignore_eos=True, input_tokens=input_tokens,
        output_tokens=output_tokens,
    )  # fmt: skip
