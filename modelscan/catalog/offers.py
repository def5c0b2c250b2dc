"""The providers that host a model, cheapest first, and the cost of running it on one's own
machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.model import Model, Offering

_INPUT_SHARE = 0.75  # three input tokens per output token, typical of chats with context


@dataclass(frozen=True, slots=True)
class OwnCost:
    """US dollars per million output tokens of this machine; None where an input is unknown.

    ``missing`` lists the options of ``catalog offers`` that would supply the unknown inputs.
    """

    usd_per_mtok: float | None
    watts: float | None
    usd_per_kwh: float | None
    tokens_per_s: float | None
    missing: tuple[str, ...] = ()


def own_cost(watts: float | None, usd_per_kwh: float | None, tokens_per_s: float | None) -> OwnCost:
    """Energy cost: W x s / 3.6e6 = kWh for a million tokens, times the price.

    Without hardware cost.
    """
    cost = None
    if watts is not None and usd_per_kwh is not None and tokens_per_s:
        cost = watts * (1e6 / tokens_per_s) / 3.6e6 * usd_per_kwh
    inputs = (
        ("--watts", watts), ("--usd-per-kwh", usd_per_kwh), ("--tokens-per-s", tokens_per_s),
    )  # fmt: skip
    missing = tuple(option for option, value in inputs if value is None)
    return OwnCost(cost, watts, usd_per_kwh, tokens_per_s, missing)


def ranked_offers(model: Model) -> tuple[Offering, ...]:
    """The offerings by blended price, cheapest first; unknown prices last, then by provider."""
    return tuple(sorted(model.offerings, key=_rank))


def blended_price(offering: Offering) -> float | None:
    """US dollars per million tokens with three input tokens per output token; None if a price is
    unknown.
    """
    price = offering.pricing
    if price is None or price.input_usd_per_mtok is None or price.output_usd_per_mtok is None:
        return None
    return _INPUT_SHARE * price.input_usd_per_mtok + (1 - _INPUT_SHARE) * price.output_usd_per_mtok


def _rank(offering: Offering) -> tuple[bool, float, str]:
    price = blended_price(offering)
    return (price is None, price or 0.0, offering.id)
