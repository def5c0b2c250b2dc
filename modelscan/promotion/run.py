"""``registry promote``: the steps carried out, each recorded before and after.

A step that fails before the switch leaves the route and the aliases as they were. A command that
is killed leaves its row: the same command goes on from there, and ``registry rollback`` takes it
back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.adapter import failures
from modelscan.core.errors import ModelscanError, NotDeployableError, RemoteError
from modelscan.core.jsonform import to_json
from modelscan.deploy.adapters import check_adapter
from modelscan.deploy.deployments import Deployments
from modelscan.hub import checksums
from modelscan.promotion import effects
from modelscan.promotion.aliases import CHALLENGER, PREVIOUS, move_aliases, set_challenger
from modelscan.promotion.canary import judge_canary
from modelscan.promotion.candidate import (
    adapter_name,
    candidate_model,
    place_of,
    request_of,
)
from modelscan.promotion.gates import judge
from modelscan.promotion.progress import next_step, with_step
from modelscan.promotion.route_edits import RouteEdits
from modelscan.promotion.store import PromotionStore
from modelscan.promotion.types import Promotion, StepName, StepState
from modelscan.registry.resolve import CHAMPION
from modelscan.registry.stored import find_model, find_version
from modelscan.registry.types import ModelVersion
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.paths import expand
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class StepDone:
    """How a step ended."""

    state: StepState
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Promoter:
    """Carries out the steps of one promotion; the caller holds the route's lock."""

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

    def run(self, promotion: Promotion) -> Promotion:
        """Carry out what is left; the promotion as it ended.

        A gate that is not met ends it as ``refused``. Raises the error of a step that could not
        be carried out (and KeyboardInterrupt), after everything was taken back.
        """
        while (name := next_step(promotion)) is not None:
            promotion = self._begin(promotion, name)
            try:
                done = _STEPS[name](self, promotion)
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

    def _note(self, promotion: Promotion, name: StepName, **data: Any) -> Promotion:
        """Record what a step that still runs must know if it is killed now."""
        promotion = with_step(promotion, name, "running", now_text(), None, data)
        self.store.save(promotion)
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

    # Steps

    def _version(self, promotion: Promotion) -> ModelVersion:
        with self.database.reading() as connection:
            return find_version(connection, promotion.slug, int(promotion.version))

    def check(self, promotion: Promotion) -> StepDone:
        """The files are those that were registered; an adapter fits its base and its engine."""
        version = self._version(promotion)
        changed = changed_files(version)
        if changed is not None:
            raise NotDeployableError(
                f"the files of {version.name} are not those that were registered: {changed}",
                hint=f"modelscan registry version add {version.slug} --from {place_of(version)}",
                code="changed_files",
            )
        model = candidate_model(self.database, version)
        if model.adapter is None:
            return StepDone("done", "the files are those that were registered")
        checked = check_adapter(model.adapter, model.model, self.config)
        failed = failures(checked.checks)
        if failed:
            raise NotDeployableError(
                f"the adapter of {version.name} does not run here: {failed[0].reason}",
                hint=f"modelscan registry check-adapter {model.adapter} --base {model.model}",
                code="adapter",
                details={"checks": to_json(checked.checks)},
            )
        return StepDone("done", f"the adapter fits {checked.base} and {checked.backend}")

    def deploy(self, promotion: Promotion) -> StepDone:
        """Run the candidate under its own name, without an entry in the routing file."""
        version, name = self._version(promotion), promotion.candidate
        begun = promotion.step("deploy")
        existed = effects.deployment_of(self.deployments, name) is not None
        known = begun is not None and "existed" in begun.data
        existed = bool(begun.data["existed"]) if begun is not None and known else existed
        with self.database.reading() as connection:
            before = find_model(connection, version.slug).aliases.get(CHALLENGER)
        if not known:
            promotion = self._note(promotion, "deploy", existed=existed, challenger=before)
        model = candidate_model(self.database, version)
        current = effects.deployment_of(self.deployments, promotion.before.deployment)
        request = request_of(name, model, current, promotion.options.timeout_s)
        running = self.deployments.deploy(request).deployment
        effects.set_served_model(self.deployments, name, adapter_name(model, running))
        with self.database.writing() as connection:
            set_challenger(connection, self.who, version.slug, version.version)
        data = {"deployment": name, "endpoint": running.endpoint, "backend": running.backend}
        return StepDone("done", f"{name} runs at {running.endpoint}", data)

    def verify(self, promotion: Promotion) -> StepDone:
        """One request gets an answer."""
        return StepDone("done", effects.ask_once(promotion.candidate, self.config))

    def bench(self, promotion: Promotion) -> StepDone:
        """A few requests all get an answer."""
        row = effects.deployment_of(self.deployments, promotion.candidate)
        if row is not None and row.task != "chat":
            return StepDone("skipped", f"it is a {row.task} model")
        outcome = effects.short_bench(promotion.candidate, self.config, self.say)
        if outcome.errors:
            reason = f"{outcome.errors} of {outcome.requests} requests failed"
            return StepDone("failed", reason, to_json(outcome))
        speed = "" if outcome.tokens_per_s is None else f", {outcome.tokens_per_s:.3g} tokens/s"
        return StepDone("done", f"{outcome.requests} requests answered{speed}", to_json(outcome))

    def evaluate(self, promotion: Promotion) -> StepDone:
        """Every gate is met, and nothing is shown to be worse than what the route serves."""
        gates = promotion.options.gates
        if not gates:
            return StepDone("skipped", "no --gate: nothing was evaluated")
        current = promotion.before.deployment
        if current is not None:
            effects.require_running(self.deployments, current, promotion.options.timeout_s)
        results = []
        for gate in gates:
            mine = effects.run_gate(gate, promotion.candidate, self.config, self.say)
            theirs = (
                effects.run_gate(gate, current, self.config, self.say)
                if current is not None and not mine.problem
                else None
            )
            results.append(judge(gate, mine, theirs, promotion.options.margin))
        missed = [one.reason for one in results if not one.met]
        state: StepState = "failed" if missed else "done"
        reasons = missed or [one.reason for one in results]
        return StepDone(state, "; ".join(reasons), {"gates": to_json(results)})

    def canary(self, promotion: Promotion) -> StepDone:
        """A share of the route's requests, for a while: worse receipts end it."""
        asked = promotion.options.canary
        if asked is None:
            return StepDone("skipped", "no --canary: the switch is at once")
        if promotion.before.entry is None:
            return StepDone("skipped", "the route serves nothing yet")
        row = self._candidate(promotion)
        entry = effects.entry_of(self.deployments, row, promotion.candidate)
        begun = promotion.step("canary")
        since = float(begun.data.get("since") or self.clock()) if begun else self.clock()
        promotion = self._note(promotion, "canary", since=since, share=asked.share)
        self.edits(promotion).share(entry, asked.share)
        effects.set_route(self.deployments, promotion.candidate, promotion.candidate)
        return self._watched(promotion, since, asked.seconds)

    def _watched(self, promotion: Promotion, since: float, seconds: float) -> StepDone:
        """The verdict at the end, or as soon as it is clear that the candidate is worse."""
        while True:
            over = self.clock() >= since + seconds
            receipts = effects.receipts_since(self.database, promotion.route, since)
            judged = judge_canary(receipts, promotion.candidate)
            data = {"canary": to_json(judged)}
            if judged.verdict == "worse":
                return StepDone("failed", judged.reason, data)
            if over:
                state: StepState = "done" if judged.verdict == "not_worse" else "unknown"
                return StepDone(state, judged.reason, data)
            self.pause(min(_POLL_S, max(0.0, since + seconds - self.clock())))

    def switch(self, promotion: Promotion) -> StepDone:
        """The route leads to the candidate; the answer through it is looked at."""
        row = self._candidate(promotion)
        entry = effects.entry_of(self.deployments, row, promotion.candidate)
        name = promotion.candidate if promotion.before.kind == "role" else promotion.route
        self.edits(promotion).switch(entry)
        effects.set_route(self.deployments, promotion.candidate, name)
        old = promotion.before.deployment
        if old is not None and promotion.before.kind != "role":
            effects.set_route(self.deployments, old, None)
        return StepDone("done", effects.ask_once(name, self.config))

    def aliases(self, promotion: Promotion) -> StepDone:
        """champion is the candidate, previous what it was, challenger nobody."""
        begun = promotion.step("aliases")
        if begun is None or "before" not in begun.data:
            with self.database.reading() as connection:
                present = find_model(connection, promotion.slug).aliases
            names = (CHAMPION, PREVIOUS)
            promotion = self._note(promotion, "aliases", before={n: present.get(n) for n in names})
        wanted = {CHAMPION: promotion.version, PREVIOUS: _same_slug(promotion), CHALLENGER: None}
        with self.database.writing() as connection:
            move_aliases(connection, self.who, promotion.slug, wanted)
        return StepDone("done", f"champion is {promotion.name}")

    def retire(self, promotion: Promotion) -> StepDone:
        """What the route served before is stopped, now or after ``--keep-previous``."""
        old, keep_s = promotion.before.deployment, promotion.options.keep_s
        if old is None or old == promotion.candidate:
            return StepDone("skipped", "the route served nothing before")
        if keep_s > 0:
            at = self.clock() + keep_s
            return StepDone("done", f"{old} keeps running for {keep_s:g} s", {"retire_at": at})
        problem = effects.take_away(self.deployments, old, keep=True)
        return StepDone("done", problem or f"{old} is stopped")

    def _candidate(self, promotion: Promotion) -> Any:
        row = effects.deployment_of(self.deployments, promotion.candidate)
        if row is None or row.endpoint is None or row.state.value != "running":
            state = "gone" if row is None else row.state.value
            raise RemoteError(
                f"the candidate {promotion.candidate} is {state}",
                hint=f"modelscan logs {promotion.candidate}",
                code="candidate_ended",
            )
        return row


_STEPS: Mapping[StepName, Callable[[Promoter, Promotion], StepDone]] = {
    "check": Promoter.check, "deploy": Promoter.deploy, "verify": Promoter.verify,
    "bench": Promoter.bench, "evaluate": Promoter.evaluate, "canary": Promoter.canary,
    "switch": Promoter.switch, "aliases": Promoter.aliases, "retire": Promoter.retire,
}  # fmt: skip


def changed_files(version: ModelVersion) -> str | None:
    """The first local file that differs from the registered one; None: none does, or it is on a
    hub, whose revision is pinned.
    """
    if not (version.weights_url or "").startswith("file:"):
        return None
    root = expand(place_of(version))
    for one in version.files:
        file = root / one.path if root.is_dir() else root
        if not file.is_file():
            return f"{one.path} is missing"
        if one.size_bytes is not None and file.stat().st_size != one.size_bytes:
            return f"{one.path} has {file.stat().st_size:,} bytes, not {one.size_bytes:,}"
        if one.sha256 is not None and checksums.sha256(file) != one.sha256:
            return f"{one.path} has another content"
    return None


def _same_slug(promotion: Promotion) -> str | None:
    slug, _, number = (promotion.before.version or "").partition("@")
    return number if slug == promotion.slug else None
