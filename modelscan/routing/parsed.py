"""The routing file as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelscan.core.finding import Finding
from modelscan.core.route import Route
from modelscan.routing.format import BudgetFields, EmbeddedFields, ProviderFields, ProxyFields
from modelscan.routing.role_format import AutomaticFields, RoleFields
from modelscan.routing.table import GatewayLimits
from modelscan.routing.tool_format import ToolPolicyFields


@dataclass(frozen=True, slots=True)
class RoutingFile:
    """A parsed routing file: its entries in order, its roles, and its findings.

    ``providers`` has the fields of ``routes``, one for one. ``broken``: the findings for which the
    file is not edited: its form is wrong, so that an edit could change what its owner meant.
    ``reported``: how many entries at the end are of nodes and not written in the file. ``plano``:
    the name of the entry that is Plano, once there is one.
    """

    mode: str
    routes: tuple[Route, ...]
    default_provider: str | None
    fallback: bool
    findings: tuple[Finding, ...]
    exists: bool = True
    broken: tuple[Finding, ...] = ()
    providers: tuple[ProviderFields, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[RoleFields, ...] = ()
    automatic: AutomaticFields | None = None
    limits: GatewayLimits = field(default_factory=GatewayLimits)
    budgets: tuple[BudgetFields, ...] = ()
    tool_policies: tuple[ToolPolicyFields, ...] = ()
    proxy: ProxyFields | None = None
    embedded: EmbeddedFields | None = None
    unresolved: tuple[Finding, ...] = ()
    reported: int = 0
    plano: str | None = None

    @property
    def written(self) -> tuple[Route, ...]:
        """The entries that the file has itself."""
        return self.routes[: len(self.routes) - self.reported]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors with which a gateway does not use the file.

        Those in ``unresolved`` are not among them: a name that leads nowhere for now, because a
        deployment was removed or stopped, must not keep other changes from taking effect.
        """
        lead_nowhere = set(self.unresolved)
        return tuple(f for f in self.findings if f.level == "error" and f not in lead_nowhere)

    @property
    def valid(self) -> bool:
        """Whether there is no error at all."""
        return not any(finding.level == "error" for finding in self.findings)

    def route(self, name: str) -> Route | None:
        """The entry with that name, or None."""
        return next((r for r in self.routes if r.name == name), None)

    def role(self, name: str) -> RoleFields | None:
        """The role with that id, or None."""
        return next((role for role in self.roles if role.role_id == name), None)
