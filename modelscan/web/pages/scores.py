"""Scores: which model is better for a task, and is the difference real?"""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.bench.samples import StoredSample
from modelscan.evals.board import BoardRow
from modelscan.evals.compare import EvalComparison
from modelscan.web.charts.intervals import Interval
from modelscan.web.visit import View, Visit

_VERDICTS = {
    "a_better": "The first one is better.", "b_better": "The second one is better.",
    "no_difference_shown": "No difference is shown: the interval includes 0.",
    "too_few": "Too few tasks for a verdict.",
}  # fmt: skip


def view(visit: Visit, rows: Sequence[BoardRow], samples: Sequence[StoredSample]) -> View:
    """The page: a board per suite, and the results of benchmarks."""
    suites: dict[str, list[BoardRow]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    boards = [(suite, group, [_interval(one) for one in group]) for suite, group in suites.items()]
    return View("scores.html", {"title": "Scores", "boards": boards, "samples": samples[:50]})


def _interval(row: BoardRow) -> Interval:
    name = f"{row.model.rsplit('/', 1)[-1]} {row.quantization or ''}".strip()
    lower, upper = (row.interval.lower, row.interval.upper) if row.interval else (None, None)
    return Interval(name, row.score, lower, upper, row.tasks)


def compare_view(visit: Visit, answer: EvalComparison) -> View:
    """Two runs, task by task."""
    bounds = answer.interval
    gap = Interval(
        "first − second", answer.difference, bounds.lower, bounds.upper, len(answer.per_task)
    )
    differing = [one for one in answer.per_task if one.a != one.b]
    return View("scores_compare.html", {
        "title": "Two runs", "answer": answer, "gap": gap, "verdict": _VERDICTS[answer.verdict],
        "differing": differing[:200], "equal": len(answer.per_task) - len(differing),
    })  # fmt: skip
