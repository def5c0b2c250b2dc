"""Deployment: is it healthy, is it what was promised, how does one connect?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.core.deployment_state import State
from modelscan.deploy.answers import DeploymentShown, MemoryRow
from modelscan.gateway.control.deployment_jobs import DeploymentJob
from modelscan.gateway.top.overview import TopRow
from modelscan.web.charts.bar import Piece
from modelscan.web.visit import View, Visit

_GROUPS = {
    "weights": "weights", "kv_cache": "kv_cache", "kv_pool": "kv_cache",
    "recurrent_state": "kv_cache", "compute": "compute", "output": "compute",
    "cuda_graphs": "compute", "non_torch": "runtime",
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
        "memory": memory, "client": client, "job": answer.job,
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
