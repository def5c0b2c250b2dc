"""A run from its request to its report."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan import __version__
from modelscan.bench.cases import case_results
from modelscan.bench.hardware import hardware_text
from modelscan.bench.load import run_loop
from modelscan.bench.place import BenchPlace
from modelscan.bench.point import sample
from modelscan.bench.report import BenchPoint, BenchReceipt, BenchReport, BenchWorkloadRun
from modelscan.bench.request import BenchRequest, Progress, check_context
from modelscan.bench.session import BenchSession
from modelscan.bench.weights_hash import weights_sha256
from modelscan.bench.workload import workload_hash
from modelscan.core.jsonform import to_json
from modelscan.state.clock import now_text
from modelscan.state.secrets import redact

if TYPE_CHECKING:
    from modelscan.state.config import Config

SOURCE = f"modelscan {__version__}"
_BUSY_HOST = 0.5  # load per CPU before a run


def measure(
    place: BenchPlace, request: BenchRequest, config: Config, progress: Progress
) -> BenchReport:
    """Measure a server and report.

    Raises RemoteError or AuthError where it answers no request, UsageError where the prompts are
    longer than its context.
    """
    served = place.deployment.context_tokens if place.deployment else None
    check_context(request, served or place.context_tokens)
    run = BenchSession(place, request, progress)
    load_before = _host_load()
    observed_at = now_text()
    run_loop(run.everything)
    hardware = hardware_text(place, config) if place.is_here else None
    receipt = replace(
        _receipt(place, run), hardware=hardware, sha256=weights_sha256(place.deployment, config),
        host_load=load_before if place.is_here else None,
        host_load_after=_host_load() if place.is_here else None,
    )  # fmt: skip
    return _report(run, receipt, observed_at)


def _host_load() -> float | None:
    """The load average of one minute; None where the system has none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _receipt(place: BenchPlace, run: BenchSession) -> BenchReceipt:
    deployment = place.deployment
    plan = deployment.plan if deployment else None
    served = next((one.served_model for one in run.results if one.served_model), None)
    version = (plan.estimate.backend_version if plan else None) or place.engine_version
    foreign = run.foreign
    return BenchReceipt(
        route=place.asked,
        endpoint=place.root,
        requested_model=place.model,
        service=place.service,
        served_model=served,
        provider=place.provider,
        deployment=deployment.name if deployment else None,
        engine=" ".join(filter(None, (place.engine_name, version))) or None,
        model=deployment.model if deployment else place.model_id,
        revision=plan.revision if plan else None,
        quantization=deployment.quantization if deployment else None,
        context_tokens=deployment.context_tokens if deployment else place.context_tokens,
        parallel=plan.parallel if plan else None,
        thinking=run.request.workload.thinking,
        foreign_requests=True if True in foreign else None if None in foreign else False,
    )


def _report(run: BenchSession, receipt: BenchReceipt, observed_at: str) -> BenchReport:
    identity = json.dumps([to_json(receipt), observed_at], sort_keys=True)
    report_id = f"b-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    workload, style = run.request.workload, run.source.style
    return BenchReport(
        report_id=report_id,
        observed_at=observed_at,
        source=SOURCE,
        receipt=receipt,
        workload=BenchWorkloadRun(
            name=workload.name,
            version=workload.version,
            hash=workload_hash(workload, run.request.seed),
            input_tokens=workload.input_tokens,
            output_tokens=workload.output_tokens,
            ignore_eos=style.ignore_eos,
            seed=run.request.seed if style.sampling else None,
            temperature=workload.temperature if style.sampling else None,
            cases=len(workload.cases),
            cache=style.cache_use(workload),
        ),
        points=tuple(run.points),
        cases=case_results(workload, run.results),
        samples=tuple(
            sample(
                one, f"{report_id}/{_label(one)}", receipt.service or receipt.route,
                receipt.served_model, workload.name, observed_at,
            )
            for one in run.points
        ),
        warnings=(*run.warnings, *_warnings(run, receipt.host_load)),
    )  # fmt: skip


def _pass_rates(run: BenchSession) -> Iterator[str]:
    least = run.request.workload.minimum_pass_rate
    for done in run.points:
        if least is not None and done.pass_rate is not None and done.pass_rate < least:
            yield (
                f"at {_label(done)}: {done.pass_rate:.0%} of the answers pass their checks, "
                f"the workload's minimum is {least:.0%}"
            )


def _label(done: BenchPoint) -> str:
    """A point's name in its report: its concurrency, or its rate."""
    if done.concurrency is not None:
        return str(done.concurrency)
    return f"{done.rate:g}/s" if done.rate is not None else "schedule"


def _warnings(run: BenchSession, load: float | None) -> Iterator[str]:
    for done in run.points:
        where = f"at {_label(done)}"
        if done.errors.total:
            reason = next((one.reason for one in run.results if one.error), None)
            why = f": {redact(reason)[:200]}" if reason else ""
            yield f"{where}: {done.errors.total} of {done.requests} requests failed{why}"
        if done.client_limited:
            yield f"{where}: the load generator was at its limit, the server may be faster"
        if done.server_check is not None and done.server_check.agrees is False:
            yield f"{where}: the engine's own figures differ from the measured ones"
    yield from _pass_rates(run)
    cpus = os.cpu_count() or 1
    if load is not None and load > _BUSY_HOST * cpus:
        yield f"this machine was busy before the run: load {load:g} on {cpus} CPUs"
    if True in run.foreign:
        yield "other requests ran on the server meanwhile"
    expected = run.request.workload.output_tokens
    tokens = [one.completion_tokens for one in run.results if one.completion_tokens is not None]
    if expected and tokens and run.request.workload.ignore_eos and min(tokens) < expected:
        yield (
            f"answers have {min(tokens)} to {max(tokens)} tokens instead of {expected}: "
            "the server ends them itself"
        )
