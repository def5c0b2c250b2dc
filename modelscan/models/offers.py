"""Providers that host a model and what this machine costs instead: ``catalog offers``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from modelscan.catalog.offers import OwnCost, blended_price, own_cost, ranked_offers
from modelscan.core.here import MeasuredHere, Privacy, RouteHere
from modelscan.core.model import Offering

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.core.model import Model
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class Offer(Offering):
    """A provider's offering with one price for comparison.

    ``blended_usd_per_mtok`` is US dollars per million tokens, three input tokens for one output
    token; None where one of the two prices is unknown. ``privacy``: whose machine answers;
    ``measured``: how fast it answered this machine.
    """

    blended_usd_per_mtok: float | None = None
    privacy: Privacy = "third_party"
    measured: MeasuredHere | None = None


@dataclass(frozen=True, slots=True)
class ModelOffers:
    """The offerings of the model with the id ``model``, cheapest first, unknown prices last.

    ``routes``: the entries of the routing file that serve it.
    """

    model: str
    offers: tuple[Offer, ...]
    own_machine: OwnCost
    routes: tuple[RouteHere, ...] = ()


@dataclass(frozen=True, slots=True)
class PowerUse:
    """What the cost of this machine is computed from; None: the setting, or the plan's speed."""

    tokens_per_s: float | None = None
    watts: float | None = None
    usd_per_kwh: float | None = None


def find_offers(
    text: str, config: Config, machine: Callable[[], Machine], power: PowerUse = PowerUse()
) -> ModelOffers:
    """The offers of a catalog model and the electricity cost per million tokens on ``machine``.

    ``machine`` is called only where the speed has to be planned. Raises UsageError for an unknown
    or ambiguous name.
    """
    from modelscan.catalog.search.lookup import find_model

    model = find_model(text, config.paths)
    tokens_per_s = power.tokens_per_s
    if tokens_per_s is None and model.variants:
        tokens_per_s = _planned_speed(model, machine(), config)
    own = own_cost(
        _setting(config, "machine_watts", power.watts),
        _setting(config, "electricity_usd_per_kwh", power.usd_per_kwh),
        tokens_per_s,
    )
    return ModelOffers(model.id, tuple(_offer(one) for one in ranked_offers(model)), own)


def _planned_speed(model: Model, machine: Machine, config: Config) -> float | None:
    from modelscan.models.fit import fit_of

    return fit_of(model, machine, config).tokens_per_s


def _setting(config: Config, key: str, option: float | None) -> float | None:
    value: Any = config.value(key) if option is None else option
    return None if value is None else float(value)


def _offer(offering: Offering) -> Offer:
    values = {field.name: getattr(offering, field.name) for field in fields(Offering)}
    return Offer(**values, blended_usd_per_mtok=blended_price(offering))
