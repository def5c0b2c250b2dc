"""The routing file's tool policies as types; ``eval run --tool-policy`` reads one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelscan.core.finding import Finding
from modelscan.core.receipt import Approval
from modelscan.core.typed_reader import described
from modelscan.routing.table import ToolPolicySpec


@dataclass(frozen=True, slots=True)
class ToolPolicyFields:
    """Which tools a model may be offered: patterns of names, `*` and `?`, in either case."""

    name: str = field(metadata=described("The policy's name, as receipts state it."))
    deny: list[str] | None = field(
        default=None, metadata=described("Removed from requests; wins over the other lists.")
    )
    confirm: list[str] | None = field(
        default=None,
        metadata=described("Offered, and named in the answer's header X-Modelscan-Tools."),
    )
    allow: list[str] | None = field(default=None, metadata=described("Offered."))
    default: Approval = field(default="allow", metadata=described("For tools that no list names."))
    routes: list[str] | None = field(
        default=None,
        metadata=described("Only for these entries, models, aliases and roles (and `keys`)."),
    )
    keys: list[str] | None = field(
        default=None, metadata=described("Only for requests of these keys (and for `routes`).")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A policy that would decide nothing."""
        if not (self.deny or self.confirm or self.allow) and self.default == "allow":
            message = f"{where} needs deny, confirm, or a default"
            yield Finding("error", where, message, "deny: [delete_*]")


def spec_of(fields: ToolPolicyFields) -> ToolPolicySpec:
    """The policy as the gateway applies it."""
    return ToolPolicySpec(
        name=fields.name,
        deny=tuple(fields.deny or ()),
        confirm=tuple(fields.confirm or ()),
        allow=tuple(fields.allow or ()),
        default=fields.default,
        routes=tuple(fields.routes or ()),
        keys=tuple(fields.keys or ()),
    )
