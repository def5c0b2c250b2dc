"""The process that runs a suite: ``python -m modelscan.evals.inspect.child FOLDER``.

Its folder has the job; it writes the rows and the outcome there. Its environment, working directory
and connections are limited by its parent and by ``guard``.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.jsonform import from_json, to_json
from modelscan.evals.inspect.guard import allow_only
from modelscan.evals.job import JOB_FILE, KEY_VARIABLE, OUTCOME_FILE, ROWS_FILE, EvalJob, JobOutcome

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog

_PACKAGES = ("inspect-ai", "openai", "modelscan-deploy", "inspect-evals")
_SHOWN_ERRORS = 5


def main(folder: Path) -> int:
    """Run the job of the folder; 0 if it wrote an outcome."""
    job = from_json(EvalJob, json.loads((folder / JOB_FILE).read_text(encoding="utf-8")))
    allow_only(job.hosts)
    try:
        outcome = _run(job, folder)
    except _prerequisite_error() as error:
        outcome = JobOutcome("failed", 0, str(error)[:500], packages=packages())
    except (KeyboardInterrupt, asyncio.CancelledError):
        outcome = JobOutcome("cancelled", 0, "interrupted", packages=packages())
    (folder / OUTCOME_FILE).write_text(json.dumps(to_json(outcome)), encoding="utf-8")
    return 0


def _prerequisite_error() -> type[Exception]:
    """What inspect raises for an unknown task or a missing package."""
    from inspect_ai._util.error import PrerequisiteError

    return PrerequisiteError


def packages() -> dict[str, str]:
    """The versions of the packages that decide a result."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _run(job: EvalJob, folder: Path) -> JobOutcome:
    from inspect_ai import eval as evaluate
    from inspect_ai.model import get_model

    tasks: list[Task] | str = _tasks(job, folder) if job.task is None else job.task
    if job.verify:
        from modelscan.evals.inspect.scripted import scripted_model

        model: Any = scripted_model(job)
    else:
        from modelscan.evals.inspect.endpoint import PROVIDER

        model = get_model(
            f"{PROVIDER}/{job.model}",
            base_url=job.base_url,
            api_key=os.environ.get(KEY_VARIABLE) or "none",
            service=PROVIDER,
            stream=True,
            socket_path=job.socket_path,
            tls=job.tls,
        )
    logs = evaluate(
        tasks, model, display="none", log_dir=str(folder / "logs"), log_level="error",
        log_format="json", limit=job.limit, epochs=job.epochs, fail_on_error=False,
        max_connections=job.connections, max_samples=job.connections,
        max_tasks=len(job.suites) or 1, score_display=False, acp_server=False, ctl_server=False,
        log_realtime=False, log_model_api=False, log_samples=True, **_generation(job),
    )  # fmt: skip
    if job.task is not None:
        _write_rows(logs, folder)
    return _outcome(logs)


def _generation(job: EvalJob) -> dict[str, Any]:
    if job.verify:
        return {}
    values: dict[str, Any] = {
        "temperature": job.generation.temperature,
        "seed": job.generation.seed,
        "max_retries": 2,
        "timeout": 3600,
    }
    if job.generation.max_tokens is not None:
        values["max_tokens"] = job.generation.max_tokens
    if job.generation.extra_body:
        values["extra_body"] = dict(job.generation.extra_body)
    return values


def _tasks(job: EvalJob, folder: Path) -> list[Task]:
    from modelscan.evals.inspect.own import own_tasks
    from modelscan.evals.inspect.rows import writer

    return own_tasks(job, writer(folder / ROWS_FILE))


def _write_rows(logs: list[EvalLog], folder: Path) -> None:
    """The rows of a task of another package: the value of its first scorer."""
    from modelscan.evals.inspect.foreign import foreign_rows
    from modelscan.evals.inspect.rows import writer

    write = writer(folder / ROWS_FILE)
    for log in logs:
        for row in foreign_rows(log):
            write(row)


def _outcome(logs: list[EvalLog]) -> JobOutcome:
    """The end of all tasks as one: cancelled or failed if one of them is."""
    statuses = {log.status for log in logs}
    status: Any = "finished"
    if "cancelled" in statuses or "started" in statuses:
        status = "cancelled"
    elif statuses != {"success"}:
        status = "failed"
    reasons = [log.error.message for log in logs if log.error is not None]
    first = logs[0] if logs else None
    return JobOutcome(
        status=status,
        samples=sum(_expected(log) for log in logs),
        reason=reasons[0][:500] if reasons else None,
        errors=tuple(_errors(logs))[:_SHOWN_ERRORS],
        packages=packages(),
        log_file=_log_file(first),
        task_version=str(first.eval.task_version) if first else None,
        metrics=_metrics(first) if first else {},
    )


def _expected(log: EvalLog) -> int:
    return (log.results.total_samples if log.results else 0) or 0


def _errors(logs: list[EvalLog]) -> list[str]:
    samples = [sample for log in logs for sample in log.samples or ()]
    return [f"{one.id}: {one.error.message[:300]}" for one in samples if one.error is not None]


def _log_file(log: EvalLog | None) -> str | None:
    return str(log.location).removeprefix("file://") if log and log.location else None


def _metrics(log: EvalLog) -> dict[str, float]:
    """The metrics of a task as inspect computed them, ``scorer/metric`` each."""
    if log.results is None:
        return {}
    return {
        f"{score.name}/{name}": float(metric.value)
        for score in log.results.scores
        for name, metric in score.metrics.items()
        if isinstance(metric.value, (int, float))
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
