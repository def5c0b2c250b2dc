"""What tokens cost: the user's own prices, else the catalog's, for the provider that was used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec

from modelscan.core.errors import UsageError
from modelscan.core.model import Offering, Pricing
from modelscan.core.yaml_reader import yaml_value
from modelscan.routing.presets import PRESETS, preset_named

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

# Providers whose address the catalog does not state.
_HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai", "api.anthropic.com": "anthropic", "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "google", "api.groq.com": "groq", "api.x.ai": "xai",
    "api.together.xyz": "togetherai", "api.cohere.com": "cohere", "api.cohere.ai": "cohere",
    "api.perplexity.ai": "perplexity", "api.cerebras.ai": "cerebras",
    "api.deepinfra.com": "deepinfra",
}  # fmt: skip
_MILLION = 1e6
_Price = Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """US dollars per million tokens, and where they are stated."""

    pricing: Pricing
    source: str


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of requests; the cached ones are among the input. ``band``: the input's size."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    band: int = 0


class OwnPrice(msgspec.Struct, forbid_unknown_fields=True):
    """A price in the user's file, in US dollars per million tokens."""

    input_usd_per_mtok: _Price
    output_usd_per_mtok: _Price
    cached_usd_per_mtok: _Price | None = None


class PriceBook:
    """Looks prices up, each once. ``known_model`` is the catalog's; ``own`` wins over it."""

    def __init__(
        self,
        known_model: Callable[[str], Model | None],
        own: Mapping[str, OwnPrice] | None = None,
        own_source: str = "",
    ) -> None:
        self._known_model = known_model
        self._own = own or {}
        self._own_source = own_source
        self._found: dict[tuple[str, str, str], TokenPrice | None] = {}

    def price(
        self, backend: str, host: str, served_model: str, tier: str | None
    ) -> TokenPrice | None:
        """The price of a model at a routing entry; None: unknown. The catalog's prices are those of
        third parties."""
        key = (backend, host, served_model)
        if key not in self._found:
            listed = self._listed(host, served_model) if tier == "third_party" else None
            self._found[key] = self._own_price(*key) or listed
        return self._found[key]

    def _own_price(self, backend: str, host: str, served_model: str) -> TokenPrice | None:
        for name in (f"{backend}/{served_model}", f"{host}/{served_model}", served_model, backend):
            own = self._own.get(name)
            if own is not None:
                pricing = Pricing(
                    own.input_usd_per_mtok, own.output_usd_per_mtok,
                    cache_read_usd_per_mtok=own.cached_usd_per_mtok,
                )  # fmt: skip
                return TokenPrice(pricing, f"{self._own_source}: {name}")
        return None

    def _listed(self, host: str, served_model: str) -> TokenPrice | None:
        names = provider_names(host)
        for text in (*(f"{name}/{served_model}" for name in names), served_model):
            model = self._known_model(text)
            for offering in model.offerings if model is not None else ():
                if _is_at(offering, host, names, served_model) and offering.pricing is not None:
                    return TokenPrice(offering.pricing, f"catalog: {offering.id}")
        return None


def _is_at(offering: Offering, host: str, names: tuple[str, ...], served_model: str) -> bool:
    there = offering.provider in names or _host(offering.api) == host
    own = offering.id.partition("/")[2]
    return bool(host) and there and own.lower() == served_model.lower()


def provider_names(host: str) -> tuple[str, ...]:
    """The catalog's names of the provider at a host."""
    listed = (_HOSTS[host],) if host in _HOSTS else ()
    presets = (one for one in PRESETS.values() if one.base_url and _host(one.base_url) == host)
    return (*listed, *(name for one in presets for name in (one.name, *one.aliases)))


def provider_hosts(name: str) -> tuple[str, ...]:
    """The hosts of one of the catalog's providers whose address the catalog does not state."""
    listed = tuple(host for host, provider in _HOSTS.items() if provider == name)
    preset = preset_named(name)
    own = _host(preset.base_url) if preset is not None else None
    return (*listed, *((own,) if own else ()))


def _host(url: str | None) -> str | None:
    return urlsplit(url).hostname if url else None


def cost_usd(pricing: Pricing, tokens: TokenCounts) -> float | None:
    """US dollars of some requests; None where a price is missing that they need.

    A provider without a price for cached tokens charges them as input.
    """
    into, out, cached = _rates(pricing, tokens.band)
    cached_tokens = min(tokens.cached_tokens, tokens.input_tokens)
    parts = (
        (tokens.input_tokens - cached_tokens, into),
        (cached_tokens, into if cached is None else cached),
        (tokens.output_tokens, out),
    )
    if any(count and rate is None for count, rate in parts):
        return None
    return sum(count * (rate or 0.0) for count, rate in parts) / _MILLION


def _rates(pricing: Pricing, band: int) -> tuple[float | None, float | None, float | None]:
    """Input, output, cached; of the highest tier that the input exceeds."""
    rates = (
        pricing.input_usd_per_mtok, pricing.output_usd_per_mtok, pricing.cache_read_usd_per_mtok,
    )  # fmt: skip
    tiers: list[tuple[float, Mapping[str, Any]]] = []
    for tier in pricing.tiers:
        bound = tier.get("tier")
        size = bound.get("size") if isinstance(bound, Mapping) else None
        if isinstance(size, (int, float)) and size - 1 <= band:  # 200001 means from there on
            tiers.append((size, tier))
    if not tiers:
        return rates
    chosen = max(tiers, key=lambda one: one[0])[1]
    into, out, cached = (chosen.get(name) for name in ("input", "output", "cache_read"))
    return into, out, cached if cached is not None else rates[2]


def catalog_models(paths: Paths) -> Callable[[str], Model | None]:
    """Looks models up in the catalog; None for a name that it does not have exactly."""
    from modelscan.catalog.search.lookup import find_known

    def known(text: str) -> Model | None:
        try:
            return find_known(text, paths)
        except UsageError:  # several models have that name
            return None

    return known


def read_prices(file: Path) -> dict[str, OwnPrice]:
    """A file with prices per name: ``MODEL: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}``.

    Names are served models, routing entries, or ENTRY/MODEL. Raises UsageError.
    """
    hint = "write lines such as   qwen3-8b: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.3}"
    try:
        document = yaml_value(file.read_text(encoding="utf-8"))
        return msgspec.convert(document, dict[str, OwnPrice])
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"cannot read the prices in {file}: {error}", hint=hint) from error
