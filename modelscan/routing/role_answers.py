"""The results of the role commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.routing.built_in import AUTO, BUILT_IN, role_named, roles_of
from modelscan.routing.compile import fallback_chain
from modelscan.routing.facts import known_entries
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.role_format import RoleFields, RoleOperation
from modelscan.routing.select import RolePool, role_pool, strategy_of
from modelscan.routing.table import Strategy
from modelscan.routing.world import World


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role. ``passed``: how many entries pass its gates; ``chosen``: the first of them."""

    role_id: str
    operation: RoleOperation
    strategy: Strategy
    chosen: str | None
    passed: int
    fallbacks: tuple[str, ...]
    description: str | None
    origin: Literal["routing file", "built in"]


@dataclass(frozen=True, slots=True)
class RoleList:
    """Every role, the file's first."""

    roles: tuple[RoleRow, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleShown:
    """A role's fields, the entries that pass its gates in order, and why the others do not."""

    role: RoleFields
    chosen: str | None
    passed: tuple[str, ...]
    refused: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def list_roles(file: RoutingFile, world: World) -> RoleList:
    """The roles with the entry that each would choose now."""
    return RoleList(tuple(_row(file, world, role) for role in roles_of(file)))


def show_role(file: RoutingFile, world: World, name: str) -> RoleShown:
    """One role. Raises UsageError for an unknown name."""
    role = role_named(file, name)
    if role is None:
        near = nearest(name, [one.role_id for one in roles_of(file)])
        raise UsageError(
            f"there is no role '{name}'",
            hint=f"modelscan route role show {near[0]}" if near else "modelscan route role list",
            code="unknown_role",
            details={"nearest": near},
        )
    pool = _pool(file, world, role)
    names = tuple(choice.entry.name for choice in pool.choices)
    refused = tuple(one.reason for one in pool.refused)
    return RoleShown(role, names[0] if names else None, names, refused)


def _pool(file: RoutingFile, world: World, role: RoleFields) -> RolePool:
    if role is AUTO:
        return RolePool((), ())
    return role_pool(tuple(known_entries(file.routes, file.providers, world)), role)


def _row(file: RoutingFile, world: World, role: RoleFields) -> RoleRow:
    pool = _pool(file, world, role)
    return RoleRow(
        role_id=role.role_id,
        operation=role.operation,
        strategy=strategy_of(role),
        chosen=pool.choices[0].entry.name if pool.choices else None,
        passed=len(pool.choices),
        fallbacks=fallback_chain(file, role),
        description=role.description or role.display_name,
        origin="built in" if role in BUILT_IN else "routing file",
    )
