"""The roles that exist without being written: ``fast`` and ``auto``. Pure.

A role, entry or alias of the same name in the file replaces the built-in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.routing.role_format import PolicyFields, PromptFields, RoleFields

if TYPE_CHECKING:
    from modelscan.routing.parsed import RoutingFile

FAST = RoleFields(
    role_id="fast",
    display_name="Fast",
    description="short answers without thinking",
    prompt_policy=PromptFields(request_policy=PolicyFields(thinking="off")),
)
AUTO = RoleFields(
    role_id="auto",
    display_name="Automatic",
    description="chooses a role and thinking for each request",
)
BUILT_IN = (FAST, AUTO)


def roles_of(file: RoutingFile) -> tuple[RoleFields, ...]:
    """The roles of the file and the built-in ones that it does not replace."""
    own = {role.role_id for role in file.roles} | {route.name for route in file.written}
    own |= set(file.aliases)
    return (*file.roles, *(role for role in BUILT_IN if role.role_id not in own))


def role_named(file: RoutingFile, name: str) -> RoleFields | None:
    """The role with that name, written or built in."""
    return next((role for role in roles_of(file) if role.role_id == name), None)
