"""The reports as lists: every run, and the newest valid one of each model and suite, best first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelscan.evals.report import EvalReport, RunStatus, ScoreInterval


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One run."""

    eval_id: str
    suite: str
    route: str
    model: str
    quantization: str | None
    status: RunStatus
    metric: str | None
    score: float | None
    tasks: int
    at: str


@dataclass(frozen=True, slots=True)
class EvalList:
    """Every stored run, the newest first."""

    evals: tuple[EvalRow, ...]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A model's newest result in a suite; None: unknown. ``seconds`` is the mean per task.

    ``score_per_gb``: of memory (GB, what the engine reported or the plan promised);
    ``score_per_usd``: of the run's cost; ``score_per_s``: of a task's seconds.
    """

    model: str
    revision: str | None
    quantization: str | None
    route: str
    suite: str
    metric: str
    score: float
    interval: ScoreInterval | None
    tasks: int
    tokens_per_s: float | None
    seconds: float | None
    memory_bytes: int | None
    cost_usd: float | None
    score_per_gb: float | None
    score_per_usd: float | None
    score_per_s: float | None
    thinking: str
    eval_id: str
    at: str


@dataclass(frozen=True, slots=True)
class EvalBoard:
    """Per suite, the best score first."""

    rows: tuple[BoardRow, ...]


def list_rows(reports: Iterable[EvalReport]) -> EvalList:
    """Every run as a row."""
    return EvalList(tuple(map(_list_row, reports)))


def _list_row(report: EvalReport) -> EvalRow:
    score = report.main_score
    return EvalRow(
        report.eval_id, report.suite.name, report.receipt.route, model_of(report),
        report.receipt.quantization, report.status, score.metric if score else None,
        score.value if score else None, report.suite.tasks, report.receipt.started_at,
    )  # fmt: skip


def model_of(report: EvalReport) -> str:
    """The model's name, as exactly as it is known."""
    receipt = report.receipt
    return receipt.model or receipt.served_model or receipt.requested_model


def board(reports: Iterable[EvalReport]) -> EvalBoard:
    """The newest valid report of each route, model, format, thinking level and version of a suite.

    ``reports``: the newest first.
    """
    newest: dict[tuple[object, ...], EvalReport] = {}
    for report in reports:
        if report.status == "valid" and report.main_score is not None:
            receipt = report.receipt
            place = (report.suite.hash, receipt.route, model_of(report), receipt.quantization,
                     receipt.sha256, receipt.thinking)  # fmt: skip
            newest.setdefault(place, report)
    rows = [_board_row(report) for report in newest.values()]
    return EvalBoard(tuple(sorted(rows, key=lambda row: (row.suite, -row.score, row.route))))


def _board_row(report: EvalReport) -> BoardRow:
    score, receipt = report.main_score, report.receipt
    assert score is not None
    timed = [task.seconds for task in report.tasks if task.seconds]
    seconds = sum(timed) / len(timed) if timed else None
    return BoardRow(
        model=model_of(report),
        revision=receipt.revision,
        quantization=receipt.quantization,
        route=receipt.route,
        suite=report.suite.name,
        metric=score.metric,
        score=score.value,
        interval=score.interval,
        tasks=report.suite.tasks,
        tokens_per_s=report.tokens_per_s,
        seconds=seconds,
        memory_bytes=receipt.memory_bytes,
        cost_usd=report.cost_usd,
        score_per_gb=_per(score.value, receipt.memory_bytes and receipt.memory_bytes / 1e9),
        score_per_usd=_per(score.value, report.cost_usd),
        score_per_s=_per(score.value, seconds),
        thinking=receipt.thinking,
        eval_id=report.eval_id,
        at=receipt.started_at,
    )


def _per(score: float, amount: float | None) -> float | None:
    return score / amount if amount else None
