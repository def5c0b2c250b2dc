"""Two reports of the same tasks: the difference, its interval, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from modelscan.core.errors import UsageError
from modelscan.evals.report import EvalReceipt, EvalReport, ScoreInterval
from modelscan.evals.statistics import mean, paired_difference

EvalVerdict = Literal["a_better", "b_better", "no_difference_shown", "too_few"]
LEAST_TASKS = 30
# Of a receipt: what must be known to call two runs comparable. Others may be unknown, but not left
# out: a hosted model has no file.
_KNOWN = ("route", "endpoint", "requested_model", "provider", "thinking", "system_prompt_sha256",
          "generation", "epochs", "tool_policy", "started_at")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComparedTask:
    """The values of one task in both runs, 0 to 1."""

    id: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Discordant:
    """Tasks that only one of the two solved (value 1)."""

    a_only: int
    b_only: int


@dataclass(frozen=True, slots=True)
class EvalComparison:
    """``difference`` is the mean of a - b over the same tasks."""

    suite: str
    suite_hash: str
    a_id: str
    b_id: str
    a: EvalReceipt
    b: EvalReceipt
    a_score: float
    b_score: float
    per_task: tuple[ComparedTask, ...]
    difference: float
    interval: ScoreInterval
    discordant: Discordant
    verdict: EvalVerdict
    differs: tuple[str, ...]  # fields of the receipts that differ besides the model


def check_document(document: Mapping[str, Any], name: str) -> None:
    """Raises UsageError that names the first field that the receipt lacks."""
    receipt = document.get("receipt")
    receipt = receipt if isinstance(receipt, Mapping) else {}
    for field in fields(EvalReceipt):
        absent = field.name not in receipt
        if absent or (field.name in _KNOWN and receipt[field.name] is None):
            raise UsageError(
                f"the receipt of {name} has no '{field.name}': what it measured is not known",
                hint=f"modelscan eval show {name}",
                code="receipt_incomplete",
                details={"field": f"receipt.{field.name}"},
            )


def compare(a: EvalReport, b: EvalReport, *, seed: int = 7) -> EvalComparison:
    """Compare two valid runs of the same suite, task by task.

    The interval is a percentile bootstrap over pairs (2,000 seeded resamples); below 30 tasks there
    is no verdict. Raises UsageError if the suites' hashes differ or a run is not valid.
    """
    _check(a, b)
    values_a, values_b = a.values(), b.values()
    names = sorted(values_a)
    pairs = [(values_a[name], values_b[name]) for name in names]
    left, right = [x for x, _ in pairs], [y for _, y in pairs]
    lower, upper = paired_difference(left, right, seed=seed)
    difference = mean(left) - mean(right)
    return EvalComparison(
        suite=a.suite.name,
        suite_hash=a.suite.hash,
        a_id=a.eval_id,
        b_id=b.eval_id,
        a=a.receipt,
        b=b.receipt,
        a_score=mean(left),
        b_score=mean(right),
        per_task=tuple(ComparedTask(n, values_a[n], values_b[n]) for n in names),
        difference=difference,
        interval=ScoreInterval(lower, upper, "bootstrap"),
        discordant=Discordant(
            sum(x == 1.0 > y for x, y in pairs), sum(y == 1.0 > x for x, y in pairs)
        ),
        verdict=_verdict(len(names), lower, upper),
        differs=_differing(a.receipt, b.receipt),
    )


def _verdict(n: int, lower: float, upper: float) -> EvalVerdict:
    if n < LEAST_TASKS:
        return "too_few"
    if lower > 0:
        return "a_better"
    return "b_better" if upper < 0 else "no_difference_shown"


def _check(a: EvalReport, b: EvalReport) -> None:
    if a.suite.hash != b.suite.hash:
        raise UsageError(
            f"suite.hash differs: {a.suite.name} {a.suite.hash[:12]} with {a.suite.tasks} tasks, "
            f"{b.suite.name} {b.suite.hash[:12]} with {b.suite.tasks}",
            hint=f"modelscan eval run {a.suite.name} --route {b.receipt.route}",
            code="suite_differs",
            details={"field": "suite.hash"},
        )
    for one in (a, b):
        if one.status != "valid":
            raise UsageError(
                f"{one.eval_id} is {one.status}: {one.reason}",
                hint=f"modelscan eval run {one.suite.name} --route {one.receipt.route}",
                code="not_valid",
                details={"field": "status"},
            )
    if a.values().keys() != b.values().keys():
        raise UsageError(
            "the two reports have other tasks, although their suite.hash is equal",
            hint="modelscan eval list",
            details={"field": "tasks"},
        )


_SETTINGS = ("thinking", "system_prompt_sha256", "generation", "epochs", "tool_policy", "sandbox",
             "hardware", "context_tokens")  # fmt: skip


def _differing(a: EvalReceipt, b: EvalReceipt) -> tuple[str, ...]:
    return tuple(name for name in _SETTINGS if getattr(a, name) != getattr(b, name))
