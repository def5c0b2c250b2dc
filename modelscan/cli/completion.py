"""``modelscan completion``: print a shell's completion script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from modelscan.cli.document import Document, Text
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Completion:
    """A shell's completion script."""

    shell: Literal["bash", "zsh", "fish"]
    script: str


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL")],
) -> Document[Completion]:
    """Print the completion script, e.g. for bash: eval "$(modelscan completion bash)"."""
    from click.shell_completion import get_completion_class

    factory = get_completion_class(shell) if shell in SHELLS else None
    if factory is None:
        raise UsageError(f"no completion for '{shell}'", hint="modelscan completion bash")
    script = factory(None, {}, "modelscan", "_MODELSCAN_COMPLETE").source()  # type: ignore[arg-type]
    answer = Completion(shell, script)  # type: ignore[arg-type]
    return Document("completion", answer, [Text(script)], [script])


app = single(completion)
