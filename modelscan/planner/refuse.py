"""Refusals before any estimate: closed weights, unsafe files, formats that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.plan import Candidate, Refusal, ResolvedModel
from modelscan.core.units import format_bytes, format_count
from modelscan.core.verdict import Verdict
from modelscan.core.workload import REMOTE_CODE, Workload
from modelscan.engines.engine import task_name
from modelscan.engines.registry import engine, engine_for, engines
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.quantization import bits_per_weight, means
from modelscan.planner.feasibility import available_bytes, free_bytes

if TYPE_CHECKING:
    from modelscan.core.architecture import Weights
    from modelscan.core.machine import Machine
    from modelscan.planner.context import PlanningContext

_USUAL_BITS, _SMALL_BITS = 4.9, 6.0  # per weight: Q4_K_M, and what counts as quantized
_FEWEST_BITS = 2.0  # per weight: formats below it are used only if requested by name


def closed(model: ResolvedModel) -> None:
    """Raise NotDeployableError (exit 3) for closed weights, with open alternatives."""
    if not model.closed:
        return
    raise NotDeployableError(
        _closed_sentence(model),
        hint=(
            f"modelscan plan {model.alternatives[0]}"
            if model.alternatives
            else "modelscan catalog search --open-weights"
        ),
        code="closed_weights",
        details={"model": model.id, "alternatives": list(model.alternatives)},
    )


def _closed_sentence(model: ResolvedModel) -> str:
    alternatives = ", ".join(model.alternatives[:3])
    text = f"{model.id} has closed weights: it is served by its providers only"
    return text + (f"; open models like it: {alternatives}" if alternatives else "")


def closed_refusal(model: ResolvedModel) -> Refusal | None:
    """The same as a Refusal; None if the weights can be downloaded."""
    if not model.closed:
        return None
    return Refusal(
        model.id, Verdict.NOT_SUPPORTED, "closed_weights", (_closed_sentence(model),),
        needed_bytes=None, available_bytes=None, open_models=model.alternatives,
    )  # fmt: skip


def elsewhere(backend: str) -> str:
    """The reason for a recipe whose engine is not one of this machine's, and where it runs."""
    if any(one.needs_recipe and one.title == backend for one in engines()):
        return f"its recipe is for {backend}, which runs on GPUStack: --target NAME of a server"
    return f"its recipe is for {backend}: deploy it from GPUStack's own catalog"


def task_refusal(model: ResolvedModel, task: str, machine: Machine) -> Refusal | None:
    """A refusal by name for a task that no engine serves; None if one does. Engines that follow
    recipes count where the machine, a cluster, has them.
    """
    here = [one for one in engines() if not one.needs_recipe or machine.has(one.name)]
    if any(one.task_support(task) for one in here):
        return None
    reason = f"{model.id} is for {task_name(task)}, which no engine here serves"
    recipe = next((spec.backend for spec in (model.model.specs if model.model else ())), None)
    if recipe is not None:
        reason += f"; {elsewhere(recipe)}"
    return Refusal(
        model.id, Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED.value, (reason,),
        needed_bytes=None, available_bytes=None,
    )  # fmt: skip


def remote_code(model: ResolvedModel, wishes: Workload) -> None:
    """Raise NotDeployableError (exit 3) if the repository's own code would run unallowed."""
    if wishes.allow_unsafe or wishes.parameter(REMOTE_CODE) in (None, "false", "False"):
        return
    raise NotDeployableError(
        f"--{REMOTE_CODE} runs the Python files of {model.id} on this machine",
        hint="if you trust its publisher, add --allow-unsafe",
        code="unsafe_code", details={"model": model.id},
    )  # fmt: skip


def pickles(model: ResolvedModel, wishes: Workload) -> None:
    """Raise NotDeployableError (exit 3) for a model with only pickle files, unless allowed."""
    formats = {candidate.variant.format for candidate in model.candidates}
    if wishes.allow_unsafe or formats != {"pickle"}:
        return
    files = [file.path for file in model.candidates[0].variant.files]
    example = f" ({files[0]})" if files else ""
    raise NotDeployableError(
        f"{model.id} has only pickle files{example}: loading one can run arbitrary code",
        hint="choose a repository with safetensors or GGUF files; if you trust the publisher of "
        "this one, add --allow-unsafe",
        code="unsafe_format", details={"model": model.id, "files": files[:20]},
    )  # fmt: skip


