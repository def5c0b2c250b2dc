"""``modelscan completion``: print a shell's completion script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from modelscan.cli.document import Document, Text
from modelscan.cli.framework import single
from modelscan.cli.shells import SHELLS, Shell, script_of
from modelscan.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Completion:
    """A shell's completion script."""

    shell: Shell
    script: str


def completion(
    shell: Annotated[
        str, typer.Argument(help="bash, zsh, fish or powershell (untested).", metavar="SHELL")
    ],
) -> Document[Completion]:
    """Print the completion script of a shell, to be evaluated when the shell starts.

    bash, in ~/.bashrc: eval "$(modelscan completion bash)". zsh, in ~/.zshrc: eval "$(modelscan
    completion zsh)". fish: modelscan completion fish > ~/.config/fish/completions/modelscan.fish.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for '{shell}'", hint="modelscan completion bash")
    script = script_of(shell)
    return Document("completion", Completion(shell, script), [Text(script)], [script])


app = single(completion)
