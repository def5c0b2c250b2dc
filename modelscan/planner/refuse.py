"""What is refused before any arithmetic: closed weights, formats that do not exist."""

from __future__ import annotations

from modelscan.core.errors import NotDeployableError
from modelscan.core.plan import Refusal, ResolvedModel
from modelscan.core.units import format_bytes, format_count
from modelscan.core.verdict import Verdict
from modelscan.core.workload import REMOTE_CODE, Workload
from modelscan.engines.registry import engine, engine_for
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.quantization import bits_per_weight, means
from modelscan.planner.context import PlanningContext
from modelscan.planner.feasibility import available_bytes, free_bytes

_FEWEST_BITS = 2.0  # per weight: below, a format is only used where it is asked for by name


def closed(subject: ResolvedModel) -> None:
    """Closed weights run nowhere but at their provider: exit 3, with open alternatives."""
    if not subject.closed:
        return
    raise NotDeployableError(
        _closed_sentence(subject),
        hint=(
            f"modelscan plan {subject.alternatives[0]}"
            if subject.alternatives
            else "modelscan catalog search --open-weights"
        ),
        code="closed_weights",
        details={"model": subject.id, "alternatives": list(subject.alternatives)},
    )


def _closed_sentence(subject: ResolvedModel) -> str:
    named = ", ".join(subject.alternatives[:3])
    text = f"{subject.id} has closed weights: it is served by its providers only"
    return text + (f"; open models like it: {named}" if named else "")


def closed_refusal(subject: ResolvedModel) -> Refusal | None:
    """The same as an answer; None for weights that can be had."""
    if not subject.closed:
        return None
    return Refusal(
        subject.id, Verdict.NOT_SUPPORTED, "closed_weights", (_closed_sentence(subject),),
        needed_bytes=None, available_bytes=None, open_models=subject.alternatives,
    )  # fmt: skip


def remote_code(subject: ResolvedModel, wishes: Workload) -> None:
    """A repository's own code can do anything: exit 3 unless it was allowed."""
    if wishes.allow_unsafe or wishes.parameter(REMOTE_CODE) in (None, "false", "False"):
        return
    raise NotDeployableError(
        f"--{REMOTE_CODE} runs the Python files of {subject.id} on this machine",
        hint="if you trust whoever published it: --allow-unsafe",
        code="unsafe_code", details={"model": subject.id},
    )  # fmt: skip


def pickles(subject: ResolvedModel, wishes: Workload) -> None:
    """Weights that are there only as pickle files are neither fetched nor run: exit 3."""
    formats = {candidate.variant.format for candidate in subject.candidates}
    if wishes.allow_unsafe or formats != {"pickle"}:
        return
    files = [file.path for file in subject.candidates[0].variant.files]
    named = f" ({files[0]})" if files else ""
    raise NotDeployableError(
        f"the weights of {subject.id} are there only as pickle files{named}: opening one can run "
        "code",
        hint="choose a repository with safetensors or GGUF; if you trust whoever published this "
        "one: --allow-unsafe",
        code="unsafe_format", details={"model": subject.id, "files": files[:20]},
    )  # fmt: skip


def absent(subject: ResolvedModel, wishes: Workload) -> str | None:
    """Why the asked quantization is not there, naming what is; None when it is."""
    asked = wishes.quantization
    if asked is None or any(
        means(asked, c.variant.quantization, c.variant.format) for c in subject.candidates
    ):
        return None
    there = dict.fromkeys(
        f"{c.variant.quantization or '?'} ({c.variant.format})" for c in subject.candidates
    )
    listed = ", ".join(there) or "none"
    return f"no {asked} weights of {subject.id} are known; there are: {listed}"


def least_bytes(subject: ResolvedModel, case: PlanningContext) -> int | None:
    """What the asked (or smallest) format needs at least: parameters x bits per weight."""
    asked = bits_per_weight(case.wishes.quantization)
    parameters = parameters_of(subject)
    if asked is not None and parameters:
        return int(parameters * min(asked, _whole_bits(asked)) / 8)
    sizes = [c.floor_bytes or c.shape.weights.total_bytes for c in subject.candidates]
    return min(sizes, default=None)


def unlisted_may_fit(subject: ResolvedModel, case: PlanningContext) -> bool:
    """Whether GGUF files whose names are not known here might be what was asked for, and fit.

    Only what is certainly too large is excluded: every parameter at two bits (or at the bits of the
    format that was asked for) against all memory of GPUs and host.
    """
    wishes, engines = case.wishes, case.machine.engines
    loads = any(engine(e.name).runs_gguf and wishes.backend in (None, e.name) for e in engines)
    if not subject.unlisted or not loads or not engine_for("gguf").task_support(case.task):
        return False
    asked = wishes.quantization
    if asked is not None and not any(means(asked, name, "gguf") for name in FILE_TYPES.values()):
        return False
    bits = bits_per_weight(asked) or _FEWEST_BITS
    least = (parameters_of(subject) or 0) * bits / 8
    room = available_bytes((), case.inventory) + sum(map(free_bytes, case.inventory.gpus))
    return least <= room


def _whole_bits(bits: float) -> float:
    """Without scales: the figure nobody can go below (INT4: 4 bits)."""
    return float(int(bits))


def parameters_of(subject: ResolvedModel) -> int | None:
    """All parameters, active or not: what memory must hold."""
    if subject.model and subject.model.parameters:
        return subject.model.parameters
    counts = [candidate.shape.weights.parameters for candidate in subject.candidates]
    return max((count for count in counts if count), default=None)


def size_sentence(subject: ResolvedModel, case: PlanningContext, available: int) -> str | None:
    """``INT4 of 671B parameters is at least 312 GiB of weights; 24.0 GiB are free``."""
    parameters, least = parameters_of(subject), least_bytes(subject, case)
    if not parameters or not least or least <= available:
        return None
    name = case.wishes.quantization
    what = f"{name} of " if name else "the smallest variant of "
    decimal = f"{least / 1e9:.0f} GB"
    return (
        f"{what}{format_count(parameters)} parameters is at least {decimal} "
        f"({format_bytes(least)}) of weights; {format_bytes(available)} are free"
    )
