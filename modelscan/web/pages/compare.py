"""Compare: two to four models on a machine, or one model on several machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import Decision
from modelscan.web.charts.bar import Piece, pieces_of
from modelscan.web.pages.model import ENGINES
from modelscan.web.visit import View, Visit

MOST = 4


@dataclass(frozen=True, slots=True)
class Compared:
    """A model on a machine: its decision, or why there is none."""

    model: str
    gpu: str
    decision: Decision | None
    error: ModelscanError | None = None

    @property
    def bars(self) -> list[tuple[str, list[Piece], int]]:
        """A bar per different device of the plan: name, parts, free bytes."""
        plan = self.decision.plan if self.decision else None
        if plan is None:
            return []
        estimate = plan.estimate
        devices = estimate.per_gpu[:1] or ((estimate.host,) if estimate.host else ())
        each = ", each" if len(estimate.per_gpu) > 1 else ""
        return [
            ("System memory" if one.index is None else f"GPU{each}", pieces_of(one),
             one.free_bytes or one.memory_bytes or 0)
            for one in devices
        ]  # fmt: skip


def pairs(visit: Visit) -> list[tuple[str, str]]:
    """The models and machines of a query: at most four."""
    models = [one for one in visit.repeated.get("model", ()) if one] or [""]
    gpus = visit.repeated.get("gpu", ()) or ("",)
    if len(models) > 1:
        return [(model, gpus[0]) for model in models[:MOST]]
    return [(models[0], gpu) for gpu in dict.fromkeys(gpus)][:MOST]


def view(visit: Visit, rows: Sequence[Compared]) -> View:
    """The page: all bars have one scale, so that their lengths can be compared."""
    sizes = [max(sum(piece.size for piece in parts), free)
             for row in rows for _, parts, free in row.bars]  # fmt: skip
    fastest = [row.decision.plan.estimate.speed for row in rows
               if row.decision and row.decision.plan
               and row.decision.plan.estimate.speed]  # fmt: skip
    return View("compare.html", {
        "title": "Compare", "rows": rows, "engines": ENGINES, "scale": max(sizes, default=1) or 1,
        "top_speed": max((one.high or one.decode_tokens_per_s or 0 for one in fastest), default=0),
        "models": [one for one in visit.repeated.get("model", ()) if one],
        "gpus": visit.repeated.get("gpu", ()),
    })  # fmt: skip
