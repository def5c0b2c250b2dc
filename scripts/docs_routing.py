"""The reference page about routing: scores, presets, thinking and the rules of the role auto, from
the constants that decide."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from modelscan.engines.registry import engines
from modelscan.engines.thinking import THINKS_BY_DEFAULT, switchable
from modelscan.routing import scoring
from modelscan.routing.automatic_rules import BUILT_IN_RULES, conditions
from modelscan.routing.presets import PRESETS
from modelscan.routing.scoring import ROLE_WEIGHTS, SERVICE_WEIGHTS

_INTRODUCTION = """# Routing

What decides where a request goes. `modelscan route explain NAME` shows each step for one request,
`modelscan route match TASK` ranks the routes for a task.

A name is looked for in this order: a provider's name, a model's id or the name that a server
serves it under, `NAME/MODEL` for a provider of many models, an alias, a role, the last part of a
model's id. A role's entries pass its gates (enabled, healthy, operation, tiers, `requires_tags`,
`min_context`), then its preferences (own machines before third parties, loaded models, the first
preferred family that an entry has), then its strategy orders them. Where no entry passes, the
fallback roles follow, each once.
"""

_AGE = """The likeness of a workload counts by the share of right answers; by {half:g} where none is
known. The runtime signal counts by the same share (the mean over the results whose workloads are
most like the task). So a fast model with wrong answers is behind a slow one with right answers. Of
an entry and a workload only the newest result counts: in full for {fresh:g} days, then less each
day, and after {expires:g} days not at all. Speed comes from the last requests of the gateway, and
from results where there were none.
"""


def routing_page() -> str:
    """The page."""
    parts = [
        _INTRODUCTION,
        "## Scores\n\nThe score of a candidate is the weighted sum of its signals, 0 to 1; a "
        "signal that does not apply adds nothing.\n",
        _table(("signal", "of a role's candidate", "of an entry"), _weights()),
        "The runtime signal:\n",
        _table(("observed", "points"), _runtime()),
        "The text signal is the share of the task's words that occur in the candidate's names, "
        "tags and description. The benchmark signal is "
        f"{scoring.OVERLAP_WEIGHT:g} × the best likeness of a workload (the same one: 1) + "
        f"{scoring.QUALITY_WEIGHT:g} × the best quality. A quality is the weighted mean of the "
        f"parts that were measured, at most {scoring.WITHOUT_CORRECTNESS:g} without a measured "
        "correctness:\n",
        _table(("part", "weight", "value"), _quality()),
        _AGE.format(
            half=scoring.WITHOUT_CORRECTNESS,
            fresh=scoring.FRESH_S / 86_400,
            expires=scoring.EXPIRES_S / 86_400,
        ),
        "## Presets\n",
        _table(("preset", "address", "key", "also"), _presets()),
        "An entry's own `api_key` counts alone; without one, the preset's variables are tried in "
        "order. No other variable is read.\n",
        f"## Thinking\n\nFamilies that are switched off by default: "
        f"{', '.join(sorted(THINKS_BY_DEFAULT))}. A policy's `thinking: off` or `on` switches:\n",
        _table(("family", *(engine.title for engine in engines())), _thinking()),
        "## The role auto\n\nThe first rule that holds decides; `routing.automatic` replaces the "
        "rules.\n",
        _table(("if", "then", "thinking"), _rules()),
    ]
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _weights() -> Iterator[Sequence[str]]:
    for name, weight in ROLE_WEIGHTS.items():
        other = SERVICE_WEIGHTS.get(name)
        yield name, f"{weight:g}", "–" if other is None else f"{other:g}"


def _runtime() -> Iterator[Sequence[str]]:
    yield "the model is loaded", f"+{scoring.LOADED:g}"
    for limit, points in scoring.LATENCY_BANDS:
        yield f"half of the answers within {limit:,.0f} ms", f"+{points:g}"
    yield "slower answers", f"+{scoring.LATENCY_BEYOND:g}"
    for least, points in scoring.SPEED_BANDS:
        yield f"at least {least:g} tokens/s", f"+{points:g}"
    yield "each waiting request", f"−{scoring.QUEUE_STEP:g}, at most −{scoring.QUEUE_MOST:g}"
    yield "its node reports it as busy", f"−{scoring.BUSY:g}"


def _quality() -> Iterator[Sequence[str]]:
    yield "correctness", f"{scoring.CORRECTNESS_WEIGHT:g}", "the share of passed cases"
    half = scoring.SPEED_WEIGHT / 2
    yield "throughput", f"{half:g}", f"tokens/s ÷ {scoring.FULL_SPEED:g}, at most 1"
    bands = ", ".join(f"≤ {limit:,.0f} ms: {value:g}" for limit, value in scoring.TTFT_BANDS)
    yield "time to first token", f"{half:g}", f"{bands}, slower: {scoring.TTFT_BEYOND:g}"


def _presets() -> Iterator[Sequence[str]]:
    for preset in PRESETS.values():
        keys = " then ".join(f"`{name}`" for name in preset.key_variables) or "as the entry says"
        address = f"`{preset.base_url}`" if preset.base_url else "as the entry says"
        yield f"`{preset.name}`", address, keys, ", ".join(f"`{a}`" for a in preset.aliases)


def _thinking() -> Iterator[Sequence[str]]:
    for family in switchable():
        bodies = (engine.thinking_switch(family, False) for engine in engines())
        yield family, *(f"`{json.dumps(body)}`" for body in bodies)


def _rules() -> Iterator[Sequence[str]]:
    for rule in BUILT_IN_RULES:
        target = "the default provider" if rule.role == "default" else f"the role `{rule.role}`"
        yield " and ".join(conditions(rule)), target, rule.thinking
    yield "no other rule holds", "the default provider", "keep"
