"""Requests written to a file: redacted, with provenance and a hash. Nothing is sent anywhere."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, get_args

import msgspec

from modelscan import __version__
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.receipt import Receipt
from modelscan.state.clock import now_text
from modelscan.state.files import PRIVATE_FILE, ensure_dir, explain_os_errors
from modelscan.traces.content_view import ContentView
from modelscan.traces.otlp import resource, scope_spans
from modelscan.traces.redaction.redact import RULES_VERSION, Redactor
from modelscan.traces.spans import Price, span_of

ExportFormat = Literal["otlp-json", "jsonl"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_SPANS_PER_LINE = 512
_MOST_NAMES = 200
# Words of our own and identifiers: nothing of a user is in them.
_FIXED = ("trace_id", "span_id", "parent_span_id", "started_at", "operation", "tier", "depth")
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class TraceExported:
    """What was written. ``contents``: spans with texts; ``redactions``: replaced values per kind;
    ``sha256``: of everything after the header (``otlp-json``: of the spans, see the docs)."""

    file: str
    format: ExportFormat
    spans: int
    contents: int
    redactions: dict[str, int]
    sha256: str


@dataclass(slots=True)
class _Seen:
    """What the header says of all spans."""

    spans: int = 0
    contents: int = 0
    inputs: Any = field(default_factory=hashlib.sha256)
    names: dict[str, Counter[str]] = field(
        default_factory=lambda: {
            "served_model": Counter(),
            "provider": Counter(),
            "route": Counter(),
        }
    )

    def add(self, receipt: Receipt, span: dict[str, Any]) -> None:
        self.spans += 1
        self.contents += span["content"] is not None
        self.inputs.update(_encode(receipt))
        for name, counts in self.names.items():
            if span[name] is not None:
                counts[span[name]] += 1

    def most(self, name: str) -> list[str]:
        return [one for one, _ in self.names[name].most_common(_MOST_NAMES)]


@dataclass(slots=True)
class TraceExport:
    """One export. ``texts``: where kept texts are read, None: the file has none."""

    receipts: Iterable[Receipt]
    redactor: Redactor
    price: Price
    texts: ContentView | None = None
    _seen: _Seen = field(default_factory=_Seen)

    def write(self, file: Path, format: ExportFormat) -> TraceExported:
        """Write the file (mode 0600), or leave what was there.

        Raises ModelscanError, with nothing written, if a secret is still there after redaction.
        """
        ensure_folder(file)
        with explain_os_errors(file), temporary(file) as body, temporary(file) as whole:
            for line in self._lines(format):
                body.write(line)
            digest = _digest(body)
            self._finish(body, whole, format, digest)
            whole.flush()
            os.fsync(whole.fileno())
            Path(whole.name).replace(file)
        seen, counts = self._seen, dict(sorted(self.redactor.counts.items()))
        return TraceExported(str(file), format, seen.spans, seen.contents, counts, digest)

    def _lines(self, format: ExportFormat) -> Iterator[bytes]:
        spans = map(self._span, self.receipts)
        if format == "jsonl":
            yield from map(_line, spans)
            return
        while batch := list(itertools.islice(spans, _SPANS_PER_LINE)):
            yield _line(scope_spans(batch, __version__))

    def _span(self, receipt: Receipt) -> dict[str, Any]:
        span = clean_span(receipt, self.redactor, self.price, self.texts)
        self._seen.add(receipt, span)
        return span

    def _finish(
        self, body: IO[bytes], whole: IO[bytes], format: ExportFormat, digest: str
    ) -> None:  # fmt: skip
        header = self._header(format)
        body.seek(0)
        if format == "jsonl":
            whole.write(_line({**header, "sha256": digest}))
            whole.writelines(body)
            return
        values = {"service.name": "modelscan", "service.version": __version__}
        values["modelscan.provenance"] = json.dumps(header["provenance"])
        values["modelscan.sha256"] = digest
        around = _line({"resourceSpans": [{"resource": resource(values), "scopeSpans": ["@"]}]})
        before, _, after = around.rstrip().partition(b'"@"')
        for line in body:
            whole.write(before + line.rstrip(b"\n") + after + b"\n")

    def _header(self, format: ExportFormat) -> dict[str, Any]:
        seen = self._seen
        provenance = {
            "model": seen.most("served_model"),
            "provider": seen.most("provider"),
            "route": seen.most("route"),
            "tool_policy": None,
            "inputs_sha256": seen.inputs.hexdigest(),
            "redaction": {
                "rules_version": RULES_VERSION,
                "counts": dict(sorted(self.redactor.counts.items())),
            },
            "created_at": now_text(),
            "modelscan": __version__,
            "format": format,
        }
        return {"schema": "modelscan.trace.header/1", "provenance": provenance}


def clean_span(
    receipt: Receipt, redactor: Redactor, price: Price, texts: ContentView | None
) -> dict[str, Any]:
    """A request as a redacted span, with its texts where ``texts`` has them.

    Raises ModelscanError if the second scan finds a secret.
    """
    content = None if texts is None else texts.of(receipt)
    plain: dict[str, Any] = to_json(span_of(receipt, price, content))
    fixed = {name: plain.pop(name) for name in _FIXED}
    return {**fixed, **redacted(redactor, plain, receipt.trace_id)}


def redacted(redactor: Redactor, value: dict[str, Any], what: str) -> dict[str, Any]:
    """The value without secrets. Raises ModelscanError if the second scan finds one."""
    clean: dict[str, Any] = redactor.value(value)
    left = redactor.leaks(clean)
    if left:
        raise ModelscanError(
            f"nothing was written: after redaction {what} still contains {', '.join(left)}",
            hint=f"modelscan trace show {what}",
            code="redaction_failed",
        )
    return clean


def ensure_folder(file: Path) -> None:
    """Raises UsageError for a place that cannot be a file."""
    if file.is_dir() or str(file) == "-":
        raise UsageError(
            f"'{file}' is no file: an export goes to a file",
            hint="modelscan trace export spans.jsonl",
        )
    if not file.parent.exists():
        ensure_dir(file.parent)


@contextlib.contextmanager
def temporary(file: Path) -> Iterator[IO[bytes]]:
    """A private file next to ``file`` that is deleted at the end, unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    path = Path(name)
    try:
        os.close(descriptor)
        with path.open("w+b") as stream:
            path.chmod(PRIVATE_FILE)
            yield stream
    finally:
        path.unlink(missing_ok=True)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _digest(body: IO[bytes]) -> str:
    body.seek(0)
    digest = hashlib.sha256()
    while block := body.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
