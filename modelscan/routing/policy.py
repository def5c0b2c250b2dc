"""Applies a route's body policy to a request's body. Pure.

The body is a mapping of keys to undecoded JSON (``msgspec.Raw``): only values that the policy names
are decoded, all others keep their bytes. ``prepare`` is done once per routing table, ``apply`` once
per request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from modelscan.routing.prompts import Prompt, put_prompt
from modelscan.routing.table import BodyPolicy, Operation

Body = dict[str, msgspec.Raw]
# What a caller can say about thinking; ``chat_template_kwargs`` is merged key by key.
THINKING_KEYS = ("reasoning_effort", "reasoning", "think", "thinking")

_decode_object = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


class BodyChange(NamedTuple):
    """One key of a policy: its value as JSON, and its own keys if it is an object."""

    key: str
    value: msgspec.Raw
    inner: tuple[BodyChange, ...] | None


class PreparedPolicy(NamedTuple):
    """A policy in the form that ``apply`` reads."""

    defaults: tuple[BodyChange, ...]
    thinking: tuple[BodyChange, ...]
    overrides: tuple[BodyChange, ...]
    prompt: Prompt | None
    operations: frozenset[Operation]


def prepare(policy: BodyPolicy) -> PreparedPolicy:
    """The policy with its values encoded."""
    prompt = Prompt(policy.system_prompt, policy.system_prompt_position, policy.user_template)
    return PreparedPolicy(
        _changes(policy.defaults),
        _changes(policy.thinking),
        _changes(policy.overrides),
        prompt if prompt.text is not None or prompt.user_template is not None else None,
        frozenset(policy.operations),
    )


def apply(policy: PreparedPolicy, body: Body, operation: Operation) -> None:
    """BodyChange the body in place: defaults, then prompts, then overrides. Never raises."""
    if operation not in policy.operations:
        return
    if policy.thinking and not any(key in body for key in THINKING_KEYS):
        _fill(policy.thinking, body)
    _fill(policy.defaults, body)
    if policy.prompt is not None:
        put_prompt(policy.prompt, body, operation)
    if policy.overrides:
        _replace(policy.overrides, body)


def raw_values(body: Mapping[str, Any]) -> Body:
    """Plain values as undecoded JSON, by key."""
    return _decode_object(_encode(body))


def plain_values(body: Body) -> dict[str, Any]:
    """Undecoded JSON by key as plain values."""
    decoded: dict[str, Any] = msgspec.json.decode(_encode(body))
    return decoded


def apply_to(policy: BodyPolicy, body: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
    """The changed body as plain values, for explanations; the argument stays as it is."""
    raw = raw_values(body)
    apply(prepare(policy), raw, operation)
    return plain_values(raw)


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Two policies' values in one, deeply; those of ``upper`` win."""
    merged = dict(lower)
    for key, value in upper.items():
        mine = merged.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(mine, value) if both else value  # type: ignore[arg-type]
    return merged


def _changes(values: Mapping[str, Any]) -> tuple[BodyChange, ...]:
    return tuple(
        BodyChange(
            key,
            msgspec.Raw(_encode(value)),
            _changes(value) if isinstance(value, Mapping) else None,
        )
        for key, value in values.items()
    )


def _fill(changes: tuple[BodyChange, ...], body: Body) -> None:
    """Add what the body lacks; inside objects too."""
    for key, value, inner in changes:
        mine = body.get(key)
        if mine is None:
            body[key] = value
        elif inner:
            fields = _object(mine)
            if fields is not None:
                _fill(inner, fields)
                body[key] = msgspec.Raw(_encode(fields))


def _replace(changes: tuple[BodyChange, ...], body: Body) -> None:
    """Set values; an object is merged into the caller's object."""
    for key, value, inner in changes:
        mine = body.get(key) if inner is not None else None
        fields = None if mine is None else _object(mine)
        if fields is None or inner is None:
            body[key] = value
        else:
            _replace(inner, fields)
            body[key] = msgspec.Raw(_encode(fields))


def _object(value: msgspec.Raw) -> Body | None:
    """The fields of a JSON object; None for another value."""
    try:
        return _decode_object(value)
    except msgspec.ValidationError:
        return None
