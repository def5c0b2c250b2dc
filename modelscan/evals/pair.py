"""Which two reports ``eval compare A B`` means: ids and files, or the newest runs of two routes."""

from __future__ import annotations

from modelscan.core.errors import UsageError
from modelscan.evals.compare import check_document
from modelscan.evals.report import EvalReport
from modelscan.evals.storage import find_document, report_of, stored_reports
from modelscan.state.paths import Paths


def find_pair(paths: Paths, a: str, b: str, suite: str | None) -> tuple[EvalReport, EvalReport]:
    """The two reports; with ``suite`` the newest valid run of each route.

    Raises UsageError where one does not exist or its receipt lacks a field.
    """
    return _find(paths, a, suite), _find(paths, b, suite)


def _find(paths: Paths, name: str, suite: str | None) -> EvalReport:
    if suite is None:
        document = find_document(paths, name)
        check_document(document, name)
        return report_of(document, name)
    for report in stored_reports(paths, suite):
        if report.receipt.route == name and report.status == "valid":
            return report
    raise UsageError(
        f"there is no valid run of {suite} on {name}",
        hint=f"modelscan eval run {suite} --route {name}",
        code="unknown_report",
    )
