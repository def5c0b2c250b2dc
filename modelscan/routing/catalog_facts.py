"""What the catalog says of the models in the routing file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines.families import family_of
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import RouteModelFacts

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths


def model_facts(file: RoutingFile, paths: Paths) -> dict[str, RouteModelFacts]:
    """The facts of every model that the catalog knows, by its id in the file. Reads the index."""
    from modelscan.catalog.search.lookup import find_known

    facts: dict[str, RouteModelFacts] = {}
    for model in dict.fromkeys(route.model for route in file.routes):
        if model:
            try:
                known = find_known(model, paths)
            except UsageError:  # several models have that name
                continue
            if known is not None:
                facts[model] = _facts(known)
    return facts


def _facts(model: Model) -> RouteModelFacts:
    family = family_of([model.id, model.name], ())
    return RouteModelFacts(
        family=family.name if family else None,
        context_tokens=model.limits.context_tokens,
        task=model.task,
        parameters=model.parameters,
        texts=tuple(filter(None, (model.name, model.family, model.description))),
    )
