"""Whether an engine's version starts an option: everything but the memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.engines import registry, support
from modelscan.engines.launch_rules import LaunchQuestion
from modelscan.memory import tensor_parallel
from modelscan.planner.long_context import scaling_beyond_training
from modelscan.planner.recipes import with_whole_experts

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.support import Support
    from modelscan.planner.context import Option, PlanningContext


def starting(option: Option, context: PlanningContext) -> tuple[Option, Support]:
    """The option as the engine's version starts it, or the reason why it does not: with expert
    parallelism where the experts do not divide among the GPUs and no degree was requested.
    """
    launch = launch_support(option, context)
    if launch:
        return option, launch
    whole = with_whole_experts(option, context, launch.reason)
    other = launch_support(whole, context) if whole else launch
    if whole is None or not other:
        return option, launch
    if context.wishes.tensor_parallel is None:
        return whole, other
    added = whole.recipe.options[len(option.recipe.options) :]
    words = " ".join(
        f"--param {name}={value}" if value else f"--param {name}" for name, value in added
    )
    return option, support.absent(
        f"{launch.reason}; whole experts on each GPU would start: {words}"
    )


def launch_support(option: Option, context: PlanningContext) -> Support:
    """Whether the engine's version starts this option, memory apart: architecture, options,
    quantization method, context, split. With ``--force`` only the split counts.
    """
    if not registry.engine(option.backend).splits_tensors and option.tensor_parallel > 1:
        reason = _layer_split(option)
        if reason:
            return support.absent(reason)
    refusal = _online(option, context)
    if refusal is not None:
        return refusal
    wishes = context.wishes
    if wishes.force and bool(wishes.backend or wishes.quantization):
        reason = _tensor_split(option)
        return support.absent(reason) if reason else support.Support(support.NATIVE, "forced")
    quality = option.candidate.quality
    return support.launch_support(
        option.backend,
        LaunchQuestion(
            shape=option.candidate.shape,
            workload=_with_published(_with_served_context(option, context), option),
            gpus=option.gpus,
            tensor_parallel=option.tensor_parallel,
            task=context.task,
            original=quality is None or quality.basis == "original",
            recommended=option.recommended,
        ),
    )


def _online(option: Option, context: PlanningContext) -> Support | None:
    """Why the engine does not make the format of 16-bit weights; None if it does or need not."""
    candidate, version = option.candidate, context.wishes_on(option.engine).backend_version
    if not candidate.online:
        return None
    one, architecture = registry.engine(option.backend), candidate.shape.architecture
    method = one.online_quantization(candidate.variant.quantization, version)
    classes = architecture.checkpoint.classes
    if method is None or method.applies(classes, architecture.experts is not None):
        return None
    name = next(iter(classes), "this model")
    return support.absent(f"{option.backend} does not quantize {name} by {method.name}")


def _with_published(wishes: Workload, option: Option) -> Workload:
    """The published options count where the user sets no other."""
    return replace(wishes, parameters=(*option.recipe.options, *wishes.parameters))


def _with_served_context(option: Option, context: PlanningContext) -> Workload:
    """The wishes for the engine's own check of the context. It does not apply where the planner
    adds a position scaling, or refuses the context itself, as for published models.
    """
    wishes, tokens = context.wishes_on(option.engine), context.wishes.context_tokens
    if not tokens or option.candidate.variant.source == "local_path":
        return wishes
    try:
        scaled = scaling_beyond_training(option, context, tokens) is not None
    except NotDeployableError:
        scaled = True
    return replace(wishes, context_tokens=None) if scaled else wishes


def _layer_split(option: Option) -> str | None:
    architecture = option.candidate.shape.architecture
    return tensor_parallel.layer_split_reason(architecture, option.tensor_parallel)


def _tensor_split(option: Option) -> str | None:
    architecture = option.candidate.shape.architecture
    return tensor_parallel.reject_reason(architecture, option.tensor_parallel)
