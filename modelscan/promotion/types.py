"""A promotion as it is recorded: what was asked, what each step did, what the route served before.

Pure. One row per promotion; a command that was killed continues from its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

StepName = Literal[
    "check", "deploy", "verify", "bench", "evaluate", "canary", "switch", "aliases", "retire"
]
StepState = Literal["running", "done", "skipped", "failed", "unknown"]
PromotionState = Literal["running", "promoted", "refused", "rolled_back"]
RouteKind = Literal["entry", "role", "new"]
STEPS: tuple[StepName, ...] = (
    "check", "deploy", "verify", "bench", "evaluate", "canary", "switch", "aliases", "retire",
)  # fmt: skip
REVERSIBLE: tuple[StepName, ...] = ("check", "deploy", "verify", "bench", "evaluate", "canary")
"""The steps before the switch: where one fails, the route is as it was."""


@dataclass(frozen=True, slots=True)
class PromotionGate:
    """``SUITE>=THRESHOLD``; ``suite`` may be a workload with checks."""

    suite: str
    threshold: float


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """``share`` of the route's requests for ``seconds``."""

    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PromotionOptions:
    """What was asked. ``keep_s``: how long what the route served before keeps running."""

    gates: tuple[PromotionGate, ...] = ()
    margin: float = 0.02
    canary: CanaryOptions | None = None
    keep_s: float = 0.0
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class PromotionStep:
    """One step and how it went; ``at``: RFC 3339, when its state last changed."""

    step: StepName
    state: StepState
    at: str
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServedBefore:
    """What the route led to: the entry of the routing file, its deployment, the version."""

    kind: RouteKind
    entry: str | None = None
    deployment: str | None = None
    version: str | None = None  # SLUG@V


@dataclass(frozen=True, slots=True)
class Promotion:
    """``candidate`` is the deployment (and entry) that is tried. ``retire_at``: UNIX time at which
    what was served before is stopped; None: it is not, or was.
    """

    id: str
    route: str
    slug: str
    version: str
    options: PromotionOptions
    candidate: str
    before: ServedBefore
    state: PromotionState = "running"
    steps: tuple[PromotionStep, ...] = ()
    started_at: str = ""
    updated_at: str = ""
    retire_at: float | None = None

    @property
    def name(self) -> str:
        """``SLUG@V``."""
        return f"{self.slug}@{self.version}"

    def step(self, name: StepName) -> PromotionStep | None:
        """A step that was begun."""
        return next((one for one in self.steps if one.step == name), None)

    @property
    def eval_id(self) -> str | None:
        """The run of the first gate on the candidate."""
        step = self.step("evaluate")
        rows = (step.data.get("gates") if step else None) or ()
        return next((str(row["eval_id"]) for row in rows if row.get("eval_id")), None)


@dataclass(frozen=True, slots=True)
class PromotionShown:
    """``registry.promote``. ``previous`` and ``current``: SLUG@V, else a deployment's name; None:
    the route served nothing, or serves nothing.
    """

    id: str
    route: str
    version: str
    state: PromotionState
    candidate: str
    previous: str | None
    current: str | None
    eval_id: str | None
    steps: tuple[PromotionStep, ...]
    reason: str | None
    changed: bool
    warnings: tuple[str, ...] = ()


def shown(promotion: Promotion, *, changed: bool = True) -> PromotionShown:
    """A promotion as it is printed."""
    before = promotion.before.version or promotion.before.deployment
    failed = next((one for one in promotion.steps if one.state == "failed"), None)
    unknown = [f"{one.step}: {one.reason}" for one in promotion.steps if one.state == "unknown"]
    return PromotionShown(
        id=promotion.id,
        route=promotion.route,
        version=promotion.name,
        state=promotion.state,
        candidate=promotion.candidate,
        previous=before,
        current=promotion.name if promotion.state == "promoted" else before,
        eval_id=promotion.eval_id,
        steps=promotion.steps,
        reason=failed.reason if failed else None,
        changed=changed,
        warnings=tuple(unknown),
    )
