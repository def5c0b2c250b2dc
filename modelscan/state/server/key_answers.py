"""The results of ``modelscan key``: typed values, each with one JSON form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from modelscan.core.access import Scope
from modelscan.state.clock import text_of
from modelscan.state.server.keys import KeyLimits, KeyRecord, KeyStore
from modelscan.state.server.usage import BudgetPeriod

if TYPE_CHECKING:
    from modelscan.state.server.database import ServerDatabase


@dataclass(frozen=True, slots=True)
class KeyLimitsShown:
    """The limits of a key; None: unlimited. ``used_tokens``: of the budget's current period."""

    requests_per_minute: int | None
    max_concurrent: int | None
    budget_tokens: int | None
    budget_period: BudgetPeriod | None
    used_tokens: int | None


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key without its value. ``models`` None: every model. Times are RFC 3339.

    ``state``: spent_out means that its budget is used up.
    """

    name: str
    scope: tuple[Scope, ...]
    models: tuple[str, ...] | None
    default_route: str | None
    limits: KeyLimitsShown
    state: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None


@dataclass(frozen=True, slots=True)
class KeyCreated(KeyShown):
    """A new key. ``key`` is its value, shown only here; None where the caller gave the value."""

    key: str | None = None


@dataclass(frozen=True, slots=True)
class KeyList:
    """Every key, by name."""

    keys: tuple[KeyShown, ...]


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """The names of the deleted keys."""

    revoked: tuple[str, ...]


def create_key(
    database: ServerDatabase, name: str | None, limits: KeyLimits, value: str | None
) -> KeyCreated:
    """Store a key; raises UsageError like ``KeyStore.create``."""
    store = KeyStore(database)
    name, token = store.create(name, limits, value)
    row = shown(next(one for one in store.list() if one.name == name))
    values = {field.name: getattr(row, field.name) for field in fields(KeyShown)}
    return KeyCreated(**values, key=None if value is not None else token)


def list_keys(database: ServerDatabase) -> KeyList:
    """Every key with its limits and last use."""
    return KeyList(tuple(shown(record) for record in KeyStore(database).list()))


def revoke_keys(database: ServerDatabase, names: Sequence[str]) -> KeyRevoked:
    """Delete keys; raises UsageError at the first unknown name."""
    store = KeyStore(database)
    for name in names:
        store.revoke(name)
    return KeyRevoked(tuple(names))


def shown(record: KeyRecord) -> KeyShown:
    """A stored key as it is listed."""
    limits = record.limits
    budget = limits.budget_tokens is not None
    return KeyShown(
        name=record.name,
        scope=limits.scopes,
        models=limits.models,
        default_route=limits.default_route,
        limits=KeyLimitsShown(
            limits.requests_per_minute, limits.max_concurrent, limits.budget_tokens,
            limits.budget_period, record.used_tokens if budget else None,
        ),
        state=_state(record),
        created_at=text_of(record.created_at),
        expires_at=None if limits.expires_at is None else text_of(limits.expires_at),
        last_used_at=None if record.last_used_at is None else text_of(record.last_used_at),
    )  # fmt: skip


def _state(record: KeyRecord) -> str:
    expires = record.limits.expires_at
    if expires is not None and expires <= time.time():
        return "expired"
    return "spent_out" if record.spent_out else "active"
