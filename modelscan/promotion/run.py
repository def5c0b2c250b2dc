"""``registry promote``: the steps carried out, each recorded before and after.

A step that fails before the switch leaves the route and the aliases as they were. A command that
is killed leaves its row: the same command goes on from there, and ``registry rollback`` takes it
back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.promotion import effects, switching, trial
from modelscan.promotion.aliases import move_aliases, set_challenger
from modelscan.promotion.progress import next_step, with_step
from modelscan.promotion.route_edits import RouteEdits
from modelscan.promotion.tools import PromotionTools, StepDone
from modelscan.promotion.types import Promotion, StepName
from modelscan.state.clock import now_text


@dataclass(slots=True)
class Promoter(PromotionTools):
    """Carries out the steps of one promotion; the caller holds the route's lock."""

    def run(self, promotion: Promotion) -> Promotion:
        """Carry out what is left; the promotion as it ended.

        A gate that is not met ends it as ``refused``. Raises the error of a step that could not
        be carried out (and KeyboardInterrupt), after everything was taken back.
        """
        while (name := next_step(promotion)) is not None:
            promotion = self._begin(promotion, name)
            try:
                done = STEP_FUNCTIONS[name](self, promotion)
            except (ModelscanError, KeyboardInterrupt) as error:
                reason = error.message if isinstance(error, ModelscanError) else "interrupted"
                self._end(promotion, name, StepDone("failed", reason))
                raise
            promotion = self.store.last(promotion.route, "running") or promotion
            if done.state == "failed":
                return self._end(promotion, name, done)
            promotion = self._after(promotion, name, done)
        promotion = replace(promotion, state="promoted", updated_at=now_text())
        self.store.finish(promotion)
        return promotion

    def _begin(self, promotion: Promotion, name: StepName) -> Promotion:
        self.say(f"{promotion.name} for {promotion.route}: {name}")
        promotion = with_step(promotion, name, "running", now_text())
        self.store.save(promotion)
        return promotion

    def _after(self, promotion: Promotion, name: StepName, done: StepDone) -> Promotion:
        promotion = with_step(promotion, name, done.state, now_text(), done.reason, done.data)
        if "retire_at" in done.data:
            promotion = replace(promotion, retire_at=float(done.data["retire_at"]))
        self.store.save(promotion, promotion.step(name))
        return promotion

    def _end(self, promotion: Promotion, name: StepName, done: StepDone) -> Promotion:
        promotion = with_step(promotion, name, done.state, now_text(), done.reason, done.data)
        self.store.save(promotion, promotion.step(name))
        switched = promotion.step("switch") is not None
        return self.take_back(promotion, "rolled_back" if switched else "refused")

    def take_back(self, promotion: Promotion, state: str) -> Promotion:
        """Route, aliases and deployments as before; each part can be repeated."""
        before, edits = promotion.before, self.edits(promotion)
        if promotion.step("retire") is not None and before.deployment is not None:
            effects.require_running(
                self.deployments, before.deployment, promotion.options.timeout_s
            )
        old = effects.deployment_of(self.deployments, before.deployment)
        if promotion.step("canary") is not None or promotion.step("switch") is not None:
            self._route_back(promotion, edits, old)
        self._aliases_back(promotion)
        deployed = promotion.step("deploy")
        if deployed is not None:
            existed = bool(deployed.data.get("existed"))
            problem = effects.take_away(self.deployments, promotion.candidate, keep=existed)
            if problem is not None:
                self.say(problem)
        ended = replace(promotion, state=state, updated_at=now_text(), retire_at=None)  # type: ignore[arg-type]
        self.store.finish(ended)
        return ended

    def _route_back(self, promotion: Promotion, edits: RouteEdits, old: Any) -> None:
        before = promotion.before
        name = before.entry or promotion.route
        entry = None if old is None else effects.entry_of(self.deployments, old, name)
        edits.restore(entry)
        effects.set_route(self.deployments, promotion.candidate, None)
        if old is not None:
            effects.set_route(self.deployments, old.name, name)

    def _aliases_back(self, promotion: Promotion) -> None:
        deployed, moved = promotion.step("deploy"), promotion.step("aliases")
        with self.database.writing() as connection:
            if moved is not None and "before" in moved.data:
                move_aliases(connection, self.who, promotion.slug, moved.data["before"])
            if deployed is not None and "challenger" in deployed.data:
                set_challenger(connection, self.who, promotion.slug, deployed.data["challenger"])


STEP_FUNCTIONS: Mapping[StepName, Callable[[PromotionTools, Promotion], StepDone]] = {
    "check": trial.check, "deploy": trial.deploy, "verify": trial.verify, "bench": trial.bench,
    "evaluate": trial.evaluate, "canary": switching.canary, "switch": switching.switch,
    "aliases": switching.aliases, "retire": switching.retire,
}  # fmt: skip
