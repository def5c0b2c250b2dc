"""``modelscan completion``: print a shell's completion script."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli.document import Document, Text
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL")],
) -> Document:
    """Print the completion script, e.g. for bash: eval "$(modelscan completion bash)"."""
    from click.shell_completion import get_completion_class

    factory = get_completion_class(shell) if shell in SHELLS else None
    if factory is None:
        raise UsageError(f"no completion for '{shell}'", hint="modelscan completion bash")
    script = factory(None, {}, "modelscan", "_MODELSCAN_COMPLETE").source()  # type: ignore[arg-type]
    return Document("completion", {"shell": shell, "script": script}, [Text(script)], [script])


app = single(completion)
