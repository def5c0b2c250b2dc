"""Reports in the state folder: ``evals/ID/report.json``, read and listed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.envelope import envelope
from modelscan.core.errors import UsageError
from modelscan.core.jsonform import NotReadable, from_json
from modelscan.core.nearest import nearest
from modelscan.evals.report import EvalReport
from modelscan.state.files import write_atomic
from modelscan.state.paths import Paths

SCHEMA = "eval.run"
_REPORT = "report.json"
_MAX_BYTES = 64 * 1024 * 1024


def evals_dir(paths: Paths) -> Path:
    """The folder of reports and of the processes' logs."""
    return paths.state / "evals"


def new_id() -> str:
    """An id of a run."""
    return f"e-{secrets.token_hex(6)}"


def store(paths: Paths, report: EvalReport) -> Path:
    """Write a report under its id."""
    path = evals_dir(paths) / report.eval_id / _REPORT
    write_atomic(path, json.dumps(envelope(SCHEMA, report), indent=1))
    return path


def write_report(file: Path, report: EvalReport) -> None:
    """Write a report to any file."""
    write_atomic(file, json.dumps(envelope(SCHEMA, report), indent=1))


@dataclass(frozen=True, slots=True)
class EvalsExported:
    """The written file: one report per line, the oldest first."""

    file: Path
    reports: int
    sha256: str


def export_reports(paths: Paths, file: Path, suite: str | None = None) -> EvalsExported:
    """Write the stored reports as JSON Lines."""
    lines = [json.dumps(envelope(SCHEMA, one)) for one in reversed(stored_reports(paths, suite))]
    data = "".join(f"{line}\n" for line in lines).encode()
    write_atomic(file, data)
    return EvalsExported(file, len(lines), hashlib.sha256(data).hexdigest())


def stored_reports(paths: Paths, suite: str | None = None) -> tuple[EvalReport, ...]:
    """All readable reports, the newest first."""
    reports = sorted(_readable(paths), key=lambda one: one.receipt.started_at, reverse=True)
    return tuple(one for one in reports if suite is None or one.suite.name == suite)


def _readable(paths: Paths) -> Iterator[EvalReport]:
    for path in evals_dir(paths).glob(f"*/{_REPORT}"):
        try:
            yield report_of(read_document(path), str(path))
        except UsageError:
            continue  # ``eval show`` reports what is wrong with it


def report_ids(paths: Paths) -> list[str]:
    """The ids of the stored reports, in alphabetical order."""
    return sorted(one.parent.name for one in evals_dir(paths).glob(f"*/{_REPORT}"))


def find_report(paths: Paths, text: str) -> EvalReport:
    """A report by its id, a unique beginning of it, or the path of its file."""
    return report_of(find_document(paths, text), text)


def find_document(paths: Paths, text: str) -> dict[str, Any]:
    """The JSON of a report. Raises UsageError if there is none or several begin so."""
    path = Path(text)
    if path.suffix == ".json" or path.is_file():
        return read_document(path)
    ids = report_ids(paths)
    matching = [one for one in ids if one.startswith(text)]
    if text in ids or len(matching) == 1:
        return read_document(evals_dir(paths) / (text if text in ids else matching[0]) / _REPORT)
    near = matching or nearest(text, ids, limit=3)
    raise UsageError(
        f"'{text}' begins {len(matching)} reports" if matching else f"there is no report '{text}'",
        hint="modelscan eval list",
        code="unknown_report",
        details={"nearest": near},
    )


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UsageError for anything else."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than any report")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="modelscan eval list", code="unreadable"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", hint="modelscan eval list") from error
    if not isinstance(value, dict) or value.get("schema") != f"modelscan.{SCHEMA}/1":
        raise UsageError(f"{path} is no eval report", hint="modelscan eval list", code="no_report")
    return value


def report_of(document: dict[str, Any], where: str) -> EvalReport:
    """The typed report. Raises UsageError that names the missing or wrong field."""
    try:
        return from_json(EvalReport, document)
    except NotReadable as error:
        raise UsageError(
            f"{where}: {error}", hint="modelscan eval run SUITE --route ROUTE", code="report_field"
        ) from error
