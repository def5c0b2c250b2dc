"""Output, settings, workspace and global flags of one run of a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from modelscan.cli.output import Output

if TYPE_CHECKING:
    from modelscan.api import Workspace
    from modelscan.core.errors import ModelscanError
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
    tolerant: bool = False  # of settings that cannot be read
    settings_checked: bool = False  # the command itself reports them

    @property
    def output(self) -> Output:
        """The printer, in the mode that flags and terminal determine."""
        if self._output is None:
            self._output = Output.detect(as_json=self.flags.as_json, quiet=self.flags.quiet)
        return self._output

    @property
    def config(self) -> Config:
        """The settings; raises UsageError where a file or a variable is broken, or warns of it if
        ``tolerant``."""
        if self._config is None:
            from modelscan.state.config import load

            flags = {"offline": True} if self.flags.offline else {}
            self._config = load(flags, tolerant=self.tolerant)
            if not self.settings_checked:
                self._warn_of(self._config.problems)
        config: Config = self._config
        return config

    def _warn_of(self, problems: Sequence[ModelscanError]) -> None:
        """The first problem of the settings with its remedy; ``doctor`` lists more."""
        for problem in problems[:1]:
            more = f"; {len(problems) - 1} more: modelscan doctor" if len(problems) > 1 else ""
            self.output.warn(f"{problem.message} ({problem.hint}){more}")

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
