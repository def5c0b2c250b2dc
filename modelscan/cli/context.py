"""What every command shares: output, settings and the global flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelscan.cli.output import Output

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(slots=True)
class Flags:
    """The global flags; they may stand before or after the command."""

    as_json: bool = False
    quiet: bool = False
    offline: bool = False
    debug: bool = False


@dataclass(slots=True)
class Context:
    """One per process. ``config`` is read when first asked for."""

    flags: Flags = field(default_factory=Flags)
    _output: Output | None = None
    _config: Any = None

    @property
    def output(self) -> Output:
        if self._output is None:
            self._output = Output.detect(as_json=self.flags.as_json, quiet=self.flags.quiet)
        return self._output

    @property
    def config(self) -> Config:
        if self._config is None:
            from modelscan.state.config import load

            self._config = load({"offline": True} if self.flags.offline else {})
        config: Config = self._config
        return config


_context = Context()


def current() -> Context:
    """The context of the running command."""
    return _context


def reset(context: Context | None = None) -> Context:
    """Start afresh: called once per run, and by tests."""
    global _context
    _context = context or Context()
    return _context
