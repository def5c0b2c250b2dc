"""A run, and what it teaches this machine: the speed of one request, for later estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.bench.hardware import hardware_here
from modelscan.bench.place import find_place
from modelscan.bench.report import BenchPoint, BenchReport
from modelscan.bench.request import BenchRequest, Progress
from modelscan.bench.run import measure
from modelscan.core.measurement import SpeedMeasurement
from modelscan.engines.speed_history import computed_speed, devices_of

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.gpu import Inventory
    from modelscan.state.config import Config

_LEAST_PROMPT = 64  # computed tokens from which a prompt tells the prefill's speed
_LEAST_ANSWER = 8


def run_and_learn(
    request: BenchRequest, config: Config, progress: Progress, *, store: bool
) -> BenchReport:
    """Measure a route, record the speed of its deployment, and store the results if requested.

    Raises UsageError, AuthError, OfflineError like ``find_place``, RemoteError where the server
    answers no request.
    """
    if store:
        from modelscan.state.server.extra import require_extra

        require_extra("storing results")
    place = find_place(request.route, request.api_key, config)
    report = measure(place, request, config, progress)
    learn_speed(report, place.deployment, config)
    if store:
        from modelscan.bench.stored import ingest_report

        ingest_report(report, config)
    return report


def learn_speed(report: BenchReport, deployment: Deployment | None, config: Config) -> bool:
    """Record the speed of a deployment of this machine; False where the run does not tell it."""
    if deployment is None or deployment.target not in ("local", deployment.backend):
        return False
    measured = speed_measured(report, deployment, hardware_here(config))
    if measured is None:
        return False
    from modelscan.state.store import Store

    with Store.open(config.paths.store_file) as store:
        store.put_speed(measured)
    return True


def speed_measured(
    report: BenchReport, deployment: Deployment, hardware: Inventory
) -> SpeedMeasurement | None:
    """The speed of one request at a time. Pure; None without such a point, if another client was
    served meanwhile, or if the load generator was at its limit."""
    plan = deployment.plan
    one = next((one for one in report.points if one.concurrency == 1), None)
    if plan is None or one is None or one.client_limited or report.receipt.foreign_requests:
        return None
    decode = one.decode_tokens_per_s if (one.completion_tokens or 0) >= _LEAST_ANSWER else None
    prefill = _prefill(one)
    if decode is None and prefill is None:
        return None
    speed = plan.estimate.speed
    return SpeedMeasurement(
        deployment=deployment.name,
        observed_at=report.observed_at,
        model=plan.estimate.model,
        backend=deployment.backend,
        backend_version=plan.estimate.backend_version,
        quantization=plan.estimate.quantization,
        devices=devices_of([one.index for one in plan.estimate.per_gpu], hardware),
        context_tokens=deployment.context_tokens,
        prompt_tokens=None if one.prompt_tokens is None else round(one.prompt_tokens),
        decode_tokens_per_s=decode,
        prefill_tokens_per_s=prefill,
        estimated_decode_tokens_per_s=computed_speed(speed, "decode"),
        estimated_prefill_tokens_per_s=computed_speed(speed, "prefill"),
        report_id=report.report_id,
    )


def _prefill(one: BenchPoint) -> float | None:
    """Tokens per second of the prompt, by the engine's own time where it states it."""
    computed = (one.prompt_tokens or 0) - (one.cached_tokens or 0)
    if computed < _LEAST_PROMPT:
        return None
    check = one.server_check
    if check is not None and check.source == "timings" and check.prompt_s:
        return round(computed / check.prompt_s, 2)
    return one.prefill_tokens_per_s
