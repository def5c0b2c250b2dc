"""The cost of one receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.receipt import Receipt
from modelscan.traces.cost import OwnCosts
from modelscan.traces.prices import PriceBook, TokenCounts, catalog_models, cost_usd
from modelscan.traces.rollups import band_of
from modelscan.traces.spans import Cost

if TYPE_CHECKING:
    from modelscan.state.config import Config


class ReceiptPricer:
    """Looks prices up for receipts: hosted ones by tokens, this machine's by seconds of work."""

    def __init__(self, prices: PriceBook, own: OwnCosts) -> None:
        self._prices = prices
        self._own = own

    def __call__(self, receipt: Receipt) -> Cost:
        """The cost in US dollars (None: unknown) and where it comes from, or what is missing."""
        if receipt.backend is None:
            return 0.0, "refused by the gateway: no model was used"
        price = self._prices.price(
            receipt.backend, receipt.host or "", receipt.served_model or "", receipt.tier
        )
        if price is not None:
            tokens = _tokens(receipt)
            if tokens is None:
                return None, "the answer states no tokens"
            return cost_usd(price.pricing, tokens), price.source
        if receipt.tier != "local":
            return None, f"no price of {receipt.served_model} at {receipt.host} is known"
        rate = self._own.usd_per_s
        if rate is None:
            return None, "this machine: set machine_watts and electricity_usd_per_kwh"
        seconds = (receipt.duration_s or 0.0) - (receipt.queue_s or 0.0)
        return seconds * rate, "this machine's seconds of work"


def pricer(config: Config) -> ReceiptPricer:
    """By the catalog's prices and the settings' costs of this machine."""
    return ReceiptPricer(PriceBook(catalog_models(config.paths)), own_costs(config))


def own_costs(config: Config, given: OwnCosts | None = None) -> OwnCosts:
    """What a second of this machine costs: the options, else the settings."""
    own = given or OwnCosts()
    return OwnCosts(
        _first(own.watts, config.machine_watts),
        _first(own.usd_per_kwh, config.electricity_usd_per_kwh),
        _first(own.hardware_usd, config.hardware_usd),
        _first(own.lifetime_s, config.hardware_lifetime_s),
    )


def _first(option: float | None, setting: float | None) -> float | None:
    return setting if option is None else option


def _tokens(receipt: Receipt) -> TokenCounts | None:
    into, out = receipt.input_tokens, receipt.output_tokens
    if into is None or (out is None and receipt.operation not in ("embeddings", "rerank")):
        return None
    return TokenCounts(into, out or 0, receipt.cached_tokens or 0, band_of(into))
