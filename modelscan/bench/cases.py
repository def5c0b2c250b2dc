"""The answers of a workload against its checks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from modelscan.bench.checks import failed_checks
from modelscan.bench.report import CaseResult, FailedCheck
from modelscan.bench.stream import RequestResult
from modelscan.bench.workload import BenchWorkload


def pass_rate(workload: BenchWorkload, results: Sequence[RequestResult]) -> float | None:
    """The share of requests whose answer passes every check of its prompt; None without checks.

    A failed request does not pass.
    """
    checks = {case.id: case.checks for case in workload.cases if case.checks}
    checked = [one for one in results if one.case in checks]
    if not checked:
        return None
    passed = sum(
        one.error is None and not failed_checks(checks[one.case], one.text) for one in checked
    )
    return round(passed / len(checked), 4)


def case_results(
    workload: BenchWorkload, results: Sequence[RequestResult]
) -> tuple[CaseResult, ...]:
    """What each prompt's answers passed and failed; () without checks."""
    return tuple(
        _case(case.id, [failed_checks(case.checks, one.text) for one in results
                        if one.case == case.id and one.error is None])
        for case in workload.cases
        if case.checks
    )  # fmt: skip


def _case(name: str, failures: Sequence[Sequence[object]]) -> CaseResult:
    counts = Counter(getattr(check, "label", "") for one in failures for check in one)
    return CaseResult(
        name, len(failures), sum(not one for one in failures),
        tuple(FailedCheck(label, count) for label, count in counts.most_common()),
    )  # fmt: skip
