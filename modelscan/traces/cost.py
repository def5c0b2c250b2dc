"""What requests cost: hosted ones by price, this machine's by power and the price of the machine.

What is not known stays unknown: a row without a price has no cost, and the total says how many
requests it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from modelscan.catalog.offers import blended_price, ranked_offers
from modelscan.core.errors import UsageError
from modelscan.core.model import Offering
from modelscan.traces.prices import PriceBook, TokenCounts, cost_usd
from modelscan.traces.rollups import BusyTime, UsageSums

if TYPE_CHECKING:
    from modelscan.core.model import Model

Basis = Literal["price", "power", "unknown"]
_KWH = 3_600_000.0  # watt-seconds


@dataclass(frozen=True, slots=True)
class OwnCosts:
    """What a second of this machine costs; None: not known. US dollars, watts, seconds."""

    watts: float | None = None
    usd_per_kwh: float | None = None
    hardware_usd: float | None = None
    lifetime_s: float | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The options that would make the cost known."""
        power = (("--power", self.watts), ("--tariff", self.usd_per_kwh))
        half = (("--hardware", self.hardware_usd), ("--lifetime", self.lifetime_s))
        given = any(value is not None for _, value in half)
        needed = (*power, *(half if given else ()))
        return tuple(option for option, value in needed if value is None)

    @property
    def energy_usd_per_s(self) -> float | None:
        """Electricity per second of work."""
        if self.watts is None or self.usd_per_kwh is None:
            return None
        return self.watts / _KWH * self.usd_per_kwh

    @property
    def hardware_usd_per_s(self) -> float:
        """The machine's price per second of work, spread over its lifetime; 0: not given."""
        if self.hardware_usd is None or not self.lifetime_s:
            return 0.0
        return self.hardware_usd / self.lifetime_s

    @property
    def usd_per_s(self) -> float | None:
        """Both; None: something is missing."""
        energy = self.energy_usd_per_s
        return None if self.missing or energy is None else energy + self.hardware_usd_per_s


@dataclass(frozen=True, slots=True)
class RouteCost:
    """Requests of one route to one model. ``busy_s``: the seconds that this machine worked on them;
    ``unknown_usage``: requests without a count of tokens: ``cost_usd`` is without them.
    ``price_source``: where a price is stated, or why there is none."""

    route: str | None
    provider: str | None
    served_model: str | None
    tier: str | None
    requests: int
    errors: int
    unknown_usage: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    busy_s: float
    left_machine_bytes: int
    cost_usd: float | None
    basis: Basis
    price_source: str


@dataclass(frozen=True, slots=True)
class CostTotal:
    """Over all routes. ``cost_usd`` None: no request's cost is known; ``unknown_requests`` are the
    requests that it is without."""

    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None
    unknown_requests: int


@dataclass(frozen=True, slots=True)
class OwnCostShown:
    """How the cost of this machine was computed. ``missing``: options that would make it known."""

    watts: float | None
    usd_per_kwh: float | None
    hardware_usd: float | None
    lifetime_s: float | None
    busy_s: float
    energy_kwh: float | None
    energy_usd: float | None
    amortised_usd: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloudComparison:
    """What the tokens of this machine's requests would cost at a hosted model. ``own_cost_usd`` is
    what they cost here; ``savings_usd``: how much less that is."""

    model: str
    offering: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    own_cost_usd: float | None
    savings_usd: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class TraceCost:
    """The costs from ``since`` (the beginning of its hour, of older ones of its day in UTC; None:
    everything that is recorded)."""

    since: str | None
    routes: tuple[RouteCost, ...]
    total: CostTotal
    own_machine: OwnCostShown
    cloud_comparison: tuple[CloudComparison, ...]
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CostInputs:
    """Everything that the costs are computed from."""

    sums: Sequence[UsageSums]
    busy: BusyTime
    own: OwnCosts
    prices: PriceBook

    @property
    def share(self) -> float:
        """Of the seconds of this machine's requests, those in which it was at work: requests that
        run at the same time share them."""
        return self.busy.busy_s / self.busy.requests_s if self.busy.requests_s else 0.0


def trace_cost(
    inputs: CostInputs, against: Sequence[Model | Offering], since: str | None = None
) -> TraceCost:
    """The cost per route, in total, and of the same tokens at hosted models."""
    rows = tuple(_rows(inputs))
    return TraceCost(
        since, rows, _total(rows), _own_shown(inputs),
        tuple(_compared(inputs, rows, one) for one in against), tuple(_assumptions(inputs, rows)),
    )  # fmt: skip


def _rows(inputs: CostInputs) -> Iterator[RouteCost]:
    def place(one: UsageSums) -> tuple[str, ...]:
        return (one.route, one.backend, one.host, one.served_model, one.tier)

    for _, group in groupby(sorted(inputs.sums, key=place), place):
        yield _row(inputs, tuple(group))


def _row(inputs: CostInputs, sums: tuple[UsageSums, ...]) -> RouteCost:
    first = sums[0]
    cost, basis, source = _cost(inputs, sums)
    local = first.tier == "local"
    return RouteCost(
        route=first.route or None,
        provider=first.backend or None,
        served_model=first.served_model or None,
        tier=first.tier or None,
        requests=sum(one.requests for one in sums),
        errors=sum(one.errors for one in sums),
        unknown_usage=sum(one.unknown_usage for one in sums),
        input_tokens=sum(one.input_tokens for one in sums),
        output_tokens=sum(one.output_tokens for one in sums),
        cached_tokens=sum(one.cached_tokens for one in sums),
        reasoning_tokens=sum(one.reasoning_tokens for one in sums),
        busy_s=_seconds(sums) * inputs.share if local else 0.0,
        left_machine_bytes=sum(one.left_bytes for one in sums),
        cost_usd=cost,
        basis=basis,
        price_source=source,
    )


