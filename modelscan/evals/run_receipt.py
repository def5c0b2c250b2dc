"""The receipt of a run: what exactly was measured, and what the gateway recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.bench.hardware import hardware_here
from modelscan.engines import llamacpp
from modelscan.engines.speed_history import devices_of
from modelscan.evals.items import EvalSuite, SandboxKind
from modelscan.evals.job import SampleRow
from modelscan.evals.options import ChosenPolicy, EvalOptions
from modelscan.evals.process import JobResult
from modelscan.evals.receipts import answered_by, cost_of, trace_ids
from modelscan.evals.report import EvalReceipt, EvalReport, GenerationSettings
from modelscan.evals.subject import EvalSubject
from modelscan.state.config import Config
from modelscan.traces.pricing import pricer

if TYPE_CHECKING:
    from modelscan.core.receipt import Receipt


def caches_prompts(subject: EvalSubject) -> bool:
    """Whether the server is a llama.cpp, which reuses prompts unless a request forbids it."""
    return (subject.engine or "").startswith(llamacpp.NAME)


def receipt_of(
    suite: EvalSuite,
    subject: EvalSubject,
    options: EvalOptions,
    sandbox: SandboxKind | None,
    policy: ChosenPolicy,
    result: JobResult,
    started_at: str,
    *,
    reuse: bool = False,
) -> EvalReceipt:
    """What was measured, as far as it is known. ``reuse``: of earlier prompts, by the server."""
    served = {row.served_model for row in result.rows if row.served_model}
    return EvalReceipt(
        route=options.route,
        endpoint=subject.endpoint,
        requested_model=subject.model,
        served_model=min(served) if len(served) == 1 else None,
        provider=subject.provider,
        engine=subject.engine,
        model=subject.known_model,
        revision=subject.revision,
        sha256=subject.sha256,
        quantization=subject.quantization,
        context_tokens=subject.context_tokens,
        parallel=subject.parallel,
        memory_bytes=subject.memory_bytes,
        thinking=options.thinking,
        hardware=None,
        host_load=None,
        foreign_requests=None,
        system_prompt_sha256=suite.system_sha256,
        generation=GenerationSettings(
            options.temperature,
            options.seed,
            options.max_tokens or suite.max_tokens,
            reuse if caches_prompts(subject) else None,
        ),
        epochs=options.epochs,
        tool_policy=policy.policy,
        sandbox=sandbox,
        packages=result.outcome.packages,
        started_at=started_at,
    )


def hardware_of(subject: EvalSubject, config: Config) -> str | None:
    """The devices of the deployment, else of this machine, where the server is here."""
    if not subject.local:
        return None
    plan = subject.deployment.plan if subject.deployment else None
    here = hardware_here(config)
    return devices_of(plan.gpus if plan else [gpu.index for gpu in here.gpus], here)


def with_receipts(
    report: EvalReport,
    rows: Sequence[SampleRow],
    subject: EvalSubject,
    receipts: Mapping[str, Receipt],
    config: Config,
) -> EvalReport:
    """The report with its cost, and the ids of the requests where a gateway recorded them."""
    cost, source = cost_of(rows, receipts, subject, pricer(config))
    tasks = tuple(
        replace(task, trace_id=next(reversed(trace_ids(row)), None) if subject.gateway else None)
        for task, row in zip(report.tasks, rows, strict=True)
    )
    several = answered_by(receipts)[1:]
    warning = f"several entries answered: {report.receipt.provider}"
    return replace(
        report, cost_usd=cost, cost_source=source, tasks=tasks,
        warnings=(*report.warnings, *((warning,) if several else ())),
    )  # fmt: skip
