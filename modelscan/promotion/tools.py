"""What the steps of a promotion work with, and how each of them ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.deployment import Deployment
from modelscan.core.errors import RemoteError
from modelscan.deploy.deployments import Deployments
from modelscan.promotion import effects
from modelscan.promotion.progress import with_step
from modelscan.promotion.route_edits import RouteEdits
from modelscan.promotion.store import PromotionStore
from modelscan.promotion.types import Promotion, StepName, StepState
from modelscan.registry.stored import find_version
from modelscan.registry.types import ModelVersion
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase


@dataclass(frozen=True, slots=True)
class StepDone:
    """How a step ended."""

    state: StepState
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class PromotionTools:
    """This machine and its records, for the steps of a promotion; ``who`` is the actor."""

    config: Config
    database: ServerDatabase
    deployments: Deployments
    who: Actor
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep

    @property
    def store(self) -> PromotionStore:
        """The rows of promotions."""
        return PromotionStore(self.database, self.who)

    def edits(self, promotion: Promotion) -> RouteEdits:
        """The edits of the routing file that this promotion makes."""
        kept = self.config.paths.state / "promotions" / f"{promotion.id}.yaml"
        return RouteEdits(
            self.config.routing_file, kept, promotion.route, promotion.candidate, promotion.before
        )

    def note(self, promotion: Promotion, name: StepName, **data: Any) -> Promotion:
        """Record what a step that still runs must know if it is killed now."""
        promotion = with_step(promotion, name, "running", now_text(), None, data)
        self.store.save(promotion)
        return promotion

    def version(self, promotion: Promotion) -> ModelVersion:
        """The version that is promoted."""
        with self.database.reading() as connection:
            return find_version(connection, promotion.slug, int(promotion.version))

    def candidate(self, promotion: Promotion) -> Deployment:
        """The candidate; raises RemoteError where it does not run."""
        row = effects.deployment_of(self.deployments, promotion.candidate)
        if row is None or row.endpoint is None or row.state.value != "running":
            state = "gone" if row is None else row.state.value
            raise RemoteError(
                f"the candidate {promotion.candidate} is {state}",
                hint=f"modelscan logs {promotion.candidate}",
                code="candidate_ended",
            )
        return row
