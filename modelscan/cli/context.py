"""Output, settings, workspace and global flags of one run of a command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from modelscan.cli.output import Output

if TYPE_CHECKING:
    from modelscan.api import Workspace
    from modelscan.state.config import Config


@dataclass(slots=True)
class Flags:
    """The global flags, given before or after the command."""

    as_json: bool = False
    quiet: bool = False
    offline: bool = False
    debug: bool = False


@dataclass(slots=True)
class Context:
    """One per run of a command. ``config`` is read at its first use."""

    flags: Flags = field(default_factory=Flags)
    _output: Output | None = None
    _config: Any = None
    _workspace: Any = None

    @property
    def output(self) -> Output:
        """The printer, in the mode that flags and terminal determine."""
        if self._output is None:
            self._output = Output.detect(as_json=self.flags.as_json, quiet=self.flags.quiet)
        return self._output

    @property
    def config(self) -> Config:
        """The settings; raises UsageError where a file or a variable is broken."""
        if self._config is None:
            from modelscan.state.config import load

            self._config = load({"offline": True} if self.flags.offline else {})
        config: Config = self._config
        return config

    @property
    def workspace(self) -> Workspace:
        """The public interface over these settings; its warnings go to ``output``."""
        if self._workspace is None:
            from modelscan.api import Workspace

            self._workspace = Workspace(lambda: self.config, on_warning=self.output.warn)
        workspace: Workspace = self._workspace
        return workspace


def current() -> Context:
    """The context of the command that this thread runs (Click keeps it per thread)."""
    context = click.get_current_context().find_root().obj
    assert isinstance(context, Context)
    return context
