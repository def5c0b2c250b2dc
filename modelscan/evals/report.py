"""The report of a run: what ran (the receipt), each task's grade, scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelscan.evals.items import SandboxKind, TaskFailure

RunStatus = Literal["valid", "invalid", "cancelled"]
Thinking = Literal["default", "off", "low", "high"]
NO_POLICY = "none"


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """A 95 % interval."""

    lower: float
    upper: float
    method: Literal["wilson", "bootstrap"] = "wilson"
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class MetricScore:
    """A metric over ``n`` tasks (of recall and precision: defects and findings)."""

    metric: str
    value: float
    interval: ScoreInterval | None
    n: int


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """``cache_prompt`` False: llama.cpp reuses no part of an earlier prompt; None: not settable.

    True: of a suite whose items are about one long text; ``tasks[].cached_tokens`` counts it.
    """

    temperature: float
    seed: int
    max_tokens: int | None
    cache_prompt: bool | None


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The file that denies tools; ``name`` "none" without one."""

    name: str = NO_POLICY
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class EvalReceipt:
    """What exactly was measured. None is unknown: a hosted model has no file here."""

    route: str
    endpoint: str
    requested_model: str
    served_model: str | None
    provider: str
    engine: str | None
    model: str | None
    revision: str | None
    sha256: str | None
    quantization: str | None
    context_tokens: int | None
    parallel: int | None
    memory_bytes: int | None
    thinking: Thinking
    hardware: str | None
    host_load: float | None
    foreign_requests: bool | None
    system_prompt_sha256: str
    generation: GenerationSettings
    epochs: int
    tool_policy: ToolPolicy
    sandbox: SandboxKind | None
    packages: Mapping[str, str]
    started_at: str


@dataclass(frozen=True, slots=True)
class SuiteShown:
    """A suite in a report; equal hashes: the same tasks and rules."""

    name: str
    version: str
    hash: str
    tasks: int


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The grade of one task in one epoch; ``value`` is 0 to 1.

    ``trace_id``: of the (last) request, where a gateway has its receipt. ``ttft_s``: until the
    first token, measured in the stream.
    """

    id: str
    epoch: int
    value: float
    answer_sha256: str
    failure: TaskFailure | None
    prompt_tokens: int | None
    completion_tokens: int | None
    ttft_s: float | None
    seconds: float | None
    trace_id: str | None
    reason: str | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EvalUsage:
    """Tokens of all tasks, as the server counted them."""

    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class EvalReport:
    """One run of a suite on a route. Only a ``valid`` one has scores.

    ``cost_source``: where the price is stated, or what is missing for it.
    """

    eval_id: str
    suite: SuiteShown
    receipt: EvalReceipt
    status: RunStatus
    reason: str | None
    scores: tuple[MetricScore, ...]
    tasks: tuple[TaskResult, ...]
    usage: EvalUsage
    cost_usd: float | None
    tokens_per_s: float | None
    finished_at: str
    log_path: str | None
    warnings: tuple[str, ...] = field(default=())
    cost_source: str | None = None

    @property
    def main_score(self) -> MetricScore | None:
        """The first score: what boards and comparisons use."""
        return self.scores[0] if self.scores else None

    def values(self) -> dict[str, float]:
        """The mean value of each task over its epochs."""
        grouped: dict[str, list[float]] = {}
        for task in self.tasks:
            grouped.setdefault(task.id, []).append(task.value)
        return {name: sum(values) / len(values) for name, values in grouped.items()}
