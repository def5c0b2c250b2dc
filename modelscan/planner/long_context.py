"""A context beyond the trained length: the documented position scaling, or a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.units import format_tokens
from modelscan.engines.position_scaling import PositionScaling, position_scaling
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from modelscan.planner.context import Option, PlanningContext

TOO_LONG = "context_too_long"
_DECIMAL = 1.05  # 128k is 131,072 tokens, which a source may state as 128,000


def served_context(option: Option, case: PlanningContext, context_tokens: int) -> int:
    """The context that the engine would serve of the requested or chosen one; a chosen one is at
    most what the engine's version accepts for the configuration.

    For a file that the user named: at most the trained length, where the engine serves no more by
    itself and no scaling is documented. For other models such a wish is refused.
    """
    if not case.wishes.context_tokens:
        architecture, wishes = option.candidate.shape.architecture, case.wishes_on(option.engine)
        longest = engine(option.backend).longest_context(architecture, wishes)
        return min(context_tokens, longest or context_tokens)
    mine = option.candidate.variant.source == "local_path"
    if case.stated or not mine or not engine(option.backend).caps_context:
        return context_tokens
    try:
        scaling_beyond_training(option, case, context_tokens)
    except NotDeployableError:
        return option.candidate.shape.architecture.context_tokens or context_tokens
    return context_tokens


def scaling_beyond_training(
    option: Option, case: PlanningContext, context_tokens: int
) -> PositionScaling | None:
    """The scaling that a context of this length needs; None within the trained length, with the
    user's own scaling and with --force.

    Raises NotDeployableError where none is documented, or the engine has no option for it.
    """
    architecture, wishes = option.candidate.shape.architecture, case.wishes
    trained = architecture.context_tokens
    if not trained or case.task != "chat" or wishes.force or case.stated:
        return None
    tolerance = _DECIMAL if trained % 1_000 == 0 else 1.0
    names = engine(option.backend).option_names.positions
    if context_tokens <= tolerance * trained or any(map(wishes.parameter, names)):
        return None
    scaling = position_scaling(architecture, context_tokens) if names else None
    if scaling is not None:
        return scaling
    why = "no position scaling is documented" if names else f"{option.backend} cannot scale them"
    raise NotDeployableError(
        f"{context_tokens:,} tokens exceed the {trained:,} positions that the model was trained "
        f"for: {why}",
        hint=f"--context {format_tokens(trained)}, or --force",
        code=TOO_LONG,
    )
