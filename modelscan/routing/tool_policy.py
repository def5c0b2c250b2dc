"""Applies tool policies to the tools that a request offers. Pure.

A policy decides by the tool's name: ``deny`` before ``confirm`` before ``allow``, then its default.
Where several policies apply, the strictest decision counts. A denied tool is not offered to the
model; ``confirm`` is a mark for the client, which runs the tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Any, NamedTuple

import msgspec

from modelscan.core.receipt import Approval, ToolDecision
from modelscan.routing.table import ToolPolicySpec

_STRICTNESS: dict[Approval, int] = {"allow": 0, "confirm": 1, "deny": 2}
_LONGEST_NAME = 128
_MOST_TOOLS = 128
_WITHOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_WITHOUT_FUNCTIONS = ("functions", "function_call")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
Body = dict[str, msgspec.Raw]


class PreparedToolPolicy(NamedTuple):
    """A policy in the form in which it is applied; without ``routes`` and ``keys``: to all."""

    name: str
    routes: frozenset[str]
    keys: frozenset[str]
    rules: tuple[tuple[Approval, re.Pattern[str]], ...]
    default: Approval


def prepare(spec: ToolPolicySpec) -> PreparedToolPolicy:
    """The policy with its patterns compiled; the strictest ones come first."""
    groups: tuple[tuple[Approval, tuple[str, ...]], ...] = (
        ("deny", spec.deny), ("confirm", spec.confirm), ("allow", spec.allow),
    )  # fmt: skip
    rules = tuple(
        (decision, re.compile("|".join(map(translate, patterns)), re.IGNORECASE))
        for decision, patterns in groups
        if patterns
    )
    return PreparedToolPolicy(
        spec.name, frozenset(spec.routes), frozenset(spec.keys), rules, spec.default
    )


def applying(
    policies: Iterable[PreparedToolPolicy], names: Iterable[str | None], key: str | None
) -> tuple[PreparedToolPolicy, ...]:
    """Those for a request of a key to a route with these names (its entry's and model's too)."""
    all_names = set(names)
    return tuple(
        one
        for one in policies
        if not (one.routes or one.keys)
        or not one.routes.isdisjoint(all_names)
        or (key is not None and key in one.keys)
    )


def decide(policies: Sequence[PreparedToolPolicy], tool: str) -> ToolDecision:
    """The strictest decision about a tool, and the policy that made it."""
    decided = [(_decision(one, tool), one.name) for one in policies]
    decision, name = max(decided, key=lambda one: _STRICTNESS[one[0]])
    return ToolDecision(tool[:_LONGEST_NAME], decision, name)


def _decision(policy: PreparedToolPolicy, tool: str) -> Approval:
    return next((one for one, names in policy.rules if names.match(tool)), policy.default)


def guard(policies: Sequence[PreparedToolPolicy], body: Body) -> tuple[ToolDecision, ...]:
    """Remove denied tools from a body, in place; the decisions about all that it offers.

    A choice of tools that names a denied one is removed, too: the model then answers as it likes.
    """
    decisions: dict[str, ToolDecision] = {}
    for fields in (_WITHOUT_TOOLS, _WITHOUT_FUNCTIONS):
        if fields[0] in body:
            _guard_list(policies, body, fields, decisions)
    return tuple(decisions.values())[:_MOST_TOOLS]


def _guard_list(
    policies: Sequence[PreparedToolPolicy],
    body: Body,
    fields: Sequence[str],
    decisions: dict[str, ToolDecision],
) -> None:
    """``fields``: the list's key, then those that make no sense without a list."""
    tools = _value(body[fields[0]])
    if not isinstance(tools, list):
        return  # no backend accepts it
    kept, denied = [], set()
    for tool in tools:
        found = [decide(policies, name) for name in names_of(tool)]
        decisions |= {one.tool: one for one in found}
        if any(one.decision == "deny" for one in found):
            denied |= {one.tool for one in found}
        else:
            kept.append(tool)
    # Encoded anew: what was decided about is what is sent, also of an object with a key twice.
    body[fields[0]] = msgspec.Raw(_encode(kept))
    choice = _value(body[fields[1]]) if fields[1] in body else None
    if not kept:
        for field in fields:
            body.pop(field, None)
    elif any(name[:_LONGEST_NAME] in denied for name in _chosen(choice)):
        del body[fields[1]]


def names_of(tool: Any) -> list[str]:
    """The names of an offered tool, in the forms of chat completions, messages and responses.

    A tool of the server has its type as name, a server of tools ``mcp:LABEL``.
    """
    if not isinstance(tool, dict):
        return [""]
    inner = [tool.get(part) for part in ("function", "custom")]
    named = [*(one.get("name") for one in inner if isinstance(one, dict)), tool.get("name")]
    label = tool.get("server_label") or tool.get("mcp_server_name")
    texts = [one for one in named if isinstance(one, str) and one]
    if isinstance(label, str) and label:
        texts.append(f"mcp:{label}")
    return list(dict.fromkeys(texts)) or [str(tool.get("type") or "")]


def _chosen(choice: Any) -> Iterator[str]:
    """The names of tools in a choice of tools, however deep."""
    if isinstance(choice, dict):
        named = choice.get("name")
        if isinstance(named, str):
            yield named
        for value in choice.values():
            yield from _chosen(value)
    elif isinstance(choice, list):
        for value in choice:
            yield from _chosen(value)


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def decided_by(spec: ToolPolicySpec) -> str:
    """What a policy decides, in words."""
    lists = (("deny", spec.deny), ("confirm", spec.confirm), ("allow", spec.allow))
    parts = [f"{decision} {', '.join(patterns)}" for decision, patterns in lists if patterns]
    return f"tool policy '{spec.name}': {'; '.join([*parts, f'others {spec.default}'])}"


def stated(spec: ToolPolicySpec) -> bytes:
    """A policy as JSON with sorted keys, for its digest."""
    return msgspec.json.encode(msgspec.to_builtins(spec), order="sorted")
