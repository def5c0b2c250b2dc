"""Deployment: is it healthy, is it what was promised, how does one connect?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelscan.core.deployment import Measured, MeasuredParts
from modelscan.core.deployment_state import State
from modelscan.deploy.answers import DeploymentShown, MemoryRow
from modelscan.gateway.control.deployment_jobs import DeploymentJob
from modelscan.gateway.top.overview import TopRow
from modelscan.gateway.top.shares import measured_parts
from modelscan.web.charts.bar import Piece, pieces_of
from modelscan.web.pages.courses import Courses
from modelscan.web.pages.model import CACHES, CONTEXTS
from modelscan.web.visit import View, Visit

_GROUPS = {
    "weights": "weights", "kv_cache": "kv_cache", "kv_pool": "kv_cache",
    "recurrent_state": "kv_cache", "compute": "compute", "output": "compute",
    "cuda_graphs": "compute", "cuda_graph": "compute", "non_torch": "runtime",
}  # fmt: skip
_NAMES = {"weights": "Weights", "kv_cache": "KV cache", "compute": "Compute buffers",
          "runtime": "Driver and runtime"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClientSnippet:
    """How one client is configured for the endpoint: the files' text."""

    client: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DeploymentAnswer:
    """Everything that the page shows; ``log``: the last lines, ``log_error``: why there are
    none.
    """

    shown: DeploymentShown
    now: TopRow | None
    log: tuple[str, ...]
    log_error: str | None
    snippets: tuple[ClientSnippet, ...]
    job: DeploymentJob | None
    endpoint: str
    courses: Courses


def view(visit: Visit, answer: DeploymentAnswer) -> View:
    """The page."""
    row = answer.shown.deployment
    memory = answer.shown.memory
    client = visit.text("client") or (answer.snippets[0].client if answer.snippets else "")
    return View("deployment.html", {
        "title": row.name, "answer": answer, "shown": answer.shown, "row": row, "now": answer.now,
        "estimated": pieces(memory, "estimated_bytes"),
        "measured": pieces(memory, "measured_bytes"),
        "total": next((one for one in memory if one.part == "total"), None),
        "memory": memory, "devices": device_pairs(answer.shown), "client": client,
        "job": answer.job,
        "changeable": row.target == "local" and answer.shown.plan is not None,
        "contexts": CONTEXTS, "caches": CACHES,
        "runs": row.state in (State.RUNNING, State.STARTING),
    })  # fmt: skip


def pieces(rows: Sequence[MemoryRow], column: str) -> list[Piece]:
    """A column of the memory table as parts of a bar."""
    sizes: dict[str, int] = {}
    pool = any(one.part == "kv_pool" and getattr(one, column) for one in rows)
    for row in rows:
        kind = _GROUPS.get(row.part)
        value = getattr(row, column)
        if kind is None or not value or (pool and row.part == "kv_cache"):
            continue
        sizes[kind] = sizes.get(kind, 0) + value
    return [Piece(kind, _NAMES[kind], size) for kind, size in sizes.items()]


@dataclass(frozen=True, slots=True)
class DevicePair:
    """One GPU of a deployment, or host memory: what was promised, and what its engine measured."""

    name: str
    estimated: tuple[Piece, ...]
    measured: tuple[Piece, ...]

    @property
    def sizes(self) -> tuple[float, float]:
        """The bytes of both bars."""
        return sum(one.size for one in self.estimated), sum(one.size for one in self.measured)


def device_pairs(shown: DeploymentShown) -> list[DevicePair]:
    """A pair of bars per device, where there is more than one."""
    estimate, measured = shown.estimate, shown.measured or Measured()
    if estimate is None or len(estimate.per_gpu) < 2:
        return []
    reported = measured_parts(measured, shown.deployment.gpus)
    devices = [*estimate.per_gpu, *([estimate.host] if estimate.host else [])]
    return [
        DevicePair(
            "System memory" if one.index is None else f"GPU {one.index}",
            tuple(pieces_of(replace(one, budget_bytes=None))),
            tuple(_reported(reported.get(one.index, ()))),
        )
        for one in devices
    ]


def _reported(rows: Sequence[MeasuredParts]) -> Iterator[Piece]:
    sizes: dict[str, int] = {}
    for parts in rows:
        for name, kind in _GROUPS.items():
            value = getattr(parts, f"{name}_bytes", None) or 0
            if name == "kv_cache" and parts.kv_pool_bytes:
                continue
            sizes[kind] = sizes.get(kind, 0) + value
    return (Piece(kind, _NAMES[kind], size) for kind, size in sizes.items() if size)
