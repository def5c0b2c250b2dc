"""Reports, comparisons and boards as tables and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_bytes, format_speed

if TYPE_CHECKING:
    from modelscan.evals.board import EvalBoard, EvalList
    from modelscan.evals.compare import EvalComparison
    from modelscan.evals.report import EvalReport, MetricScore, ScoreInterval
    from modelscan.evals.storage import EvalsExported
    from modelscan.evals.suite_list import SuiteRows
    from modelscan.evals.verify import EvalProofs

_NO_RUNS = "there are no runs: modelscan eval run tools --route NAME"
VERDICTS = {
    "a_better": "A is better",
    "b_better": "B is better",
    "no_difference_shown": "no difference shown: the interval includes 0",
    "too_few": "too few tasks for a verdict: at least 30 are needed",
}


def suites_document(answer: SuiteRows) -> Document[Any]:
    """One row per suite."""
    rows = [
        (one.name, one.version, one.tasks, one.sandbox, one.min_context_tokens,
         one.tokens_estimate, one.hash[:12])
        for one in answer.suites
    ]  # fmt: skip
    table = Table(
        ("SUITE", "VERSION", "TASKS", "SANDBOX", "CONTEXT", "TOKENS", "HASH"), rows,
        numeric=("TASKS", "CONTEXT", "TOKENS"), optional=("HASH", "VERSION"),
    )  # fmt: skip
    return Document("eval.suites", answer, [table], [one.name for one in answer.suites])


def interval_text(interval: ScoreInterval | None) -> str | None:
    """``0.12 to 0.34``."""
    return None if interval is None else f"{interval.lower:.3f} to {interval.upper:.3f}"


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def report_document(
    report: EvalReport, exit_code: int, *, tasks: bool = False, failed_only: bool = False
) -> Document[Any]:
    """The receipt, the scores, and with ``tasks`` every task."""
    blocks: list[Block] = [Fields(_receipt(report))]
    if report.scores:
        blocks.append(_scores(report.scores))
    if report.status != "valid":
        blocks.append(Note(f"{report.status}: {report.reason}"))
    if tasks:
        rows = [
            (one.id, _score(one.value), one.failure, one.completion_tokens, one.reason)
            for one in report.tasks
            if not failed_only or one.value < 1.0
        ]
        columns = ("TASK", "VALUE", "FAILURE", "TOKENS", "REASON")
        blocks.append(
            Table(columns, rows, numeric=("VALUE", "TOKENS"), optional=("TOKENS", "FAILURE"))
        )
    return Document(
        "eval.run", report, blocks, [report.eval_id], report.warnings, exit_code=exit_code
    )


def _receipt(report: EvalReport) -> list[tuple[str, object]]:
    receipt, generation = report.receipt, report.receipt.generation
    return [
        ("id", report.eval_id),
        ("suite", f"{report.suite.name} {report.suite.version}, {report.suite.tasks} tasks"),
        ("suite hash", report.suite.hash[:16]),
        ("status", report.status),
        ("route", f"{receipt.route} ({receipt.provider})"),
        ("endpoint", receipt.endpoint),
        ("model", receipt.model or receipt.requested_model),
        ("served as", receipt.served_model),
        ("engine", receipt.engine),
        ("quantization", receipt.quantization),
        ("revision", receipt.revision),
        ("sha256", receipt.sha256),
        ("context", receipt.context_tokens),
        ("thinking", receipt.thinking),
        ("temperature", generation.temperature),
        ("seed", generation.seed),
        ("max tokens", generation.max_tokens),
        ("system prompt", receipt.system_prompt_sha256[:16]),
        ("tool policy", receipt.tool_policy.name),
        ("sandbox", receipt.sandbox),
        ("tokens", f"{report.usage.prompt_tokens} in, {report.usage.completion_tokens} out"),
        ("speed", f"{format_speed(report.tokens_per_s)} tokens/s" if report.tokens_per_s else None),
        ("first token", _first_token(report)),
        ("cost", _cost(report)),
        ("started at", receipt.started_at),
    ]


def _first_token(report: EvalReport) -> str | None:
    """The median over the tasks."""
    times = sorted(one.ttft_s for one in report.tasks if one.ttft_s is not None)
    return f"{times[len(times) // 2]:.3g} s (median)" if times else None


def _cost(report: EvalReport) -> str | None:
    """The cost with its source; of an unknown one what is missing."""
    source = f" ({report.cost_source})" if report.cost_source else ""
    return f"unknown{source}" if report.cost_usd is None else f"{report.cost_usd:.4g} USD{source}"


def _scores(scores: tuple[MetricScore, ...]) -> Table:
    rows = [
        (one.metric, _score(one.value), interval_text(one.interval), one.n,
         one.interval.method if one.interval else None)
        for one in scores
    ]  # fmt: skip
    return Table(
        ("METRIC", "VALUE", "95 % INTERVAL", "N", "METHOD"), rows, numeric=("VALUE", "N"),
        whole=("95 % INTERVAL",), optional=("METHOD",),
    )  # fmt: skip


def list_document(answer: EvalList) -> Document[Any]:
    """One row per run."""
    rows = [
        (one.eval_id, one.suite, one.route, one.quantization, one.status, one.metric,
         _score(one.score), one.tasks, one.at)
        for one in answer.evals
    ]  # fmt: skip
    columns = ("ID", "SUITE", "ROUTE", "QUANT", "STATUS", "METRIC", "SCORE", "TASKS", "AT")
    table = Table(
        columns, rows, numeric=("SCORE", "TASKS"), empty=_NO_RUNS,
        optional=("SCORE", "STATUS", "TASKS", "METRIC", "QUANT", "AT"),
    )  # fmt: skip
    return Document("eval.list", answer, [table], [one.eval_id for one in answer.evals])


def board_document(answer: EvalBoard) -> Document[Any]:
    """One row per model, best first within its suite."""
    rows = [
        (one.model, one.suite, _score(one.score), interval_text(one.interval), one.quantization,
         format_speed(one.tokens_per_s), format_bytes(one.memory_bytes), one.cost_usd, one.route,
         one.tasks, one.eval_id)
        for one in answer.rows
    ]  # fmt: skip
    columns = ("MODEL", "SUITE", "SCORE", "95 % INTERVAL", "QUANT", "TOKENS/S", "MEMORY", "USD",
               "ROUTE", "TASKS", "ID")  # fmt: skip
    table = Table(
        columns, rows, numeric=("SCORE", "TOKENS/S", "USD", "TASKS"), empty=_NO_RUNS,
        optional=("95 % INTERVAL", "TOKENS/S", "QUANT", "MEMORY", "TASKS", "ROUTE", "ID", "USD"),
    )  # fmt: skip
    return Document("eval.board", answer, [table], [one.eval_id for one in answer.rows])


def comparison_document(answer: EvalComparison) -> Document[Any]:
    """The difference, its interval and the verdict; the tasks that differ."""
    pairs: list[tuple[str, object]] = [
        ("suite", f"{answer.suite}, {len(answer.per_task)} tasks"),
        ("A", f"{answer.a.route}: {_score(answer.a_score)}  {answer.a_id}"),
        ("B", f"{answer.b.route}: {_score(answer.b_score)}  {answer.b_id}"),
        ("difference", f"{answer.difference:+.3f}"),
        ("95 % interval", interval_text(answer.interval)),
        ("only A solved", answer.discordant.a_only),
        ("only B solved", answer.discordant.b_only),
        ("verdict", VERDICTS[answer.verdict]),
        ("settings differ", list(answer.differs) or None),
    ]
    rows = [(one.id, _score(one.a), _score(one.b)) for one in answer.per_task if one.a != one.b]
    tasks = Table(("TASK", "A", "B"), rows, numeric=("A", "B"), empty="every task has equal values")
    return Document("eval.compare", answer, [Fields(pairs), tasks], [answer.verdict])


def proofs_document(answer: EvalProofs, exit_code: int) -> Document[Any]:
    """One row per suite, and the answers that got another grade than they must."""
    rows = [
        (one.name, one.ok, *(f"{part.as_expected}/{part.answers}"
         for part in (one.reference, one.stub, one.wrong)))
        for one in answer.suites
    ]  # fmt: skip
    table = Table(("SUITE", "OK", "REFERENCE PASSES", "STUB FAILS", "WRONG FAILS"), rows)
    notes = [Note(fault) for one in answer.suites for fault in one.faults]
    ids = [one.name for one in answer.suites if one.ok]
    return Document("eval.verify", answer, [table, *notes], ids, exit_code=exit_code)


def export_document(answer: EvalsExported) -> Document[Any]:
    """The file, the number of reports, its digest."""
    pairs = [("file", answer.file), ("reports", answer.reports), ("sha256", answer.sha256)]
    return Document("eval.export", answer, [Fields(pairs)], [str(answer.file)])
