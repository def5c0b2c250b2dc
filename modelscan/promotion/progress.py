"""The order of a promotion's steps, and what a command finds that another one left. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from modelscan.promotion.types import (
    REVERSIBLE,
    STEPS,
    Promotion,
    PromotionStep,
    StepName,
    StepState,
)

_OVER: tuple[StepState, ...] = ("done", "skipped", "unknown")
Found = Literal["new", "continue", "other_candidate", "other_options", "served"]


def next_step(promotion: Promotion) -> StepName | None:
    """The first step that is not over; a step that was running when its command was killed runs
    again: each one can be repeated. None: all are.
    """
    over = {one.step for one in promotion.steps if one.state in _OVER}
    return next((name for name in STEPS if name not in over), None)


def with_step(
    promotion: Promotion, name: StepName, state: StepState, at: str, reason: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Promotion:  # fmt: skip
    """The promotion with a step's new state; what it recorded before stays."""
    old = promotion.step(name)
    kept = {**(old.data if old else {}), **(data or {})}
    step = PromotionStep(name, state, at, reason, kept)
    steps = [one for one in promotion.steps if one.step != name]
    ordered = sorted([*steps, step], key=lambda one: STEPS.index(one.step))
    return replace(promotion, steps=tuple(ordered), updated_at=at)


def is_reversible(promotion: Promotion) -> bool:
    """Whether the switch was not begun, so that a failure leaves the route as it was."""
    return next_step(promotion) in REVERSIBLE


def found(left: Promotion | None, wanted: Promotion, serving: Promotion | None) -> Found:
    """What a command that wants ``wanted`` finds: ``left`` is the route's promotion that another
    command did not finish, ``serving`` the one that the route serves.
    """
    if left is not None and left.name != wanted.name:
        return "other_candidate"
    if left is not None:
        return "continue" if left.options == wanted.options else "other_options"
    if serving is not None and serving.name == wanted.name:
        return "served"
    return "new"
