"""What a suite consists of: items with reference answers, and the grade of an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TaskFailure = Literal["timeout", "crash", "no_tool_call", "refused"]
CodeEnd = Literal["exited", "timeout", "output_limit"]
SandboxKind = Literal["bwrap", "docker", "local"]
PASSED = 1.0
FAILED = 0.0


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One call of a tool by a model."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered: text, and the calls of tools."""

    text: str = ""
    calls: tuple[ToolRequest, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the text and the calls: equal answers have equal digests."""
        calls = [[one.name, one.arguments] for one in self.calls]
        text = json.dumps([self.text, calls], sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that the model may call; ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EvalItem:
    """One task. ``wrong`` are planted answers that must not pass; ``data`` is what grading needs.

    ``schema``: the JSON Schema that the request asks the server to follow.
    """

    id: str
    prompt: str
    reference: ModelAnswer
    wrong: tuple[ModelAnswer, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[OfferedTool, ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """``value`` is 0 to 1. ``counts`` are parts of the suite's own metrics (review)."""

    value: float
    reason: str
    failure: TaskFailure | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What a program wrote in its sandbox. ``end``: how it ended."""

    stdout: str
    stderr: str
    end: CodeEnd
    exit_code: int | None = None


# (program text, standard input) -> result; the code runs in a sandbox.
RunCode = Callable[[str, str], CodeResult]
Grading = Callable[[EvalItem, ModelAnswer, RunCode | None], Grade]


@dataclass(frozen=True, slots=True)
class SuiteRequest:
    """What the items depend on: the seed, and the context that the route serves (tokens)."""

    seed: int = 7
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EvalSuite:
    """The items of one suite, ready to run."""

    name: str
    version: str
    system: str
    max_tokens: int
    items: tuple[EvalItem, ...]

    @property
    def system_sha256(self) -> str:
        """The digest of the system prompt."""
        return hashlib.sha256(self.system.encode()).hexdigest()


def passed(reason: str = "right") -> Grade:
    """A full grade."""
    return Grade(PASSED, reason)


def failed(reason: str, failure: TaskFailure | None = None) -> Grade:
    """A grade of 0 with its reason."""
    return Grade(FAILED, reason, failure)
