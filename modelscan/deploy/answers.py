"""The answers of the deployment commands, as values with one JSON form."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelscan.core.deployment import Deployment, Measured, MeasuredParts
from modelscan.core.deployment_state import State
from modelscan.core.estimate import Estimate
from modelscan.core.measurement import SpeedMeasurement
from modelscan.core.plan import Plan
from modelscan.core.route import Route
from modelscan.deploy.rows import DeploymentRow
from modelscan.targets.base import Preview

_PARTS = (
    ("weights", "weights_bytes"), ("kv_cache", "kv_cache_bytes"),
    ("recurrent_state", "recurrent_state_bytes"), ("compute", "compute_bytes"),
    ("output", "output_bytes"), ("kv_pool", "kv_pool_bytes"), ("non_torch", "non_torch_bytes"),
    ("cuda_graphs", "cuda_graph_bytes"),
)  # fmt: skip
_REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
    "embedding": ("/v1/embeddings", {"input": "Hello"}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Hello", "Goodbye"]}),
}


@dataclass(frozen=True, slots=True)
class Removed:
    """The names of the deployments that were removed."""

    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adopted:
    """The deployment that was added to this machine's records."""

    deployment: DeploymentRow


@dataclass(frozen=True, slots=True)
class Updated:
    """The changed deployment and the request body that its cluster has now."""

    deployment: DeploymentRow
    launch: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server on this machine that modelscan did not start; None where it does not report."""

    name: str | None
    engine: str
    engine_version: str | None
    endpoint: str
    port: int
    served_model: str | None
    context_tokens: int | None
    path: str | None
    needs_key: bool
    deployment: str | None


@dataclass(frozen=True, slots=True)
class Discovered:
    """The servers that answer on this machine, and the deployment that was adopted."""

    servers: tuple[FoundServer, ...]
    adopted: DeploymentRow | None


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of an engine's log."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """A part of the memory, or the total: estimated, and measured by the engine; in bytes."""

    part: str
    estimated_bytes: int | None
    measured_bytes: int | None
    difference_bytes: int | None
    difference_fraction: float | None


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """The speed of one request in tokens per second: estimated, and measured by ``bench run``.

    ``what``: decode or prefill. ``runs``: of the deployment as it is, of which the last is shown.
    """

    what: str
    estimated_tokens_per_s: float | None
    measured_tokens_per_s: float | None
    difference_fraction: float | None
    runs: int
    observed_at: str | None
    report_id: str | None


@dataclass(frozen=True, slots=True)
class DeploymentShown:
    """One deployment with everything recorded about it."""

    deployment: DeploymentRow
    plan: Plan | None
    estimate: Estimate | None
    measured: Measured | None
    memory: tuple[MemoryRow, ...]
    speed: tuple[SpeedRow, ...]
    route: Route | None
    launch: Preview | None
    curl: str | None


@dataclass(frozen=True, slots=True)
class Deployed:
    """The deployment after ``deploy``; ``launch`` is the process or request of a dry run."""

    deployment: DeploymentRow
    plan: Plan | None
    route: Route | None
    measured: Measured | None
    memory: tuple[MemoryRow, ...]
    speed: tuple[SpeedRow, ...]
    curl: str | None
    changed: bool
    dry_run: bool
    launch: Preview | None


def memory_rows(deployment: Deployment) -> tuple[MemoryRow, ...]:
    """Estimated and measured bytes, per part and in total; None where one is unknown."""
    measured = deployment.measured or Measured()
    estimate = deployment.plan.estimate if deployment.plan else None
    reported = measured.parts or MeasuredParts()
    rows = [_compare(label, _estimated(estimate, key), getattr(reported, key))
            for label, key in _PARTS]  # fmt: skip
    shown = [row for row in rows if row.estimated_bytes or row.measured_bytes]
    total = estimate.total_bytes if estimate else None
    return (*shown, _compare("total", total, measured.total_bytes))


def speed_rows(deployment: Deployment, speeds: Sequence[SpeedMeasurement]) -> tuple[SpeedRow, ...]:
    """Estimated and measured speed; () where neither is known.

    ``speeds`` are all measured ones, the oldest first; those of the deployment as it is count.
    """
    own = [one for one in speeds if _is_of(one, deployment)]
    speed = deployment.plan.estimate.speed if deployment.plan else None
    rows = [
        _compare_speed(what, getattr(speed, f"{what}_tokens_per_s", None),
                       [one for one in own if getattr(one, f"{what}_tokens_per_s") is not None])
        for what in ("decode", "prefill")
    ]  # fmt: skip
    known = [row for row in rows if row.estimated_tokens_per_s or row.measured_tokens_per_s]
    return tuple(known)


def _is_of(measured: SpeedMeasurement, deployment: Deployment) -> bool:
    """Whether it was measured with the deployment's present model and options."""
    return (
        measured.deployment == deployment.name
        and measured.backend == deployment.backend
        and measured.quantization == deployment.quantization
        and measured.observed_at >= deployment.created_at
    )


def _compare_speed(
    what: str, estimated: float | None, measured: Sequence[SpeedMeasurement]
) -> SpeedRow:
    if not measured:
        return SpeedRow(what, estimated, None, None, 0, None, None)
    last = measured[-1]
    value: float | None = getattr(last, f"{what}_tokens_per_s")
    fraction = round(value / estimated - 1, 4) if value and estimated else None
    return SpeedRow(
        what, estimated, value, fraction, len(measured), last.observed_at, last.report_id
    )


def _estimated(estimate: Estimate | None, key: str) -> int | None:
    """A part of the estimate; ``kv_pool_bytes`` is the pool that vLLM and SGLang reserve."""
    if key == "kv_pool_bytes":
        return sum(device.kv_pool_bytes or 0 for device in (estimate.per_gpu if estimate else ()))
    value: int | None = getattr(estimate.parts, key) if estimate else None
    return value


def _compare(part: str, estimated: int | None, measured: int | None) -> MemoryRow:
    if estimated is None or measured is None:
        return MemoryRow(part, estimated, measured, None, None)
    difference = measured - estimated
    fraction = round(difference / estimated, 4) if estimated else None
    return MemoryRow(part, estimated, measured, difference, fraction)


def curl_line(deployment: Deployment) -> str | None:
    """A curl command that sends the deployment a request; None if nothing can answer."""
    ended = deployment.state in (State.STOPPED, State.STOPPING, State.FAILED)
    if deployment.endpoint is None or ended:
        return None
    path, body = _REQUESTS.get(deployment.task, _REQUESTS["chat"])
    data = json.dumps({"model": deployment.served_model or deployment.model, **body})
    words = ["curl", f"{deployment.endpoint}{path}", *_key_header(deployment.api_key)]
    words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(data)]
    return " ".join(words)


def _key_header(reference: str | None) -> list[str]:
    if reference is None:
        return []
    scheme, _, rest = reference.partition(":")
    value = f"${rest}" if scheme == "env" else f"$(cat {shlex.quote(rest)})"
    return ["-H", f'"Authorization: Bearer {value}"']
