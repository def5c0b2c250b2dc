"""``eval verify``: every suite graded with scripted answers. References pass, all else fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.evals.items import SandboxKind
from modelscan.evals.job import EvalJob, SampleRow
from modelscan.evals.process import run_job
from modelscan.evals.sandbox import choose_sandbox
from modelscan.evals.storage import evals_dir, new_id
from modelscan.evals.suites.planted import REFERENCE, STUB
from modelscan.evals.suites.registry import SUITES, find_suite
from modelscan.state.config import Config

MUST_FAIL = 0.5  # the most that a wrong answer may get: partial grades exist only in review
_CONNECTIONS = 4
_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class ProvedAnswers:
    """``as_expected`` of ``answers`` got the grade that they must get."""

    answers: int
    as_expected: int


@dataclass(frozen=True, slots=True)
class SuiteProof:
    """``faults`` name the answers with an unexpected grade, at most 20."""

    name: str
    reference: ProvedAnswers
    stub: ProvedAnswers
    wrong: ProvedAnswers
    ok: bool
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvalProofs:
    """The proof of each suite."""

    suites: tuple[SuiteProof, ...]
    ok: bool


def verify(
    names: Sequence[str],
    config: Config,
    progress: Callable[[int], None],
    *,
    sandbox: SandboxKind | None = None,
    confirmed: bool = False,
) -> EvalProofs:
    """Prove these suites (default: all) by inspect's mock model.

    Raises NotDeployableError where a suite needs a sandbox and there is none, ModelscanError where
    an answer got no grade.
    """
    kinds = [find_suite(name) for name in names] or list(SUITES.values())
    chosen: SandboxKind | None = None
    if any(kind.runs_code for kind in kinds):
        chosen = choose_sandbox(sandbox, confirmed=confirmed)
    job = EvalJob(
        suites=tuple(kind.name for kind in kinds),
        verify=True,
        context_tokens=_CONTEXT,
        connections=_CONNECTIONS,
        sandbox=chosen,
    )
    result = run_job(job, evals_dir(config.paths) / f"verify-{new_id()}", report=progress)
    if result.outcome.status == "cancelled":
        raise KeyboardInterrupt
    missing = result.outcome.samples - len(result.rows)
    if missing or not result.rows:
        cause = next(iter(result.outcome.errors), result.outcome.reason)
        raise ModelscanError(f"{missing} planted answers have no grade: {cause}")
    proofs = tuple(prove(kind.name, result.rows) for kind in kinds)
    return EvalProofs(proofs, all(proof.ok for proof in proofs))


def prove(suite: str, rows: Sequence[SampleRow]) -> SuiteProof:
    """Whether the grades of a suite's planted answers are as they must be."""
    labelled = [(row.id.rpartition("/")[2], row) for row in rows if row.suite == suite]
    groups: dict[str, list[SampleRow]] = {REFERENCE: [], STUB: [], "wrong": []}
    for label, row in labelled:
        groups[label if label in groups else "wrong"].append(row)
    if not all(groups.values()):
        raise UsageError(f"{suite} has no planted answers", hint="modelscan eval suites")
    faults = [
        f"{row.id}: {row.value:g} ({row.reason})" for _, row in labelled if not as_expected(row)
    ]
    proofs = {name: _proved(group) for name, group in groups.items()}
    return SuiteProof(
        suite, proofs[REFERENCE], proofs[STUB], proofs["wrong"], not faults, tuple(faults[:20])
    )


def as_expected(row: SampleRow) -> bool:
    """Whether a planted answer got its grade: references 1, others less than a half."""
    if row.id.endswith(f"/{REFERENCE}"):
        return row.value == 1.0
    return row.value < MUST_FAIL


def _proved(rows: Sequence[SampleRow]) -> ProvedAnswers:
    return ProvedAnswers(len(rows), sum(map(as_expected, rows)))
