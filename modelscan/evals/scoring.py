"""Scores of a run from its rows: the mean grade, and the suites' own metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from modelscan.bench.resampling import bootstrap
from modelscan.evals.items import EvalSuite
from modelscan.evals.job import SampleRow
from modelscan.evals.report import MetricScore, ScoreInterval
from modelscan.evals.statistics import f1, mean, wilson
from modelscan.evals.suites.review import totals

SHARE = "pass_rate"


def scores_of(suite: EvalSuite, rows: Sequence[SampleRow]) -> tuple[MetricScore, ...]:
    """The scores of complete rows, the main one first; epochs are averaged per task."""
    values = _by_task(rows)
    if suite.name == "review":
        return _review(rows)
    main = _share("recall" if suite.name == "long_context" else SHARE, list(values.values()))
    return (main, *_depths(suite, values)) if suite.name == "long_context" else (main,)


def pass_rate(rows: Sequence[SampleRow]) -> tuple[MetricScore, ...]:
    """The mean grade alone."""
    return (_share(SHARE, list(_by_task(rows).values())),)


def _by_task(rows: Sequence[SampleRow]) -> dict[str, float]:
    """The mean of each task's epochs: repeating a task does not make an interval narrower."""
    grades: dict[str, list[float]] = {}
    for row in rows:
        grades.setdefault(row.id, []).append(row.value)
    return {name: mean(values) for name, values in grades.items()}


def _share(metric: str, values: Sequence[float]) -> MetricScore:
    value = mean(values)
    lower, upper = wilson(value, len(values))
    return MetricScore(metric, value, ScoreInterval(lower, upper), len(values))


def _depths(suite: EvalSuite, values: Mapping[str, float]) -> list[MetricScore]:
    """Recall by length of the text and place of the fact."""
    groups: dict[tuple[int, float], list[float]] = {}
    for item in suite.items:
        if item.id in values:
            place = (item.data["tokens"], item.data["depth"])
            groups.setdefault(place, []).append(values[item.id])
    return [
        _share(f"recall tokens={tokens} depth={depth}", group)
        for (tokens, depth), group in sorted(groups.items())
    ]


def _review(rows: Sequence[SampleRow]) -> tuple[MetricScore, ...]:
    """F1 over all changes (bootstrap over tasks), recall of defects, precision of findings."""
    counts = [row.counts for row in rows]

    def score(chosen: Sequence[int]) -> float:
        sums = totals([counts[i] for i in chosen])
        return f1(sums["found"], sums["seeded"], sums["right"], sums["reported"])

    sums = totals(counts)
    value = score(range(len(counts)))
    return (
        MetricScore("f1", value, _f1_interval(len(rows), value, score), len(rows)),
        _ratio("recall", sums["found"], sums["seeded"]),
        _ratio("precision", sums["right"], sums["reported"]),
        _share("tasks_right", [float(row.value == 1.0) for row in rows]),
    )


def _f1_interval(n: int, value: float, score: Callable[[Sequence[int]], float]) -> ScoreInterval:
    """By resampling tasks; where all resamples agree (no task or every task is solved) they say
    nothing about further tasks, and the interval of a share of n tasks is used.
    """
    lower, upper = bootstrap(n, score) if n else (0.0, 1.0)
    return (
        ScoreInterval(lower, upper, "bootstrap")
        if lower < upper
        else ScoreInterval(*wilson(value, n))
    )


def _ratio(metric: str, part: int, whole: int) -> MetricScore:
    value = part / whole if whole else 0.0
    lower, upper = wilson(value, whole)
    return MetricScore(metric, value, ScoreInterval(lower, upper), whole)
