"""Tool policies on the data path: only requests that offer tools, where policies exist."""

from __future__ import annotations

import re

from modelscan.core.receipt import ToolDecision, ToolUse
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.plan import Document, RoutePlan
from modelscan.routing.tool_policy import applying, decide, guard

_MOST_IN_HEADER = 2000
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/*-]")


def guarded(plan: RoutePlan, attempt: Attempt, document: Document) -> Document:
    """The body for one backend without the tools that are denied there; the plan has what was
    decided. The names of the request, of its route and of the backend count."""
    spec, key = attempt.backend.spec, plan.key
    names = (
        plan.requested, plan.route.entry.name, attempt.route.entry.name, spec.name, spec.model,
        spec.served_model,
    )  # fmt: skip
    policies = applying(plan.state.tool_policies, names, None if key is None else key.key.name)
    plan.tool_policies, plan.decisions = policies, None
    if policies:
        document = dict(document)
        plan.decisions = guard(policies, document)
    return document


def decided(plan: RoutePlan, called: tuple[ToolUse, ...]) -> tuple[ToolDecision, ...] | None:
    """The decisions about what was offered, then about calls of tools that were not."""
    if plan.decisions is None:
        return None
    offered = {one.tool for one in plan.decisions}
    more = (decide(plan.tool_policies, one.name) for one in called if one.name not in offered)
    return (*plan.decisions, *more)


def header_line(decisions: tuple[ToolDecision, ...]) -> bytes:
    """``X-Modelscan-Tools: deny delete_file, confirm write_file``; empty without such a tool."""
    words = [
        f"{one.decision} {_UNSAFE.sub('_', one.tool)}"
        for one in decisions
        if one.decision != "allow"
    ]
    if not words:
        return b""
    return b"x-modelscan-tools: %b\r\n" % ", ".join(words).encode()[:_MOST_IN_HEADER]
