"""``eval run``: a suite on a route, from the question to the stored report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelscan.bench.report_reader import ReportFault, read_report
from modelscan.bench.stored import ingest_reports
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.evals.items import EvalSuite, SandboxKind, SuiteRequest
from modelscan.evals.job import EvalJob, Generation, JobOutcome, SampleRow
from modelscan.evals.options import ChosenPolicy, EvalOptions, read_policy
from modelscan.evals.process import JobResult, require_inspect, run_job
from modelscan.evals.receipts import (
    answered_by,
    gateway_policy,
    receipts_of,
    with_entries,
)
from modelscan.evals.report import (
    EvalReceipt,
    EvalReport,
    EvalUsage,
    MetricScore,
    RunStatus,
    SuiteShown,
    TaskResult,
)
from modelscan.evals.run_receipt import caches_prompts, hardware_of, receipt_of, with_receipts
from modelscan.evals.samples import sample_report
from modelscan.evals.sandbox import choose_sandbox
from modelscan.evals.scoring import scores_of
from modelscan.evals.storage import evals_dir, new_id, store
from modelscan.evals.subject import EvalSubject, find_subject, host_load
from modelscan.evals.suites.registry import SuiteKind, find_suite, suite_hash
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.secrets import redact
from modelscan.state.server.extra import require_extra

if TYPE_CHECKING:
    pass


def run_suite(
    name: str, options: EvalOptions, config: Config, progress: Callable[[int, int], None]
) -> EvalReport:
    """Run a suite, store its report and return it.

    ``progress`` receives (graded, all). Raises UsageError for an unknown suite or route,
    NotDeployableError where the extra or a sandbox is missing, RemoteError where nothing answers.
    """
    kind = find_suite(name)
    require_inspect()
    sandbox = (
        choose_sandbox(options.sandbox, confirmed=options.confirmed) if kind.runs_code else None
    )
    policy = read_policy(options.tool_policy)
    subject = find_subject(options.route, config, options.api_key, through_gateway=True)
    suite = kind.make(SuiteRequest(options.seed, subject.context_tokens))
    chosen = suite.items[: options.limit]
    started = now_text()
    job = job_of(kind, subject, options, sandbox, policy)
    eval_id = new_id()
    folder = evals_dir(config.paths) / eval_id
    total = len(chosen) * options.epochs
    load = host_load()
    result = run_job(job, folder, key=subject.api_key, report=lambda count: progress(count, total))
    stored = receipts_of(result.rows, subject, config)
    answered = with_entries(subject, answered_by(stored), config)
    if policy.spec is None:
        policy = replace(policy, policy=gateway_policy(stored, config) or policy.policy)
    receipt = receipt_of(
        suite, answered, options, sandbox, policy, result, started, reuse=kind.repeats_text
    )
    receipt = replace(receipt, host_load=load, hardware=hardware_of(answered, config))
    report = report_of_run(eval_id, replace(suite, items=chosen), receipt, result, options.epochs)
    report = with_receipts(report, result.rows, subject, stored, config)
    if options.limit is None:
        report = replace(report, warnings=(*report.warnings, *ingest(report, config)))
    store(config.paths, report)
    return report


def ingest(report: EvalReport, config: Config) -> list[str]:
    """Store a valid report as a benchmark sample, which scores of routes use; returns warnings.

    Without the packages of the gateway there is no database, and no route to score.
    """
    document = sample_report(report)
    if document is None:
        return []
    try:
        require_extra("scoring")
    except UsageError:
        return []
    try:
        answer = ingest_reports([read_report(document, time.time())], config)
    except (ModelscanError, ReportFault) as error:
        return [f"the result is not used for scoring: {error}"]
    return [f"the result is not used for scoring: {one.reason}" for one in answer.unmatched]


def job_of(
    kind: SuiteKind,
    subject: EvalSubject,
    options: EvalOptions,
    sandbox: SandboxKind | None,
    policy: ChosenPolicy,
) -> EvalJob:
    """The job of the process."""
    parts = urlsplit(subject.endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return EvalJob(
        suites=(kind.name,),
        base_url=f"{subject.endpoint}/v1",
        model=subject.model,
        hosts=((parts.hostname or "", port),),
        seed=options.seed,
        context_tokens=subject.context_tokens,
        limit=options.limit,
        epochs=options.epochs,
        connections=options.concurrency or subject.parallel or 1,
        generation=Generation(
            options.temperature,
            options.seed,
            options.max_tokens,
            extra_body(subject, options, reuse=kind.repeats_text),
        ),
        sandbox=sandbox,
        tool_policy=policy.spec,
        socket_path=subject.socket_path,
        tls=subject.tls,
    )


def extra_body(
    subject: EvalSubject, options: EvalOptions, *, reuse: bool = False
) -> dict[str, Any]:
    """Fields beyond OpenAI's: whether llama.cpp may reuse earlier prompts, which can change
    answers; the thinking level."""
    body: dict[str, Any] = {}
    if caches_prompts(subject):
        body["cache_prompt"] = reuse
    if options.thinking != "default":
        on = options.thinking != "off"
        body["reasoning_effort"] = options.thinking if on else "none"
        if subject.local:
            body["chat_template_kwargs"] = {"enable_thinking": on, "thinking": on}
    return body


def report_of_run(
    eval_id: str, suite: EvalSuite, receipt: EvalReceipt, result: JobResult, epochs: int
) -> EvalReport:
    """The report of a suite of this package."""
    shown = SuiteShown(suite.name, suite.version, suite_hash(suite), len(suite.items))
    expected = len(suite.items) * epochs
    complete = len(result.rows) == expected
    scores = scores_of(suite, result.rows) if complete else ()
    return report_of_rows(eval_id, shown, receipt, result, expected, scores)


def report_of_rows(
    eval_id: str,
    suite: SuiteShown,
    receipt: EvalReceipt,
    result: JobResult,
    expected: int,
    scores: tuple[MetricScore, ...],
) -> EvalReport:
    """The report: ``scores`` count only where every sample was graded."""
    rows, outcome = result.rows, result.outcome
    status, reason = _status(rows, outcome, expected)
    log = Path(outcome.log_file) if outcome.log_file else None
    return EvalReport(
        eval_id=eval_id,
        suite=suite,
        receipt=receipt,
        status=status,
        reason=reason,
        scores=scores if status == "valid" else (),
        tasks=tuple(map(_task, rows)),
        usage=_usage(rows),
        cost_usd=None,
        tokens_per_s=_tokens_per_s(rows),
        finished_at=now_text(),
        log_path=str(log) if log and log.exists() else None,
    )


def _status(
    rows: tuple[SampleRow, ...], outcome: JobOutcome, expected: int
) -> tuple[RunStatus, str | None]:
    if outcome.status == "cancelled":
        return "cancelled", f"interrupted after {len(rows)} of {expected} samples"
    if rows and len(rows) == expected and outcome.status == "finished":
        return "valid", None
    cause = redact(next(iter(outcome.errors), outcome.reason) or "no error is known")
    return "invalid", f"{expected - len(rows)} of {expected} samples have no grade: {cause}"


def _task(row: SampleRow) -> TaskResult:
    return TaskResult(
        row.id, row.epoch, row.value, row.answer_sha256, row.failure, row.prompt_tokens,
        row.completion_tokens, row.ttft_s, row.seconds, None, row.reason, row.cached_tokens,
    )  # fmt: skip


def _usage(rows: tuple[SampleRow, ...]) -> EvalUsage:
    prompts = [row.prompt_tokens for row in rows if row.prompt_tokens is not None]
    answers = [row.completion_tokens for row in rows if row.completion_tokens is not None]
    return EvalUsage(sum(prompts) if prompts else None, sum(answers) if answers else None)


def _tokens_per_s(rows: tuple[SampleRow, ...]) -> float | None:
    """Tokens of answers per second of requests: prefill and waiting are included."""
    timed = [row for row in rows if row.seconds and row.completion_tokens]
    seconds = sum(row.seconds or 0.0 for row in timed)
    return sum(row.completion_tokens or 0 for row in timed) / seconds if seconds else None
