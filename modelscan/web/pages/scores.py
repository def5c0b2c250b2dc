"""Scores: which model is better for a task, and is the difference real?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlencode

from modelscan.bench.samples import StoredSample
from modelscan.evals.board import BoardRow
from modelscan.evals.compare import EvalComparison
from modelscan.evals.report import EvalReceipt
from modelscan.web.charts.intervals import Interval
from modelscan.web.charts.pace import Paced
from modelscan.web.visit import View, Visit

_VERDICTS = {
    "a_better": "The first one is better.", "b_better": "The second one is better.",
    "no_difference_shown": "No difference is shown: the interval includes 0.",
    "too_few": "Too few tasks for a verdict.",
}  # fmt: skip
_SHORT = {
    "a_better": "better", "b_better": "worse on the same tasks",
    "no_difference_shown": "no difference shown", "too_few": "too few tasks",
}  # fmt: skip
MOST_COMPARED = 10
NOTHING_COMPARED: Mapping[tuple[str, str], EvalComparison] = {}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbours of a board with the same tasks: is the better one really better?"""

    better: BoardRow
    other: BoardRow
    difference: float
    lower: float
    upper: float
    tasks: int
    verdict: str
    link: str


@dataclass(frozen=True, slots=True)
class Board:
    """A suite: its rows, best first; what the pictures need; its neighbours compared."""

    suite: str
    rows: tuple[BoardRow, ...]
    points: tuple[Interval, ...]
    paced: tuple[Paced, ...]
    pairs: tuple[Pair, ...]


def view(
    visit: Visit, rows: Sequence[BoardRow], samples: Sequence[StoredSample],
    comparisons: Mapping[tuple[str, str], EvalComparison] = NOTHING_COMPARED,
) -> View:  # fmt: skip
    """The page: a board per suite, and the results of benchmarks. ``comparisons``: by the ids of
    both runs.
    """
    suites: dict[str, list[BoardRow]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    boards = [_board(suite, group, comparisons) for suite, group in suites.items()]
    return View("scores.html", {"title": "Scores", "boards": boards, "samples": samples[:50]})


def neighbours(rows: Sequence[BoardRow]) -> list[tuple[BoardRow, BoardRow]]:
    """The first rows of each suite, each with the one below it."""
    suites: dict[str, list[BoardRow]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    return [pair for group in suites.values() for pair in pairwise(group[:MOST_COMPARED])]


def _board(
    suite: str, rows: Sequence[BoardRow], comparisons: Mapping[tuple[str, str], EvalComparison]
) -> Board:
    names = _names(rows)
    paced = tuple(
        Paced(name, one.score, one.tokens_per_s, one.memory_bytes)
        for name, one in zip(names, rows, strict=True)
        if one.tokens_per_s
    )
    pairs = tuple(
        _pair(a, b, found)
        for a, b in pairwise(rows)
        if (found := comparisons.get((a.eval_id, b.eval_id))) is not None
    )
    return Board(suite, tuple(rows), tuple(map(_interval, names, rows)), paced, pairs)


def _pair(better: BoardRow, other: BoardRow, found: EvalComparison) -> Pair:
    bounds = found.interval
    link = f"/scores/compare?{urlencode([('run', better.eval_id), ('run', other.eval_id)])}"
    return Pair(better, other, found.difference, bounds.lower, bounds.upper, len(found.per_task),
                _SHORT[found.verdict], link)  # fmt: skip


def _names(rows: Sequence[BoardRow]) -> list[str]:
    """The models with their formats; the routes where two would be alike."""
    names = [_name(row) for row in rows]
    counts = Counter(names)
    return [name if counts[name] == 1 else row.route for name, row in zip(names, rows, strict=True)]


def _name(row: BoardRow) -> str:
    name, form = row.model.rsplit("/", 1)[-1], row.quantization or ""
    return name if name.endswith(form) else f"{name} {form}"


def _interval(name: str, row: BoardRow) -> Interval:
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
        "names": (_run_name(answer.a), _run_name(answer.b)),
        "differing": differing[:200], "equal": len(answer.per_task) - len(differing),
    })  # fmt: skip


def _run_name(run: EvalReceipt) -> str:
    return f"{run.model or run.requested_model} {run.quantization or ''}".strip()
