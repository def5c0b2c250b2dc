"""The tasks of a job: a suite's items, or every planted answer of several suites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.evals.inspect.tasks import sample_of, samples_of, suite_task
from modelscan.evals.items import EvalSuite, SuiteRequest
from modelscan.evals.job import EvalJob, SampleRow
from modelscan.evals.sandbox import runner
from modelscan.evals.suites.planted import planted_answers
from modelscan.evals.suites.registry import SuiteKind, find_suite
from modelscan.routing.tool_policy import decide, prepare

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample


def own_tasks(job: EvalJob, write: Callable[[SampleRow], None]) -> list[Task]:
    """One task per suite of the job."""
    return [_task(find_suite(name), job, write) for name in job.suites]


def _task(kind: SuiteKind, job: EvalJob, write: Callable[[SampleRow], None]) -> Task:
    suite = kind.make(SuiteRequest(job.seed, job.context_tokens))
    limit = job.generation.max_tokens
    suite = replace(suite, max_tokens=limit) if limit is not None else suite
    run = runner(job.sandbox) if kind.runs_code and job.sandbox else None
    return suite_task(
        kind, suite, _planted(kind, suite) if job.verify else samples_of(suite), run=run,
        on_row=lambda row: write(replace(row, suite=kind.name)),
        denied=_denied(job),
        extra_body=job.generation.extra_body,
    )  # fmt: skip


def _denied(job: EvalJob) -> Callable[[str], bool]:
    """Whether the job's policy denies a tool; one that it wants confirmed may be called."""
    if job.tool_policy is None:
        return lambda _: False
    policies = (prepare(job.tool_policy),)
    return lambda name: decide(policies, name).decision == "deny"


def _planted(kind: SuiteKind, suite: EvalSuite) -> list[Sample]:
    """One sample per planted answer, named ``ITEM/reference``, ``ITEM/stub``, ``ITEM/wrong-1``."""
    return [
        sample_of(suite, item, f"{item.id}/{label}", planted=f"{kind.name}/{item.id}/{label}")
        for item in suite.items
        for label, _ in planted_answers(kind, item)
    ]
