"""The only printer: human (terminal), pipe (tab-separated), JSON and quiet, decided once."""

from __future__ import annotations

import enum
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from modelscan.cli.document import Block, Document, Fields, Note, Table, Text
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json


class Mode(str, enum.Enum):
    HUMAN = "human"
    PIPE = "pipe"
    JSON = "json"
    QUIET = "quiet"


@dataclass(slots=True)
class Output:
    """Where and how to print. Made once per command by ``cli.app``."""

    mode: Mode
    stdout: TextIO
    stderr: TextIO
    color: bool = False
    width: int = 100
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def detect(
        cls, *, as_json: bool, quiet: bool, environ: Mapping[str, str] | None = None
    ) -> Output:
        """Choose the mode from flags and from whether stdout is a terminal."""
        env = os.environ if environ is None else environ
        tty = sys.stdout.isatty()
        mode = Mode.JSON if as_json else Mode.QUIET if quiet else Mode.HUMAN if tty else Mode.PIPE
        plain = bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"
        width = shutil.get_terminal_size((100, 24)).columns
        return cls(mode, sys.stdout, sys.stderr, color=tty and not plain, width=width)

    @property
    def progress(self) -> bool:
        """Progress goes to stderr, and only when a person watches."""
        term_ok = os.environ.get("TERM") != "dumb"
        return self.mode is Mode.HUMAN and self.stderr.isatty() and term_ok

    def warn(self, message: str) -> None:
        """Say it on stderr now; JSON documents carry it in ``warnings`` instead."""
        if message in self.warnings:
            return
        self.warnings.append(message)
        if self.mode is not Mode.JSON:
            self.stderr.write(f"warning: {safe(message)}\n")

    def note(self, message: str) -> None:
        """A sentence for a person, on stderr; nothing in JSON and quiet mode."""
        if self.mode in (Mode.HUMAN, Mode.PIPE):
            self.stderr.write(safe(message) + "\n")

    def emit(self, document: Document) -> None:
        """Print a command's answer in the chosen mode."""
        for warning in document.warnings:
            self.warn(warning)
        if self.mode is Mode.JSON:
            self._json(envelope(document, self.warnings))
        elif self.mode is Mode.QUIET:
            self._write("".join(f"{item}\n" for item in document.ids))
        else:
            for block in document.blocks:
                self._block(block)
            if document.hint and self.mode is Mode.HUMAN:
                self.stderr.write(f"\nhint: {safe(document.hint)}\n")
        self.stdout.flush()

    def event(self, name: str, /, **values: Any) -> None:
        """One line of a JSON Lines stream; nothing in the other modes."""
        if self.mode is Mode.JSON:
            self.stdout.write(json.dumps({"event": name, **to_json(values)}) + "\n")
            self.stdout.flush()

    def line(self, text: str) -> None:
        """A line of a stream (``logs -f``) in human, pipe and quiet mode."""
        self._write(text + "\n")
        self.stdout.flush()

    def error(self, error: ModelscanError) -> None:
        """The error form of the contract, in the chosen mode."""
        if self.mode is Mode.JSON:
            self._json(error_envelope(error))
            self.stdout.flush()
            return
        label = "\x1b[31merror:\x1b[0m" if self.color else "error:"
        self.stderr.write(f"{label} {safe(error.message)}\n")
        if error.hint:
            self.stderr.write(f"\nhint: {safe(error.hint)}\n")

    @contextmanager
    def status(self, text: str) -> Iterator[Progress]:
        """A spinner with a changing text while something takes time (terminal only)."""
        if not self.progress:
            yield Progress(None)
            return
        from rich.console import Console

        console = Console(file=self.stderr, no_color=not self.color)
        with console.status(text) as status:
            yield Progress(status)

    def _json(self, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=self._ascii(), indent=self._indent(), allow_nan=False)
        if any("\ud800" <= c <= "\udfff" for c in text):  # a file name that is no text
            text = json.dumps(value, indent=self._indent(), allow_nan=False)
        self.stdout.write(text + "\n")

    def _indent(self) -> int | None:
        return 2 if self.stdout.isatty() else None

    def _ascii(self) -> bool:
        return "utf" not in (getattr(self.stdout, "encoding", None) or "").lower()

    def _block(self, block: Block) -> None:
        if isinstance(block, Table):
            self._table(block)
        elif isinstance(block, Fields):
            self._fields(block)
        elif isinstance(block, Text):
            self._write((safe(block.text) if self.mode is Mode.HUMAN else block.text) + "\n")
        elif isinstance(block, Note):
            self.note(block.text)

    def _table(self, table: Table) -> None:
        if not table.rows and table.empty:
            self.note(table.empty)
            return
        rows = [[cell(value) for value in row] for row in table.rows]
        if self.mode is Mode.PIPE:
            lines = ["\t".join(table.columns), *("\t".join(flat(c) for c in row) for row in rows)]
            self._write("".join(line + "\n" for line in lines))
        else:
            self._write(render_table(table, rows, self.width))

    def _fields(self, fields: Fields) -> None:
        if self.mode is Mode.PIPE:
            self._write("".join(f"{name}\t{flat(cell(value))}\n" for name, value in fields.pairs))
            return
        width = max((display_width(name) for name, _ in fields.pairs), default=0)
        for name, value in fields.pairs:
            lines = cell(value).split("\n")
            self._write(f"{pad(name, width)}  {lines[0]}\n")
            for line in lines[1:]:
                self._write(f"{' ' * width}  {line}\n")

    def _write(self, text: str) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(text.encode(encoding, "replace").decode(encoding))


