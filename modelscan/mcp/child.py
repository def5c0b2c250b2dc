"""One command of modelscan in a process of its own: its document, its events, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from modelscan.core.envelope import schema_id
from modelscan.core.errors import ModelscanError

# With -m, modules of the folder in which the assistant works would come before modelscan's own.
_START = (
    "import sys; sys.path[:] = [one for one in sys.path if one]; "
    "from modelscan.__main__ import main; main()"
)
_LONGEST_LINE = 32 << 20
_CLEAN_UP_S = 60.0
_LAST_WORDS = 2000
_ERROR = schema_id("error")
OnEvent = Callable[[Mapping[str, Any]], Awaitable[None]]


class CommandError(ModelscanError):
    """The failure that a command printed."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command wrote on its standard streams, and its exit status."""

    code: int
    out: str
    err: str


async def run_command(words: Sequence[str], on_event: OnEvent, *, offline: bool) -> dict[str, Any]:
    """The document of a command line; ``on_event`` receives the lines before it.

    Cancelled, the command ends as by Ctrl-C (a deploy is undone) before this returns. Raises
    CommandError with what the command printed as its error.
    """
    flags = ["--offline"] if offline else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _START, *flags, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, limit=_LONGEST_LINE, env={**os.environ, "NO_COLOR": "1"},
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        document = await _read(process, on_event)
        await process.wait()
        last_words = (await errors).decode(errors="replace")
    finally:
        errors.cancel()
        await _end(process)
    return _checked(document, process.returncode, last_words)


async def _read(process: asyncio.subprocess.Process, on_event: OnEvent) -> dict[str, Any] | None:
    """The last line that is a document; the others are events."""
    assert process.stdout is not None
    document: dict[str, Any] | None = None
    while line := await _line(process.stdout):
        value = _row(line)
        if value is None:
            continue
        name = value.pop("event", None)
        if "schema" in value:
            document = value
        elif name is not None:
            await on_event({"event": name, **value})
    return document


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:
        raise _too_long() from None


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM is what commands that can be undone treat like Ctrl-C; others end at once."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        with anyio.move_on_after(_CLEAN_UP_S, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()


def document_of(printed: Printed) -> dict[str, Any]:
    """The last line of a command that is a document; raises CommandError with its error."""
    if len(printed.out) > _LONGEST_LINE:
        raise _too_long()
    documents = [row for row in map(_row, printed.out.splitlines()) if row and "schema" in row]
    return _checked(documents[-1] if documents else None, printed.code, printed.err)


def _row(line: str | bytes) -> dict[str, Any] | None:
    """A line that is a JSON object."""
    with contextlib.suppress(ValueError):
        value = json.loads(line)
        return value if isinstance(value, dict) else None
    return None


def _too_long() -> ModelscanError:
    text = f"the answer is longer than {_LONGEST_LINE >> 20} MiB"
    return ModelscanError(text, hint="use a smaller limit")


def _checked(document: dict[str, Any] | None, code: int | None, words: str) -> dict[str, Any]:
    """The document; raises CommandError for an error and for a command without one."""
    if document is None:
        text = words.strip()[-_LAST_WORDS:] or "it printed nothing"
        raise ModelscanError(f"the command ended with status {code}: {text}")
    if document["schema"] == _ERROR:
        error = document["error"]
        raise CommandError(
            error["message"], hint=error["hint"], code=error["code"], details=error["details"]
        )
    return document
