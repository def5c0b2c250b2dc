"""The steps that move a route: a share for the candidate, the switch, and what is left to do."""

from __future__ import annotations

from modelscan.core.jsonform import to_json
from modelscan.promotion import effects
from modelscan.promotion.aliases import CHALLENGER, PREVIOUS, move_aliases
from modelscan.promotion.canary import judge_canary
from modelscan.promotion.tools import PromotionTools, StepDone
from modelscan.promotion.types import Promotion, StepState
from modelscan.registry.resolve import CHAMPION
from modelscan.registry.stored import find_model

_POLL_S = 0.5


def canary(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """A share of the route's requests, for a while: worse receipts end it."""
    asked = promotion.options.canary
    if asked is None:
        return StepDone("skipped", "no --canary: the switch is at once")
    if promotion.before.entry is None:
        return StepDone("skipped", "the route serves nothing yet")
    row = tools.candidate(promotion)
    entry = effects.entry_of(tools.deployments, row, promotion.candidate)
    begun = promotion.step("canary")
    since = float(begun.data.get("since") or tools.clock()) if begun else tools.clock()
    promotion = tools.note(promotion, "canary", since=since, share=asked.share)
    tools.edits(promotion).share(entry, asked.share)
    effects.set_route(tools.deployments, promotion.candidate, promotion.candidate)
    return _watched(tools, promotion, since, asked.seconds)


def _watched(tools: PromotionTools, promotion: Promotion, since: float, seconds: float) -> StepDone:
    """The verdict at the end, or as soon as it is clear that the candidate is worse."""
    while True:
        over = tools.clock() >= since + seconds
        receipts = effects.receipts_since(tools.database, promotion.route, since)
        judged = judge_canary(receipts, promotion.candidate)
        data = {"canary": to_json(judged)}
        if judged.verdict == "worse":
            return StepDone("failed", judged.reason, data)
        if over:
            state: StepState = "done" if judged.verdict == "not_worse" else "unknown"
            return StepDone(state, judged.reason, data)
        tools.pause(min(_POLL_S, max(0.0, since + seconds - tools.clock())))


def switch(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """The route leads to the candidate; the answer through it is looked at."""
    row = tools.candidate(promotion)
    entry = effects.entry_of(tools.deployments, row, promotion.candidate)
    name = promotion.candidate if promotion.before.kind == "role" else promotion.route
    tools.edits(promotion).switch(entry)
    effects.set_route(tools.deployments, promotion.candidate, name)
    old = promotion.before.deployment
    if old is not None and promotion.before.kind != "role":
        effects.set_route(tools.deployments, old, None)
    return StepDone("done", effects.ask_once(name, tools.config))


def aliases(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """champion is the candidate, previous what it was; challenger is removed."""
    begun = promotion.step("aliases")
    if begun is None or "before" not in begun.data:
        with tools.database.reading() as connection:
            present = find_model(connection, promotion.slug).aliases
        names = (CHAMPION, PREVIOUS)
        promotion = tools.note(promotion, "aliases", before={n: present.get(n) for n in names})
    wanted = {CHAMPION: promotion.version, PREVIOUS: _same_slug(promotion), CHALLENGER: None}
    with tools.database.writing() as connection:
        move_aliases(connection, tools.who, promotion.slug, wanted)
    return StepDone("done", f"champion is {promotion.name}")


def retire(tools: PromotionTools, promotion: Promotion) -> StepDone:
    """What the route served before is stopped, now or after ``--keep-previous``."""
    old, keep_s = promotion.before.deployment, promotion.options.keep_s
    if old is None or old == promotion.candidate:
        return StepDone("skipped", "the route served nothing before")
    if promotion.before.kind == "role" and promotion.before.version is None:
        return StepDone("skipped", f"{old} has an entry of its own, and keeps running")
    if keep_s > 0:
        at = tools.clock() + keep_s
        return StepDone("done", f"{old} keeps running for {keep_s:g} s", {"retire_at": at})
    problem = effects.take_away(tools.deployments, old, keep=True)
    return StepDone("done", problem or f"{old} is stopped")


def _same_slug(promotion: Promotion) -> str | None:
    slug, _, number = (promotion.before.version or "").partition("@")
    return number if slug == promotion.slug else None