def absent(model: ResolvedModel, wishes: Workload) -> str | None:
    """Why the requested quantization is not available, and which are; None if it is available."""
    quantization = wishes.quantization
    if quantization is None or any(
        means(quantization, c.variant.quantization, c.variant.format) for c in model.candidates
    ):
        return None
    names = dict.fromkeys(
        f"{c.variant.quantization or '?'} ({c.variant.format})" for c in model.candidates
    )
    listed = ", ".join(names) or "none"
    return f"no {quantization} weights of {model.id} are known; available: {listed}"


def least_bytes(model: ResolvedModel, case: PlanningContext) -> int | None:
    """Lower bound in bytes of the requested (or smallest) format: parameters x bits per weight.

    None for a requested format whose bits are not known, or of a model of unknown size.
    """
    bits = bits_per_weight(case.wishes.quantization)
    parameters = parameters_of(model)
    if bits is not None and parameters:
        return int(parameters * min(bits, _whole_bits(bits)) / 8)
    if case.wishes.quantization is not None:
        return None
    sizes = [one.floor_bytes or weight_bytes(one) for one in model.candidates]
    return min((size for size in sizes if size), default=None)


def weight_bytes(candidate: Candidate) -> int | None:
    """Bytes of a variant's weights; None where they are not known."""
    weights = weights_of(candidate)
    return None if weights is None else weights.total_bytes


def unlisted_may_fit(model: ResolvedModel, case: PlanningContext) -> bool:
    """Whether GGUF files with unknown names may include the requested format, and fit.

    Only a certain excess is excluded: every parameter at two bits (or at the bits of the requested
    format) against all memory of GPUs and host.
    """
    return bool(model.unlisted) and _gguf_may_fit(model, case, _FEWEST_BITS)


def conversion_may_fit(model: ResolvedModel, case: PlanningContext) -> bool:
    """Whether a GGUF conversion that no source lists may be in the requested format (else in four
    bits), and fit.
    """
    if not model.unsearched or not parameters_of(model):
        return False
    files = (c.variant for c in model.candidates if not c.online)
    sizes = (bits_per_weight(variant.quantization) or 16.0 for variant in files)
    return min(sizes, default=16.0) > _SMALL_BITS and _gguf_may_fit(model, case, _USUAL_BITS)


def _gguf_may_fit(model: ResolvedModel, case: PlanningContext, usual_bits: float) -> bool:
    wishes, engines = case.wishes, case.machine.engines
    loads = any(engine(e.name).runs_gguf and wishes.backend in (None, e.name) for e in engines)
    if not loads or not engine_for("gguf").task_support(case.task):
        return False
    quantization = wishes.quantization
    if quantization is not None and not any(
        means(quantization, name, "gguf") for name in FILE_TYPES.values()
    ):
        return False
    bits = bits_per_weight(quantization) or usual_bits
    least = (parameters_of(model) or 0) * bits / 8
    room = available_bytes((), case.inventory) + sum(map(free_bytes, case.inventory.gpus))
    return least <= room


def _whole_bits(bits: float) -> float:
    """Bits per weight without scales, the lower bound of a format (INT4: 4 bits)."""
    return float(int(bits))


def parameters_of(model: ResolvedModel) -> int | None:
    """All parameters, active or not: memory contains all of them."""
    if model.model and model.model.parameters:
        return model.model.parameters
    known = [weights.parameters for one in model.candidates if (weights := weights_of(one))]
    return max((count for count in known if count), default=None)


def weights_of(candidate: Candidate) -> Weights | None:
    """None where the size of the variant is not known."""
    try:
        return candidate.shape.weights
    except NotDeployableError:
        return None


def size_sentence(model: ResolvedModel, case: PlanningContext, available: int) -> str | None:
    """``INT4 of 671B parameters is at least 312 GiB of weights; 24.0 GiB are free``."""
    parameters, least = parameters_of(model), least_bytes(model, case)
    if not parameters or not least or least <= available:
        return None
    name = case.wishes.quantization
    what = f"{name} of " if name else "the smallest variant of "
    decimal = f"{least / 1e9:.0f} GB"
    return (
        f"{what}{format_count(parameters)} parameters is at least {decimal} "
        f"({format_bytes(least)}) of weights; {format_bytes(available)} are free"
    )
