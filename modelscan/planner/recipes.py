"""The options that the catalog's recipes and a model's family add to an option."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.plan import Candidate
from modelscan.engines.recipe_filters import reject
from modelscan.engines.recipe_options import RecipeOptions, Recommendation
from modelscan.engines.registry import engine
from modelscan.engines.speculation import stated

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.model import Spec
    from modelscan.core.plan import ResolvedModel
    from modelscan.planner.context import Option, PlanningContext

STANDARD = "standard"


def with_recipe(option: Option, model: ResolvedModel, case: PlanningContext) -> Option:
    """The option with the parameters that are published for its repository, engine and devices,
    and the parsers of its model.
    """
    one = engine(option.backend)
    if one.needs_recipe:
        return _with_reservation(option, model, case)
    if not one.reserves_pool:
        return option
    repository = option.candidate.variant.repo
    specs = [s for s in (model.model.specs if model.model else ()) if _of(s, option.backend)]
    fitting = [spec for spec in specs if _applies(spec, option.gpus)]
    own = [spec for spec in fitting if spec.repo.lower() == repository.lower()]
    chosen = _of_mode(own, case.wishes.mode)[:1]
    recipe = one.recommended_options(
        Recommendation(
            own=_words(chosen),
            others=_words(fitting),
            names=(model.id, model.name, repository),
            classes=option.candidate.shape.architecture.checkpoint.classes,
            task=case.task,
            speculation=stated(chosen[0].speculative_config) if chosen else None,
            template=model.chat_template,
        ),
        case.wishes_on(option.engine),
    )
    return replace(option, recipe=recipe)


def _with_reservation(option: Option, model: ResolvedModel, case: PlanningContext) -> Option:
    """The option with the bytes that its recipe reserves in place of its weights'.

    Raises NotDeployableError (``unknown_size``) if the recipe states none.
    """
    candidate, one = option.candidate, engine(option.backend)
    specs = [s for s in (model.model.specs if model.model else ()) if _of(s, option.backend)]
    own = [spec for spec in specs if spec.repo.lower() == candidate.variant.repo.lower()]
    stated = (one.reservation(spec.env) for spec in _of_mode(own, case.wishes.mode))
    size = next((size for size in stated if size is not None), None)
    if size is None:
        raise NotDeployableError(
            f"the recipe of {candidate.variant.repo} for {one.title} states no memory",
            code="unknown_size",
        )
    weights = replace(candidate.shape.weights, total_bytes=size, basis="exact")
    shape = replace(candidate.shape, weights=weights)
    reserved = Candidate(candidate.variant, shape, candidate.quality, size, candidate.publisher)
    return replace(option, candidate=reserved)


def with_whole_experts(option: Option, case: PlanningContext, refusal: str) -> Option | None:
    """The option with expert parallelism, for a model whose experts are not divided (``refusal``);
    None where the engine has none, they do not divide by number, or the user or recipe decided.
    """
    experts, degree = option.candidate.shape.architecture.experts, option.tensor_parallel
    if experts is None or degree < 2 or experts.total % degree:
        return None
    recipe, wishes = option.recipe, case.wishes_on(option.engine)
    options = engine(option.backend).whole_experts(degree, wishes.backend_version)
    given = dict(recipe.options)
    if not options or any(name in given or wishes.parameter(name) for name, _ in options):
        return None
    reason = refusal.partition(";")[0]
    note = f"expert parallel, each GPU has {experts.total // degree} whole experts: {reason}"
    changed = RecipeOptions((*recipe.options, *options), (*recipe.notes, note))
    return replace(option, recipe=changed)


def _of(spec: Spec, backend: str) -> bool:
    return spec.backend.lower() == backend


def _applies(spec: Spec, gpus: Sequence[Gpu]) -> bool:
    return not any(reject(spec.gpu_filters, gpu) for gpu in gpus)


def _of_mode(specs: Sequence[Spec], mode: str) -> Sequence[Spec]:
    """The recipes of the requested mode, else those of the standard one."""
    exact = [spec for spec in specs if (spec.mode or STANDARD) == mode]
    return exact or [spec for spec in specs if (spec.mode or STANDARD) == STANDARD]


def _words(specs: Iterable[Spec]) -> tuple[str, ...]:
    return tuple(word for spec in specs for word in spec.backend_parameters)
