"""Whether a candidate answers worse than what the route serves, by the receipts of both. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from modelscan.core.receipt import Receipt
from modelscan.evals.statistics import wilson

CanaryVerdict = Literal["worse", "not_worse", "unknown"]
ERRORS_MORE = 0.02
"""By so much the candidate's error rate may exceed the other's, with 95 % confidence."""
SLOWER, SLOWER_S = 1.5, 0.25
"""Its median may be so many times the other's, and so many seconds longer."""
LEAST_TIMED = 5
"""Medians of fewer answers say nothing."""
_OF_THE_CLIENT = (401, 403, 408, 429, 499)  # a key, a limit, a client that left: of no backend


@dataclass(frozen=True, slots=True)
class BackendReceipts:
    """What one backend did with its requests; seconds are medians of complete answers.

    ``refused``: answers 4xx, which may be the request's fault or that of a smaller context.
    """

    requests: int
    errors: int
    duration_s: float | None
    ttft_s: float | None
    timed: int
    refused: int = 0


@dataclass(frozen=True, slots=True)
class CanaryJudged:
    """The verdict with its reason, and the figures of both."""

    verdict: CanaryVerdict
    reason: str
    candidate: BackendReceipts
    current: BackendReceipts


def judge_canary(receipts: Sequence[Receipt], candidate: str) -> CanaryJudged:
    """Judge the receipts of a route during its canary; ``candidate``: the backend that is tried.

    A request that the candidate failed and another backend then answered is the candidate's error.
    """
    own = summed(receipts, candidate)
    others = summed_others(receipts, candidate)
    if not own.requests:
        return CanaryJudged("unknown", "no request reached the candidate", own, others)
    reason = _more_errors(own, others) or _more_refused(own, others) or _slower(own, others)
    if reason is not None:
        return CanaryJudged("worse", reason, own, others)
    text = f"{own.requests} requests, {own.errors} errors; the other has {others.errors} of "
    return CanaryJudged("not_worse", f"{text}{others.requests}", own, others)


def _more_errors(own: BackendReceipts, others: BackendReceipts) -> str | None:
    rate = others.errors / others.requests if others.requests else 0.0
    least, _ = wilson(own.errors / own.requests, own.requests)
    if not own.errors or least <= rate + ERRORS_MORE:
        return None
    return (
        f"{own.errors} of {own.requests} requests failed; of the others "
        f"{others.errors} of {others.requests}"
    )


def _more_refused(own: BackendReceipts, others: BackendReceipts) -> str | None:
    """Requests that the others would have answered; nothing is known without their requests."""
    if others.requests < LEAST_TIMED or not own.refused:
        return None
    least, _ = wilson(own.refused / own.requests, own.requests)
    if least <= others.refused / others.requests + ERRORS_MORE:
        return None
    return (
        f"{own.refused} of {own.requests} requests were refused; of the others "
        f"{others.refused} of {others.requests}"
    )


def _slower(own: BackendReceipts, others: BackendReceipts) -> str | None:
    if min(own.timed, others.timed) < LEAST_TIMED:
        return None
    for name, mine, theirs in (
        ("answer", own.duration_s, others.duration_s),
        ("first token", own.ttft_s, others.ttft_s),
    ):
        if mine is None or theirs is None:
            continue
        if mine > SLOWER * theirs and mine > theirs + SLOWER_S:
            return f"an {name} takes {mine:.2f} s, the others' {theirs:.2f} s (medians)".replace(
                "an first", "a first"
            )
    return None


def summed(receipts: Iterable[Receipt], backend: str) -> BackendReceipts:
    """The requests that a backend answered or failed."""
    rows = list(receipts)
    answered = [one for one in rows if one.backend == backend]
    failed_over = [one for one in rows if one.backend != backend and _failed_at(one, backend)]
    return _sum(answered, len(failed_over))


def summed_others(receipts: Iterable[Receipt], backend: str) -> BackendReceipts:
    """The requests of every other backend."""
    return _sum([one for one in receipts if one.backend not in (None, backend)], 0)


def _failed_at(receipt: Receipt, backend: str) -> bool:
    """The gateway writes ``BACKEND: why`` for each backend that failed a request."""
    return any(reason.startswith(f"{backend}: ") for reason in receipt.reasons)


def _sum(rows: Sequence[Receipt], failed_over: int) -> BackendReceipts:
    complete = [one for one in rows if one.status == 200 and one.duration_s is not None]
    firsts = [one.ttft_s for one in complete if one.ttft_s is not None]
    durations = [one.duration_s for one in complete if one.duration_s is not None]
    return BackendReceipts(
        requests=len(rows) + failed_over,
        errors=sum(one.status >= 500 for one in rows) + failed_over,
        duration_s=statistics.median(durations) if durations else None,
        ttft_s=statistics.median(firsts) if len(firsts) >= LEAST_TIMED else None,
        timed=len(complete),
        refused=sum(400 <= one.status < 500 and one.status not in _OF_THE_CLIENT for one in rows),
    )
