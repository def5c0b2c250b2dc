"""Whether the results of a version are what a policy needs. Pure: the time is an argument.

Of the results of a gate's suite or workload on its hardware the newest report counts, not the
best one: only so a regression shows. Of several loads in that report, the worst one counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt

from modelscan.registry.policy import GateRule
from modelscan.registry.policy_format import Comparator
from modelscan.registry.results import ModelResult
from modelscan.state.clock import seconds_of

_COMPARE: Mapping[Comparator, Callable[[float, float], bool]] = {
    ">=": ge, ">": gt, "<=": le, "<": lt,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GateCheck:
    """A gate with the result that decided. ``workload``: the suite or workload.

    ``observed``, ``eval_id`` and ``age_s`` are None where there is no such result; ``reason`` says
    why a gate is not met.
    """

    workload: str
    metric: str
    op: Comparator
    threshold: float
    observed: float | None
    eval_id: str | None
    age_s: float | None
    met: bool
    hardware: str | None = None
    concurrency: int | None = None
    max_age_s: float | None = None
    reason: str | None = None


def check_gates(
    rules: Iterable[GateRule], results: Sequence[ModelResult], now: float
) -> tuple[GateCheck, ...]:
    """Every gate of a policy; ``results`` are those of one version, ``now`` is a UNIX time."""
    return tuple(_check(rule, results, now) for rule in rules)


def all_met(checks: Iterable[GateCheck]) -> bool:
    """Whether no gate is unmet."""
    return all(check.met for check in checks)


def fits_hardware(wanted: str | None, hardware: str | None) -> bool:
    """Whether the hardware's name has every word that is wanted; unknown hardware has none."""
    if wanted is None:
        return True
    words = set(_words(hardware or ""))
    return all(word in words for word in _words(wanted))


def _words(text: str) -> list[str]:
    cleaned = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return cleaned.split()


def _check(rule: GateRule, results: Sequence[ModelResult], now: float) -> GateCheck:
    subject = [one for one in results if one.kind == rule.kind and one.name == rule.name]
    fitting = [one for one in subject if _fits(rule, one)]
    if not fitting:
        return _made(rule, None, now, _missing(rule, subject))
    newest = max(fitting, key=_moment)
    same = [one for one in fitting if one.report_id == newest.report_id]
    worst = (min if rule.op in (">=", ">") else max)(same, key=lambda one: one.metrics[rule.metric])
    return _made(rule, worst, now, _fault(rule, worst, now))


def _fits(rule: GateRule, one: ModelResult) -> bool:
    value = one.metrics.get(rule.metric)
    return (
        value is not None
        and math.isfinite(value)
        and fits_hardware(rule.hardware, one.hardware)
        and rule.concurrency in (None, one.concurrency)
    )


def _moment(one: ModelResult) -> tuple[float, str]:
    return seconds_of(one.observed_at) or 0.0, one.report_id


def _missing(rule: GateRule, subject: Sequence[ModelResult]) -> str:
    """Why no result counts, the nearest cause first."""
    if not subject:
        return f"there is no result of the {rule.kind} {rule.name}"
    if not any(rule.metric in one.metrics for one in subject):
        names = sorted({name for one in subject for name in one.metrics})
        return f"no result has the metric {rule.metric}; there are {', '.join(names)[:200]}"
    if rule.hardware is not None and not any(
        fits_hardware(rule.hardware, one.hardware) for one in subject
    ):
        return f"there is no result on {rule.hardware}"
    return f"there is no result with {rule.concurrency} requests at once"


def _fault(rule: GateRule, one: ModelResult, now: float) -> str | None:
    value, age_s = one.metrics[rule.metric], now - _moment(one)[0]
    if not _COMPARE[rule.op](value, rule.threshold):
        return f"{rule.metric} is {value:g}, not {rule.op} {rule.threshold:g}"
    if rule.max_age_s is not None and age_s > rule.max_age_s:
        return (
            f"the result is {age_s / 86_400:,.1f} days old, more than {rule.max_age_s / 86_400:g}"
        )
    return None


def _made(rule: GateRule, one: ModelResult | None, now: float, fault: str | None) -> GateCheck:
    return GateCheck(
        workload=rule.name,
        metric=rule.metric,
        op=rule.op,
        threshold=rule.threshold,
        observed=None if one is None else one.metrics[rule.metric],
        eval_id=None if one is None else one.id,
        age_s=None if one is None else round(max(0.0, now - _moment(one)[0]), 3),
        met=fault is None,
        hardware=rule.hardware,
        concurrency=rule.concurrency,
        max_age_s=rule.max_age_s,
        reason=fault,
    )
