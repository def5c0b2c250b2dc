"""Stored reports and samples: ingest, list, show, export. Opens the server's database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.bench.report import BenchReport
from modelscan.bench.report_reader import (
    MOST_BYTES,
    GivenReport,
    ReportFault,
    read_report,
    read_report_text,
)
from modelscan.core.envelope import envelope
from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json
from modelscan.core.nearest import nearest
from modelscan.state.files import write_atomic

if TYPE_CHECKING:
    from modelscan.bench.samples import BenchIngested, BenchList, Resolve
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

SCHEMA = "bench.run"


@dataclass(frozen=True, slots=True)
class BenchExported:
    """The file that was written, and how many results it has."""

    file: str
    samples: int


def ingest_files(files: Sequence[Path], config: Config) -> BenchIngested:
    """Store the results of reports. All files are read first: a wrong one stores nothing.

    Raises UsageError for a file that cannot be read or is no report.
    """
    reports = [read_file(file) for file in files]
    return ingest_reports(reports, config)


def ingest_report(report: BenchReport, config: Config) -> BenchIngested:
    """Store the results of a run."""
    document = envelope(SCHEMA, report)
    return ingest_reports([read_report(document, time.time())], config)


def ingest_reports(reports: Sequence[GivenReport], config: Config) -> BenchIngested:
    """Store the results of reports that were read; the counts of all of them."""
    from modelscan.bench.samples import BenchIngested, ingest

    resolve = resolver(config)
    with server_database(config) as database:
        answers = [ingest(database, one, resolve) for one in reports]
    return BenchIngested(
        accepted=sum(one.accepted for one in answers),
        duplicates=sum(one.duplicates for one in answers),
        matched_services=tuple(
            dict.fromkeys(name for one in answers for name in one.matched_services)
        ),
        unmatched=tuple(each for one in answers for each in one.unmatched),
    )


def list_samples(
    config: Config, *, route: str | None, workload: str | None, limit: int | None
) -> BenchList:
    """The stored results of a route (an entry, or the service as a report names it)."""
    from modelscan.bench.samples import BenchList, samples

    with server_database(config) as database:
        return BenchList(samples(database, service=route, workload=workload, limit=limit))


def export_samples(
    file: Path, config: Config, *, route: str | None = None, workload: str | None = None
) -> BenchExported:
    """Write the stored results as a report that modelscan and GenieHive read."""
    from modelscan.bench.samples import sample_rows

    stored = list_samples(config, route=route, workload=workload, limit=None).samples
    document = {
        "schema": "modelscan.bench.export/1",
        "observed_at": max((one.observed_at for one in stored), default=None),
        "source": "modelscan",
        "samples": sample_rows(stored),
        "warnings": [],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_atomic(file, text.encode())
    return BenchExported(str(file), len(stored))


def write_report(report: BenchReport, file: Path) -> None:
    """Write a run's report as the JSON that ``bench ingest`` reads."""
    text = json.dumps(envelope(SCHEMA, report), indent=2, ensure_ascii=False) + "\n"
    write_atomic(file, text.encode())


def find_report(name: str, config: Config) -> BenchReport:
    """A report by its id, by a beginning of it, by a sample's id, or a file.

    Raises UsageError where there is none, or where it has no measurements of modelscan.
    """
    if Path(name).is_file():
        document = _document(Path(name))
        return _report(document, name)
    from modelscan.bench.samples import report_ids, stored_report

    wanted = name.partition("/")[0]
    with server_database(config) as database:
        ids = report_ids(database)
        matches = [one for one in ids if one == name] or [
            one for one in ids if one.startswith(wanted)
        ]
        if len(matches) != 1:
            raise _unknown(name, matches, ids)
        stored = stored_report(database, matches[0])
    return _report(stored or {}, matches[0])


def read_file(file: Path) -> GivenReport:
    """The samples of a file. Raises UsageError."""
    try:
        return read_report_text(_text(file), time.time())
    except ReportFault as error:
        raise UsageError(
            f"{file} is no benchmark report: {error}",
            hint="modelscan bench run NAME -o report.json",
            code="bad_report",
        ) from error


def resolver(config: Config) -> Resolve:
    """Finds the entries of the routing file that samples are about."""
    from modelscan.bench.matching import matcher
    from modelscan.deploy.deployments import Deployments
    from modelscan.deploy.route_world import route_world
    from modelscan.routing.file import load

    file = load(config.routing_file)
    deployments = Deployments(config).list() if file.routes else ()
    return matcher(file, route_world(file, config, deployments))


@contextmanager
def server_database(config: Config) -> Iterator[ServerDatabase]:
    """The server's database. Raises UsageError where the packages for it are missing."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan bench")
    from modelscan.state.server.database import open_server

    with open_server(config) as database:
        yield database


def _report(document: Mapping[str, Any], name: str) -> BenchReport:
    """A stored document as a report of modelscan."""
    try:
        return from_json(BenchReport, document)
    except NotReadable as error:
        source = document.get("source")
        by = f" by {source}" if isinstance(source, str) else ""
        raise UsageError(
            f"'{name}' was written{by} and has no measurements of modelscan ({error})",
            hint="modelscan bench list",
            code="foreign_report",
        ) from error


def _document(file: Path) -> Mapping[str, Any]:
    try:
        value = json_value(_text(file))
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}", hint="modelscan bench list") from error
    return value if isinstance(value, dict) else {}


def _text(file: Path) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="modelscan bench ingest FILE"
        ) from error


def _unknown(name: str, matches: Sequence[str], ids: Sequence[str]) -> UsageError:
    if matches:
        return UsageError(
            f"'{name}' is the beginning of {len(matches)} reports: {', '.join(matches[:5])}",
            hint=f"modelscan bench show {matches[0]}",
        )
    near = nearest(name, ids)
    return UsageError(
        f"there is no report '{name}'",
        hint=f"modelscan bench show {near[0]}" if near else "modelscan bench list",
        code="unknown_report",
    )
