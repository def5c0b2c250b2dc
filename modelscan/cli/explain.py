"""``modelscan explain``: what an engine's log says, without a deployment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from modelscan.cli.document import Document, Fields, Note
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError
from modelscan.core.workload import BACKENDS

_MOST_BYTES = 64 << 20  # the end of a longer log


def explain(
    log: Annotated[str, typer.Argument(metavar="LOG|-", help="A file with an engine's log.")],
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            click_type=click.Choice(list(BACKENDS), case_sensitive=False),
            help="The engine (default: recognised by its words).",
        ),
    ] = None,
) -> Document:
    """Explain why an engine did not start, from its log: the cause, and what to try."""
    from modelscan.engines.explain import explain_log
    from modelscan.state.secrets import redact

    answer = explain_log(redact(_text(log)), backend)
    if answer.reason is None:
        text = f"{answer.backend or 'no known engine'}: no error was found in this log"
        return Document("explain", answer, [Note(text)], [])
    pairs: list[tuple[str, object]] = [
        ("engine", answer.backend), ("kind", answer.kind), ("reason", answer.reason),
        ("line", answer.line), ("retry", answer.retry or None),
    ]  # fmt: skip
    shown = [pair for pair in pairs if pair[1] is not None]
    kind = answer.kind or "unknown"
    return Document("explain", answer, [Fields(shown)], [kind], hint=answer.hint)


def _text(log: str) -> str:
    """The end of the log; ``-`` is standard input. Raises UsageError if it cannot be read."""
    if log == "-":
        return sys.stdin.buffer.read(_MOST_BYTES).decode("utf-8", "replace")
    path = Path(log).expanduser()
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{log} is not a file", hint="modelscan explain LOG")
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _MOST_BYTES))
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"cannot read {log}: {error.strerror}", hint="modelscan logs NAME | modelscan explain -"
        ) from error


app = single(explain)
