"""The steps before the switch: the candidate is checked, runs under its own name, and is compared.

None of them touches the routing file or the aliases champion and previous.
"""

from __future__ import annotations

from modelscan.core.adapter import failures
from modelscan.core.errors import NotDeployableError
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_speed
from modelscan.deploy.adapters import check_adapter
from modelscan.hub import checksums
from modelscan.promotion import effects
from modelscan.promotion.aliases import CHALLENGER, set_challenger
from modelscan.promotion.candidate import (
    adapter_name,
    candidate_model,
    place_of,
    request_of,
)
from modelscan.promotion.gates import judge
from modelscan.promotion.tools import PromotionTools, StepDone
from modelscan.promotion.types import Promotion, StepState
from modelscan.registry.stored import find_model
from modelscan.registry.types import ModelVersion
from modelscan.state.paths import expand


def check(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """The files are those that were registered; an adapter fits its base and its engine."""
    version = tools.version(promotion)
    changed = changed_files(version)
    if changed is not None:
        raise NotDeployableError(
            f"the files of {version.name} are not those that were registered: {changed}",
            hint=f"modelscan registry version add {version.slug} --from {place_of(version)}",
            code="changed_files",
        )
    model = candidate_model(tools.database, version)
    if model.adapter is None:
        return StepDone("done", "the files are those that were registered")
    checked = check_adapter(model.adapter, model.model, tools.config)
    failed = failures(checked.checks)
    if failed:
        raise NotDeployableError(
            f"the adapter of {version.name} does not run here: {failed[0].reason}",
            hint=f"modelscan registry check-adapter {model.adapter} --base {model.model}",
            code="adapter",
            details={"checks": to_json(checked.checks)},
        )
    return StepDone("done", f"the adapter fits {checked.base} and {checked.backend}")


def deploy(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """Run the candidate under its own name, without an entry in the routing file."""
    version, name = tools.version(promotion), promotion.candidate
    begun = promotion.step("deploy")
    existed = effects.deployment_of(tools.deployments, name) is not None
    known = begun is not None and "existed" in begun.data
    existed = bool(begun.data["existed"]) if begun is not None and known else existed
    with tools.database.reading() as connection:
        before = find_model(connection, version.slug).aliases.get(CHALLENGER)
    if not known:
        promotion = tools.note(promotion, "deploy", existed=existed, challenger=before)
    model = candidate_model(tools.database, version)
    current = effects.deployment_of(tools.deployments, promotion.before.deployment)
    request = request_of(name, model, current, promotion.options.timeout_s)
    running = tools.deployments.deploy(request).deployment
    effects.set_names(tools.deployments, name, version.name, adapter_name(model, running))
    with tools.database.writing() as connection:
        set_challenger(connection, tools.who, version.slug, version.version)
    data = {"deployment": name, "endpoint": running.endpoint, "backend": running.backend}
    return StepDone("done", f"{name} runs at {running.endpoint}", data)


def verify(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """One request gets an answer."""
    return StepDone("done", effects.ask_once(promotion.candidate, tools.config))


def bench(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """A few requests all get an answer."""
    row = effects.deployment_of(tools.deployments, promotion.candidate)
    if row is not None and row.task != "chat":
        return StepDone("skipped", f"it is a {row.task} model")
    outcome = effects.short_bench(promotion.candidate, tools.config, tools.say)
    if outcome.errors:
        reason = f"{outcome.errors} of {outcome.requests} requests failed"
        return StepDone("failed", reason, to_json(outcome))
    rate = format_speed(outcome.tokens_per_s)
    speed = "" if rate is None else f", {rate} tokens/s"
    return StepDone("done", f"{outcome.requests} requests answered{speed}", to_json(outcome))


def evaluate(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """Every gate is met, and nothing is shown to be worse than what the route serves."""
    gates = promotion.options.gates
    if not gates:
        return StepDone("skipped", "no --gate: nothing was evaluated")
    current = promotion.before.deployment
    if current is not None:
        effects.require_running(tools.deployments, current, promotion.options.timeout_s)
    results = []
    for gate in gates:
        mine = effects.run_gate(gate, promotion.candidate, tools.config, tools.say)
        theirs = (
            effects.run_gate(gate, current, tools.config, tools.say)
            if current is not None and not mine.problem
            else None
        )
        results.append(judge(gate, mine, theirs, promotion.options.margin))
    missed = [one.reason for one in results if not one.met]
    state: StepState = "failed" if missed else "done"
    reasons = missed or [one.reason for one in results]
    return StepDone(state, "; ".join(reasons), {"gates": to_json(results)})


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