class Progress:
    """Updates the spinner; does nothing where there is none."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def update(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)


def envelope(document: Document, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON document: schema first, warnings last."""
    merged = list(dict.fromkeys([*warnings, *document.warnings]))
    schema = f"modelscan.{document.schema}/{document.version}"
    return {"schema": schema, **to_json(document.body), "warnings": merged}


def error_envelope(error: ModelscanError) -> dict[str, Any]:
    """The JSON form of a failure."""
    return {
        "schema": "modelscan.error/1",
        "error": {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "details": to_json(error.details),
        },
    }


def cell(value: object) -> str:
    """A value for a person: unknown is ``-``, booleans are yes/no, lists are comma-separated."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (list, tuple)):
        return ",".join(cell(item) for item in value) or "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return safe(str(value))


def safe(text: str) -> str:
    """Drop control characters (foreign text must not drive the terminal), not newlines."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def flat(text: str) -> str:
    """One line without tabs, for tab-separated output."""
    return " ".join(text.split()) if any(c in text for c in "\t\n") else text


def render_table(table: Table, rows: Sequence[Sequence[str]], width: int) -> str:
    """Aligned columns with upper-case headers; the widest columns shrink to fit the terminal."""
    grid = [list(table.columns), *([flat(c) for c in row] for row in rows)]
    widths = fit_widths(
        [max(display_width(r[i]) for r in grid) for i in range(len(table.columns))], width
    )
    right = {i for i, name in enumerate(table.columns) if name in table.numeric}
    lines = []
    for row in grid:
        cells = [
            pad(clip(text, w), w, right=i in right)
            for i, (text, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def fit_widths(widths: list[int], total: int) -> list[int]:
    """Shrink the widest columns (never the first, never below 8) until the row fits."""
    fitted = list(widths)
    while sum(fitted) + 2 * (len(fitted) - 1) > total:
        candidates = [i for i in range(1, len(fitted)) if fitted[i] > 8]
        if not candidates:
            break
        fitted[max(candidates, key=lambda i: fitted[i])] -= 1
    return fitted


def display_width(text: str) -> int:
    """Terminal cells, counting wide (CJK) characters twice and combining ones not at all."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, width: int) -> str:
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return text + "…"


def pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * max(0, width - display_width(text))
    return space + text if right else text + space
