"""``eval suites``: the suites, their size and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.evals.items import EvalSuite, SuiteRequest
from modelscan.evals.suites.registry import SUITES, SuiteKind, suite_hash

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """``tokens_estimate``: prompts (four characters per token) and the most that answers may have.

    ``hash`` is that of seed 7 and a context of 8,192 tokens, of which long_context depends.
    """

    name: str
    version: str
    tasks: int
    hash: str
    sandbox: Literal["required", "none"]
    min_context_tokens: int
    tokens_estimate: int


@dataclass(frozen=True, slots=True)
class SuiteRows:
    """Every suite."""

    suites: tuple[SuiteRow, ...]


def list_suites() -> SuiteRows:
    """Every suite."""
    return SuiteRows(tuple(map(_row, SUITES.values())))


def _row(kind: SuiteKind) -> SuiteRow:
    suite = kind.make(SuiteRequest(context_tokens=8192))
    sizes = _sizes(suite)
    return SuiteRow(
        name=kind.name,
        version=suite.version,
        tasks=len(suite.items),
        hash=suite_hash(suite),
        sandbox="required" if kind.runs_code else "none",
        min_context_tokens=min(sizes) if kind.name == "long_context" else max(sizes),
        tokens_estimate=sum(sizes),
    )


def _sizes(suite: EvalSuite) -> list[int]:
    """Tokens of each task: system prompt, prompt, tools, answer."""
    return [
        (len(suite.system) + len(item.prompt) + sum(len(str(tool)) for tool in item.tools))
        // _CHARACTERS_PER_TOKEN
        + suite.max_tokens
        for item in suite.items
    ]
