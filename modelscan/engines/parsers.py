"""Names of an engine's parsers for one family, in the order of preference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelscan.engines.launch_rules import ParserKind
    from modelscan.engines.version_tables import VersionFacts


class Parsers(NamedTuple):
    """``tool``: of tool calls; ``reasoning``: of the thinking part; () for none."""

    tool: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()

    def first(self, kind: ParserKind, facts: VersionFacts) -> str | None:
        """The first parser of this kind that the version has; None if it has none."""
        names = self.tool if kind == "tool" else self.reasoning
        return next((name for name in names if facts.has(f"{kind}_parser", name)), None)
