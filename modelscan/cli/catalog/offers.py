"""``catalog offers``: prices of a model's providers, and the power cost of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_speed

if TYPE_CHECKING:
    from modelscan.catalog.offers import OwnCost
    from modelscan.core.here import MeasuredHere, RouteHere
    from modelscan.models.offers import ModelOffers, Offer

_COLUMNS = (
    "OFFERING", "USD/M IN", "USD/M OUT", "CACHED IN", "CONTEXT", "OUTPUT", "PRIVACY", "FIRST S",
    "TOKENS/S", "STATUS",
)  # fmt: skip
_ROUTE_COLUMNS = ("ROUTE", "PRIVACY", "CONTEXT", "REQUESTS", "FIRST S", "TOKENS/S")


def offers_document(context: Context, model: str, **options: Any) -> Document[ModelOffers]:
    """One row per offering, cheapest first; ``options`` are those of ``Workspace.offers``."""
    answer = context.workspace.offers(model, **options)
    table = Table(
        _COLUMNS,
        [_cells(offer) for offer in answer.offers],
        numeric=(*_COLUMNS[1:6], "FIRST S", "TOKENS/S"),
        optional=("CONTEXT", "PRIVACY", "FIRST S", "TOKENS/S", "OUTPUT", "STATUS", "CACHED IN"),
        empty=f"the catalog has no provider of {answer.model}",
    )
    own = Fields([("this machine", _own_cost(answer.own_machine))])
    blocks: list[Block] = [table, Note(""), own]
    if answer.routes:
        blocks += [Note(""), _routes(answer.routes)]
    return Document("catalog.offers", answer, blocks, [offer.id for offer in answer.offers])


def _routes(routes: tuple[RouteHere, ...]) -> Table:
    """The entries of the routing file, with the medians of their newest requests."""
    rows = [
        (one.name, one.privacy.replace("_", " "), one.context_tokens,
         one.measured and one.measured.requests, *_speed(one.measured))
        for one in routes
    ]  # fmt: skip
    return Table(_ROUTE_COLUMNS, rows, numeric=_ROUTE_COLUMNS[2:], optional=("CONTEXT",))


def _speed(measured: MeasuredHere | None) -> tuple[str | None, str | None]:
    if measured is None:
        return None, None
    first = measured.ttft_s
    return None if first is None else f"{first:.3g}", format_speed(measured.tokens_per_s)


def _own_cost(own: OwnCost) -> str:
    if own.usd_per_mtok is None:
        return f"unknown: give {', '.join(own.missing)}"
    return (
        f"{own.usd_per_mtok:,.3f} USD of electricity per million output tokens, at "
        f"{format_speed(own.tokens_per_s)} tokens/s with one request at a time"
    )


def _cells(offer: Offer) -> tuple[object, ...]:
    price = offer.pricing
    return (
        offer.id,
        price and price.input_usd_per_mtok,
        price and price.output_usd_per_mtok,
        price and price.cache_read_usd_per_mtok,
        offer.limits.context_tokens,
        offer.limits.output_tokens,
        offer.privacy.replace("_", " "),
        *_speed(offer.measured),
        offer.status,
    )
