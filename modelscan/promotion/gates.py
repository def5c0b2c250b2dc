"""Gates: a score against a threshold, and against what the route serves now. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.evals.statistics import mean, paired_difference, wilson
from modelscan.promotion.types import PromotionGate

_GATE = re.compile(
    r"^\s*(?P<suite>[^<>=\s][^<>=]*?)\s*>=\s*(?P<number>[0-9.]+)\s*(?P<percent>%?)\s*$"
)


@dataclass(frozen=True, slots=True)
class GateRun:
    """One run of a gate's tasks: the value of each (0 to 1), the score and its lower bound.

    ``eval_id``: the stored report; ``problem``: why it has no score.
    """

    values: Mapping[str, float]
    score: float
    lower: float
    eval_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate and how it went. ``difference``: of the means, candidate - current, over the same
    tasks, with its 95 % interval; None: nothing is served now, or on other tasks.
    """

    suite: str
    threshold: float
    score: float | None
    lower: float | None
    eval_id: str | None
    current_score: float | None
    current_eval_id: str | None
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    tasks: int
    met: bool
    reason: str


def parse_gate(text: str) -> PromotionGate:
    """``coding>=0.8`` or ``coding>=80%``. Raises UsageError for another form."""
    match = _GATE.match(text)
    try:
        number = float(match["number"]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is not None and match["percent"]:
        number /= 100
    if match is None or not 0 <= number <= 1:
        raise UsageError(
            f"'{text}' is no gate: SUITE>=THRESHOLD, with a threshold from 0 to 1",
            hint="--gate 'coding>=0.8'   (modelscan eval suites lists the suites)",
            code="bad_gate",
        )
    return PromotionGate(match["suite"], number)


def run_of_values(values: Mapping[str, float], eval_id: str | None = None) -> GateRun:
    """A run of tasks that are each passed or not: the share, and its Wilson bound."""
    score = mean(list(values.values()))
    return GateRun(values, score, wilson(score, len(values))[0], eval_id)


def judge(
    gate: PromotionGate, candidate: GateRun, current: GateRun | None, margin: float
) -> GateResult:
    """Met where the lower bound of the score (95 %) reaches the threshold, and where it is not
    shown that the candidate is worse than the current one by more than ``margin``.
    """
    pairs = _pairs(candidate, current)
    difference: float | None = None
    bounds: tuple[float, float] | tuple[None, None] = (None, None)
    if pairs and current is not None:
        mine, theirs = [x for x, _ in pairs], [y for _, y in pairs]
        difference, bounds = mean(mine) - mean(theirs), paired_difference(mine, theirs)
    reason = _objection(gate, candidate, bounds[1], difference, margin)
    return GateResult(
        suite=gate.suite,
        threshold=gate.threshold,
        score=None if candidate.problem else candidate.score,
        lower=None if candidate.problem else candidate.lower,
        eval_id=candidate.eval_id,
        current_score=None if current is None or current.problem else current.score,
        current_eval_id=None if current is None else current.eval_id,
        difference=difference,
        difference_lower=bounds[0],
        difference_upper=bounds[1],
        tasks=len(candidate.values),
        met=reason is None,
        reason=reason or _success(gate, candidate, difference),
    )


def _pairs(candidate: GateRun, current: GateRun | None) -> list[tuple[float, float]]:
    """The values of the same tasks; () where the two runs have others."""
    if current is None or current.problem or candidate.problem:
        return []
    if candidate.values.keys() != current.values.keys():
        return []
    return [(value, current.values[name]) for name, value in candidate.values.items()]


def _objection(
    gate: PromotionGate, candidate: GateRun, upper: float | None, difference: float | None,
    margin: float,
) -> str | None:  # fmt: skip
    if candidate.problem is not None:
        return f"{gate.suite} has no score: {candidate.problem}"
    if candidate.lower < gate.threshold:
        return (
            f"{gate.suite} is {candidate.score:.3f} over {len(candidate.values)} tasks, at least "
            f"{candidate.lower:.3f} with 95 % confidence; the gate asks for {gate.threshold:g}"
        )
    if upper is not None and difference is not None and upper < -margin:
        return (
            f"{gate.suite} is worse than what the route serves by {-difference:.3f}, at least "
            f"{-upper:.3f} with 95 % confidence; the margin is {margin:g}"
        )
    return None


def _success(gate: PromotionGate, candidate: GateRun, difference: float | None) -> str:
    against = "" if difference is None else f", {difference:+.3f} against what the route serves"
    return f"{gate.suite} is {candidate.score:.3f}, at least {candidate.lower:.3f}{against}"
