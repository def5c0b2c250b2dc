"""Plans beside those that practitioners start: agreement, and every difference with its cause.

    python -m benchmarks.experts [FILE …] [--verbose]

A row names a model, a machine and options, and what a practitioner starts there: the verdict
(``fits``, ``fits?``: fits or a reasoned refusal, ``refused``: any other verdict or an error, or a
verdict's name), patterns of the backend and the quantization, and patterns that the launch
options must and must not contain. Rows: ``data/expert_plans.tsv``, and with ``../shared`` its sets.
Every catalog fact is the bundled one.
"""

from __future__ import annotations

import argparse
import csv
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import Plan
from modelscan.core.units import parse_tokens
from modelscan.core.workload import Workload
from modelscan.deploy.planning import Question, plan_model
from modelscan.state.config import Config, load

OWN = Path(__file__).parent / "data" / "expert_plans.tsv"
SHARED = Path(__file__).parents[2] / "shared" / "data" / "truth"
SHARED_SETS = ("plans_fit.tsv", "plans_recipes_fit.tsv")


@dataclass(frozen=True, slots=True)
class Expert:
    """One row: what a practitioner starts."""

    model: str
    gpu: str
    args: str
    verdict: str
    backend: str
    quantization: str
    must: str
    never: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, plan and first reason of a decision."""

    verdict: str
    plan: Plan | None
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A row with its outcome and the causes of a difference; no cause: they agree."""

    row: Expert
    outcome: Outcome
    causes: tuple[str, ...]


def read(path: Path) -> list[Expert]:
    """The rows of a tab-separated file with a header; other columns are ignored."""
    with path.open(encoding="utf-8") as file:
        lines = (line for line in file if not line.startswith("#"))
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = Expert.__dataclass_fields__
        return [Expert(**{name: row.get(name) or "" for name in names}) for row in rows]


def sets() -> list[Path]:
    """The files with rows that exist here."""
    return [path for path in (OWN, *(SHARED / name for name in SHARED_SETS)) if path.exists()]


def check(row: Expert, config: Config) -> Checked:
    """The plan for a row, compared with the row."""
    outcome = decided(row, config)
    return Checked(row, outcome, tuple(_causes(row, outcome)))


def decided(row: Expert, config: Config) -> Outcome:
    """The decision for a row's model, machine and options."""
    try:
        planned = plan_model(Question(row.model, wishes(row.args), row.gpu), config)
    except ModelscanError as error:
        return Outcome("error", None, error.message)
    decision = planned.decision
    if decision.plan is not None:
        return Outcome("fits", decision.plan, decision.plan.reasons[0])
    assert decision.refusal is not None
    return Outcome(decision.verdict.value, None, next(iter(decision.refusal.reasons), ""))


def wishes(args: str) -> Workload:
    """The Workload of a row's options."""
    words = iter(shlex.split(args))
    workload = Workload()
    for word in words:
        value = next(words)
        if word == "--context":
            workload = replace(workload, context_tokens=parse_tokens(value))
        elif word == "--tensor-parallel":
            workload = replace(workload, tensor_parallel=int(value))
        elif word in ("--backend", "--backend-version", "--kv-cache", "--quantization"):
            name = {"--kv-cache": "kv_cache_k"}.get(word, word[2:].replace("-", "_"))
            workload = replace(workload, **{name: value})  # type: ignore[arg-type]
        else:
            raise ValueError(f"{word} is not an option that rows use")
    return workload


def _causes(row: Expert, outcome: Outcome) -> list[str]:
    plan = outcome.plan
    if not _verdict_agrees(row.verdict, outcome.verdict):
        return [f"verdict {outcome.verdict}"]
    if plan is None:
        return []
    found = []
    if row.backend and not re.fullmatch(row.backend, plan.backend):
        found.append("backend")
    quantization = plan.quantization or ""
    if row.quantization and not re.search(row.quantization, quantization, re.IGNORECASE):
        found.append("quantization")
    options = " ".join((*plan.parameters, *(f"{k}={v}" for k, v in plan.env.items())))
    if row.must and not re.search(row.must, options):
        found.append("parser" if "parser" in row.must else "missing option")
    if row.never and re.search(row.never, options):
        found.append("forbidden option")
    return found


def _verdict_agrees(expected: str, found: str) -> bool:
    if expected == "fits?":
        return found in ("fits", "does_not_fit", "not_supported", "error")
    if expected == "refused":
        return found != "fits"
    return expected == found


def report(checked: list[Checked], title: str, verbose: bool) -> None:
    """The share that agrees, the causes, and every difference."""
    right = sum(not one.causes for one in checked)
    others = [one for one in checked if set(one.causes) - {"parser"}]
    apart = len(checked) - len(others)
    print(f"{title}: {right} of {len(checked)} agree; {apart} apart from tool-call parsers")
    causes = Counter(cause for one in checked for cause in one.causes)
    print("  " + ", ".join(f"{cause} {count}" for cause, count in causes.most_common()))
    for one in checked if verbose else others:
        row, plan = one.row, one.outcome.plan
        what = f"{row.model} on {row.gpu} {row.args}".strip()
        print(f"  {','.join(one.causes) or 'agrees':22} {what}: {_short(one.outcome)}")
        if plan is None or set(one.causes) - {"parser"}:
            print(f"    wanted {row.verdict} {row.backend} {row.quantization} {row.must}"
                  f" not {row.never}: {row.why}")  # fmt: skip


def _short(outcome: Outcome) -> str:
    plan = outcome.plan
    if plan is None:
        return f"{outcome.verdict}: {outcome.reason[:160]}"
    speed = plan.estimate.speed
    pace = speed.decode_tokens_per_s if speed and speed.decode_tokens_per_s else 0.0
    gib = plan.estimate.total_bytes / 2**30
    return (
        f"{plan.quantization} {plan.backend} tp{plan.tensor_parallel} {gib:.1f} GiB "
        f"{pace:.0f} t/s {plan.estimate.basis} {plan.repo} {' '.join(plan.parameters)}"
    )


def print_agreement(files: Sequence[Path] = (), *, verbose: bool = False) -> None:
    """The agreement with the rows of ``files``, or of every set that exists here."""
    config = replace(load(), offline=True)
    for path in files or sets():
        report([check(row, config) for row in read(path)], path.name, verbose)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="other rows")
    parser.add_argument("--verbose", action="store_true", help="print every row")
    chosen = parser.parse_args()
    print_agreement(chosen.files, verbose=chosen.verbose)
    return 0


if __name__ == "__main__":
    sys.exit(main())
