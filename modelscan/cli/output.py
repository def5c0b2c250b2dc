"""The only printer: human (terminal), pipe (tab-separated), JSON or quiet mode."""

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

from modelscan.cli.document import Bar, Block, Document, Fields, Markdown, Note, Table, Text
from modelscan.core.errors import ModelscanError


class Mode(str, enum.Enum):
    """How results are written: for a terminal, a pipe, a JSON reader, or not at all."""

    HUMAN = "human"
    PIPE = "pipe"
    JSON = "json"
    QUIET = "quiet"


@dataclass(slots=True)
class Output:
    """Streams and mode of one command's output."""

    mode: Mode
    stdout: TextIO
    stderr: TextIO
    color: bool = False
    width: int = 100
    warnings: list[str] = field(default_factory=list)
    emitted: bool = False  # whether a document was printed

    @classmethod
    def detect(
        cls,
        *,
        as_json: bool,
        quiet: bool,
        environ: Mapping[str, str] | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> Output:
        """Choose the mode by the flags and by whether ``stdout`` is a terminal.

        The streams default to those of the process.
        """
        env = os.environ if environ is None else environ
        out, err = stdout or sys.stdout, stderr or sys.stderr
        tty = out.isatty()
        mode = Mode.JSON if as_json else Mode.QUIET if quiet else Mode.HUMAN if tty else Mode.PIPE
        plain = bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"
        width = shutil.get_terminal_size((100, 24)).columns
        return cls(mode, out, err, color=tty and not plain, width=width)

    @property
    def progress(self) -> bool:
        """Whether to show progress: only on a terminal, on stderr."""
        term_ok = os.environ.get("TERM") != "dumb"
        return self.mode is Mode.HUMAN and self.stderr.isatty() and term_ok

    def warn(self, message: str) -> None:
        """Print a warning on stderr; in JSON mode it is in the document's ``warnings`` instead."""
        if message in self.warnings:
            return
        self.warnings.append(message)
        if self.mode is not Mode.JSON:
            self._labelled("warning:", message, "33")

    def note(self, message: str) -> None:
        """Print a sentence on stderr; nothing in JSON and quiet mode."""
        if self.mode is Mode.PIPE:
            self.stderr.write(safe(message) + "\n")
        elif self.mode is Mode.HUMAN:
            self.stderr.write(self._wrapped(safe(message)) + "\n")

    def emit(self, document: Document) -> None:
        """Print a command's document in the chosen mode."""
        self.emitted = True
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
                self._hint(document.hint)
        self.stdout.flush()

    def event(self, name: str, /, **values: Any) -> None:
        """Print one line of a JSON Lines stream; nothing in the other modes."""
        if self.mode is Mode.JSON:
            from modelscan.core.jsonform import to_json

            self.stdout.write(json.dumps({"event": name, **to_json(values)}) + "\n")
            self.stdout.flush()

    @property
    def events(self) -> TextIO | None:
        """Where a thread may write the lines of a JSON Lines stream; None: not in this mode."""
        return self.stdout if self.mode is Mode.JSON else None

    def line(self, text: str) -> None:
        """Print a line of a stream (``logs -f``) in human, pipe and quiet mode."""
        self._write(text + "\n")
        self.stdout.flush()

    def program_line(self, text: str) -> None:
        """A line of a program's output, on stderr: the result of the command is the document."""
        if self.mode is not Mode.QUIET:
            self.stderr.write(safe(text) + "\n")
            self.stderr.flush()

    def redraw(self) -> None:
        """Move to the top of an emptied terminal; nothing elsewhere."""
        if self.mode is Mode.HUMAN and self.stdout.isatty() and self.width:
            self.stdout.write("\x1b[H\x1b[2J\x1b[3J")

    def piece(self, text: str, *, dim: bool = False) -> None:
        """Print a piece of a text that arrives bit by bit."""
        self._write(f"\x1b[2m{text}\x1b[0m" if dim and self.color else text)
        self.stdout.flush()

    def error(self, error: ModelscanError) -> None:
        """Print an error in the chosen mode."""
        if self.mode is Mode.JSON:
            from modelscan.core.envelope import error_envelope

            self._json(error_envelope(error))
            self.stdout.flush()
            return
        self._labelled("error:", error.message, "31")
        if error.hint:
            self._hint(error.hint)

    def _hint(self, text: str) -> None:
        self.stderr.write("\n")
        self._labelled("hint:", text, "1")

    def _labelled(self, label: str, text: str, style: str) -> None:
        """A label in a terminal's style (an SGR number), and a text with a hanging indent."""
        text = safe(text)
        if self.mode is Mode.HUMAN and len(label) + 1 + len(text) > self.width:
            from modelscan.cli.terminal import wrap

            indent = " " * (len(label) + 1)
            text = wrap(text, self.width - len(indent)).replace("\n", f"\n{indent}")
        shown = f"\x1b[{style}m{label}\x1b[0m" if self.color else label
        self.stderr.write(f"{shown} {text}\n")

    @contextmanager
    def status(self, text: str) -> Iterator[StatusText]:
        """A spinner with a changing text during a long operation (terminal only)."""
        if not self.progress:
            yield StatusText(None)
            return
        from modelscan.cli.terminal import spinner

        with spinner(self.stderr, text, color=self.color) as status:
            yield StatusText(status)

    def _json(self, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=self._ascii(), indent=self._indent(), allow_nan=False)
        if any("\ud800" <= c <= "\udfff" for c in text):  # a file name that is not UTF-8
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
        elif isinstance(block, Markdown):
            self._markdown(block)
        elif isinstance(block, Bar) and self.mode is Mode.HUMAN:
            from modelscan.cli.terminal import draw_bar

            self._write(draw_bar(block, self.width, color=self.color))

    def _table(self, table: Table) -> None:
        if not table.rows and table.empty:
            self.note(table.empty)
            return
        if self.mode is Mode.PIPE:
            rows = [[flat(cell(value)) for value in row] for row in table.rows]
            lines = ["\t".join(table.columns), *("\t".join(row) for row in rows)]
            self._write("".join(line + "\n" for line in lines))
            return
        from modelscan.cli.terminal import draw_table

        rows = [[flat(for_person(value)) for value in row] for row in table.rows]
        self._write(draw_table(table, rows, self.width, color=self.color))

    def _markdown(self, block: Markdown) -> None:
        if self.mode is Mode.PIPE:
            self._write(block.text)
            return
        from modelscan.cli.manual_page import draw_markdown

        self._write(draw_markdown(block, self.width, color=self.color))

    def _fields(self, fields: Fields) -> None:
        if self.mode is Mode.PIPE:
            lines = (f"{name}\t{flat(cell(value))}\n" for name, value in fields.pairs)
            self._write("".join(lines))
            return
        from modelscan.cli.terminal import draw_fields

        pairs = [(name, for_person(value)) for name, value in fields.pairs]
        self._write(draw_fields(pairs, self.width, color=self.color))

    def _wrapped(self, text: str) -> str:
        """Wrap prose between words on a terminal only."""
        if self.mode is not Mode.HUMAN or len(text) <= self.width:
            return text
        from modelscan.cli.terminal import wrap

        return wrap(text, self.width)

    def _write(self, text: str) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(text.encode(encoding, "replace").decode(encoding))


class StatusText:
    """The spinner's text; updates have no effect without a spinner."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def update(self, text: str) -> None:
        """Replace the spinner's text."""
        if self._status is not None:
            self._status.update(text)


def envelope(document: Document[Any], warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON document of a command."""
    from modelscan.core.envelope import envelope as frame

    merged = [*warnings, *document.warnings]
    return frame(document.schema, document.body, merged, version=document.version)


def cell(value: object) -> str:
    """A value as text: unknown is ``-``, booleans are yes/no, lists are comma-separated."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (list, tuple)):
        return ",".join(cell(item) for item in value) or "-"
    if isinstance(value, float):
        return _decimal(value)
    return safe(str(value))


def _decimal(value: float) -> str:
    """Four significant digits, never an exponent: ``0.15``, ``12345``."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    text = f"{value:.4g}"
    return f"{value:.9f}".rstrip("0").rstrip(".") if "e" in text else text


def for_person(value: object) -> str:
    """Like ``cell``, for a terminal: thousands separators, and lists that can wrap."""
    if isinstance(value, (list, tuple)):
        return ", ".join(for_person(item) for item in value) or "-"
    if isinstance(value, int) and not isinstance(value, (bool, enum.Enum)):
        return f"{value:,}"
    return cell(value)


def safe(text: str) -> str:
    """Remove control characters but newlines and tabs: foreign text must not control a terminal."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def flat(text: str) -> str:
    """One line without tabs, for tab-separated output."""
    return " ".join(text.split()) if any(c in text for c in "\t\n") else text
