"""Models, offers and comparisons with what this machine knows of them: routes, speeds, privacy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelscan.core.errors import ModelscanError
from modelscan.core.here import ModelHere, RouteHere
from modelscan.routing.file import load
from modelscan.traces.measured import MeasuredRequests, measured_here
from modelscan.traces.prices import catalog_models, provider_hosts

if TYPE_CHECKING:
    from modelscan.core.route import Route
    from modelscan.models.info import Comparison
    from modelscan.models.offers import ModelOffers, Offer
    from modelscan.state.config import Config

TRUSTED_TAGS = frozenset(("trusted", "curated"))


def offers_here(answer: ModelOffers, config: Config) -> ModelOffers:
    """The offers with the speed that was measured here, and this machine's own routes."""
    measured = measured_here(config)
    offers = tuple(_with_speed(one, measured) for one in answer.offers)
    routes = _routes(config, measured).get(answer.model, ())
    return replace(answer, offers=offers, routes=routes)


def _with_speed(offer: Offer, measured: MeasuredRequests) -> Offer:
    served = offer.id.partition("/")[2].lower()
    hosts = (urlsplit(offer.api).hostname or "",) if offer.api else provider_hosts(offer.provider)
    found = (measured.places.get((host, served)) for host in hosts)
    return replace(offer, measured=next(filter(None, found), None))


def comparison_here(answer: Comparison, config: Config) -> Comparison:
    """The comparison with each model's routes."""
    routes = _routes(config, measured_here(config))
    ids = (one.model.id for one in answer.models)
    return replace(answer, here=tuple(ModelHere(id, routes.get(id, ())) for id in ids))


def trusted_models(config: Config) -> dict[str, tuple[str, ...]]:
    """The catalog's models with an enabled entry that is tagged trusted or curated: its names."""
    trusted = {
        model: tuple(one.name for one in routes if one.trusted and one.enabled)
        for model, routes in _routes(config, MeasuredRequests(())).items()
    }
    return {model: names for model, names in trusted.items() if names}


def _routes(config: Config, measured: MeasuredRequests) -> Mapping[str, tuple[RouteHere, ...]]:
    """The entries of the routing file by the catalog's model."""
    try:
        routes = load(config.routing_file).routes
    except ModelscanError:  # the commands about routes report it
        return {}
    known = catalog_models(config.paths)
    found: dict[str, tuple[RouteHere, ...]] = {}
    for route in routes:
        model = known(route.model) if route.model else None
        if model is not None:
            found[model.id] = (*found.get(model.id, ()), _route(route, measured))
    return found


def _route(route: Route, measured: MeasuredRequests) -> RouteHere:
    return RouteHere(
        name=route.name,
        privacy=route.tier,
        enabled=route.enabled,
        trusted=not TRUSTED_TAGS.isdisjoint(route.tags),
        context_tokens=route.context_tokens,
        measured=measured.entries.get(route.name),
    )