def _seconds(sums: Iterable[UsageSums]) -> float:
    return sum(one.duration_s for one in sums)


def _cost(
    inputs: CostInputs, sums: tuple[UsageSums, ...]
) -> tuple[float | None, Basis, str]:  # fmt: skip
    first = sums[0]
    if not first.backend:
        return 0.0, "price", "refused by the gateway: no model was used"
    price = inputs.prices.price(first.backend, first.host, first.served_model, first.tier)
    if price is not None:
        costs = [cost_usd(price.pricing, _tokens(one)) for one in sums]
        known = [one for one in costs if one is not None]
        if len(known) == len(costs) and not _all_unknown(sums):
            return sum(known), "price", price.source
        return None, "unknown", f"{price.source}: no price or no count of these tokens"
    if first.tier == "local":
        rate = inputs.own.usd_per_s
        if rate is None:
            return None, "unknown", f"this machine: give {', '.join(inputs.own.missing)}"
        return _seconds(sums) * inputs.share * rate, "power", "this machine's seconds of work"
    return None, "unknown", f"no price of {first.served_model} at {first.host} is known: --price"


def _all_unknown(sums: Sequence[UsageSums]) -> bool:
    unknown = sum(one.unknown_usage for one in sums)
    return bool(unknown) and unknown + sum(one.errors for one in sums) >= sum(
        one.requests for one in sums
    )


def _tokens(one: UsageSums) -> TokenCounts:
    return TokenCounts(one.input_tokens, one.output_tokens, one.cached_tokens, one.band)


def _total(rows: Sequence[RouteCost]) -> CostTotal:
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    unknown = sum(
        row.requests if row.cost_usd is None else row.unknown_usage * (row.basis == "price")
        for row in rows
    )
    return CostTotal(
        requests=sum(row.requests for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        cost_usd=sum(known) if known else None,
        unknown_requests=unknown,
    )


def _own_shown(inputs: CostInputs) -> OwnCostShown:
    own, busy_s = inputs.own, inputs.busy.busy_s
    energy = own.energy_usd_per_s
    return OwnCostShown(
        own.watts, own.usd_per_kwh, own.hardware_usd, own.lifetime_s, busy_s,
        energy_kwh=None if own.watts is None else own.watts * busy_s / _KWH,
        energy_usd=None if energy is None else energy * busy_s,
        amortised_usd=own.hardware_usd_per_s * busy_s if own.hardware_usd is not None else None,
        missing=own.missing,
    )  # fmt: skip


def _compared(
    inputs: CostInputs, rows: Sequence[RouteCost], against: Model | Offering
) -> CloudComparison:
    """The cheapest offering of a model, or one offering, for the tokens of this machine."""
    sums = [one for one in inputs.sums if one.tier == "local"]
    local = [row for row in rows if row.tier == "local"]
    own = None
    if local and all(row.cost_usd is not None for row in local):
        own = sum(row.cost_usd or 0.0 for row in local)
    found = _cheapest(_offerings(against), sums)
    cost = None if found is None else found[0]
    return CloudComparison(
        model=against.id,
        offering=None if found is None else found[1],
        input_tokens=sum(one.input_tokens for one in sums),
        output_tokens=sum(one.output_tokens for one in sums),
        cost_usd=cost,
        own_cost_usd=own,
        savings_usd=None if cost is None or own is None else cost - own,
        reason=None if found is not None else "the catalog has no price of it",
    )


def _offerings(against: Model | Offering) -> tuple[Offering, ...]:
    """The offering, or those of the model that cost something: free ones have other limits."""
    if isinstance(against, Offering):
        return (against,)
    return tuple(one for one in ranked_offers(against) if blended_price(one))


def _cheapest(
    offerings: Iterable[Offering], sums: Sequence[UsageSums]
) -> tuple[float, str] | None:  # fmt: skip
    """The lowest cost of the tokens, and whose it is."""
    costs = []
    for offering in offerings:
        if offering.pricing is not None:
            parts = [cost_usd(offering.pricing, _tokens(one)) for one in sums]
            if all(part is not None for part in parts):
                costs.append((sum(part or 0.0 for part in parts), offering.id))
    return min(costs, default=None)


def _assumptions(inputs: CostInputs, rows: Sequence[RouteCost]) -> Iterator[str]:
    bases = {row.basis for row in rows}
    if "power" in bases:
        yield (
            "this machine costs its power and its price for the seconds in which a request was at "
            "work, at most 3,600 per hour; idle time is not counted"
        )
    if "price" in bases:
        yield (
            "hosted requests cost what the price list says now; cached tokens without a price of "
            "their own cost as much as input"
        )
    if any(row.unknown_usage and row.basis == "price" for row in rows):
        yield "requests whose answer states no tokens are left out"


def named_models(texts: Iterable[str], find: Callable[[str], Model]) -> list[Model | Offering]:
    """The models or offerings that ``--against`` names. Raises UsageError for an unknown one."""
    found: list[Model | Offering] = []
    for text in texts:
        model = find(text)
        offering = next((one for one in model.offerings if one.id.lower() == text.lower()), None)
        if not model.offerings:
            raise UsageError(
                f"the catalog has no provider of {model.id}",
                hint=f"modelscan catalog info {model.id} --offers",
                code="no_offering",
            )
        found.append(offering or model)
    return found
