"""``modelscan explain``: what an engine's log says, without a deployment."""

from __future__ import annotations

import codecs
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import click
import typer

from modelscan.cli.document import Document, Fields, Note
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError
from modelscan.core.workload import BACKENDS

if TYPE_CHECKING:
    from modelscan.engines.explain import LogExplained

_KEPT_BYTES = 32 << 20  # the end of a longer log
_MOST_BYTES = 4 << 30  # of a stream that does not end
_OPEN_FILES = ("/dev/fd/", "/proc/self/fd/")


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
    from modelscan.deploy.explained_log import explain_text

    text, before = _end_of(log)
    answer = explain_text(text, backend, log)
    if answer.line is not None:
        answer = replace(answer, line=answer.line + before)
    return _document(answer)


def _document(answer: LogExplained) -> Document:
    if answer.reason is None:
        words = f"{answer.backend or 'no known engine'}: no error was found in this log"
        return Document("explain", answer, [Note(words)], [])
    pairs: list[tuple[str, object]] = [
        ("engine", answer.backend), ("kind", answer.kind), ("reason", answer.reason),
        ("line", answer.line), ("port", answer.port), ("retry", answer.retry or None),
    ]  # fmt: skip
    shown = [pair for pair in pairs if pair[1] is not None]
    kind = answer.kind or "unknown"
    return Document("explain", answer, [Fields(shown)], [kind], hint=answer.hint)


def _end_of(log: str) -> tuple[str, int]:
    """The end of the log, and how many lines are before it; ``-`` is standard input.

    Raises UsageError if it cannot be read.
    """
    if log == "-":
        return _end(sys.stdin.buffer)
    path = Path(log).expanduser()
    try:
        # A shell's <(command) is a pipe that is open already; another pipe might never be.
        if path.exists() and not path.is_file() and not log.startswith(_OPEN_FILES):
            raise UsageError(f"{log} is not a file", hint="modelscan explain LOG")
        with path.open("rb") as stream:
            return _end(stream)
    except OSError as error:
        raise UsageError(
            f"cannot read {log}: {error.strerror}", hint="modelscan logs NAME | modelscan explain -"
        ) from error


def _end(stream: BinaryIO) -> tuple[str, int]:
    """At most twice ``_KEPT_BYTES`` of text, and the number of lines before it."""
    earlier, late, before = b"", b"", 0
    for _ in range(_MOST_BYTES // _KEPT_BYTES):
        part = stream.read(_KEPT_BYTES)
        if not part:
            break
        before += earlier.count(b"\n")
        earlier, late = late, part
    whole = earlier + late
    if before:  # the first line may be cut
        _, _, whole = whole.partition(b"\n")
        before += 1
    encoding = "utf-16" if whole[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return whole.decode(encoding, "replace"), before


app = single(explain)
