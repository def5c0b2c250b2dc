"""``modelscan trace cost``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command
from modelscan.cli.trace.database import trace_access

if TYPE_CHECKING:
    from modelscan.traces.cost import CloudComparison, RouteCost, TraceCost


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    command(app, "cost")(cost)


def cost(
    context: Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="The hours of the last 2h, 7d, …")
    ] = None,
    price: Annotated[
        Path | None, typer.Option("--price", metavar="FILE", help="Own prices, as YAML or JSON.")
    ] = None,
    power: Annotated[
        float | None,
        typer.Option("--power", min=0, metavar="W", help="Watts of this machine at work."),
    ] = None,
    tariff: Annotated[
        float | None,
        typer.Option("--tariff", min=0, metavar="USD", help="Electricity price per kWh."),
    ] = None,
    hardware: Annotated[
        float | None,
        typer.Option("--hardware", min=0, metavar="USD", help="Price of this machine."),
    ] = None,
    lifetime: Annotated[
        str | None,
        typer.Option("--lifetime", metavar="TIME", help="When it is paid off: 1000d, 3y, …"),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="MODEL", help="Compare with a hosted model; repeatable."),
    ] = None,
) -> Document[Any]:
    """Add up tokens and costs per route: hosted by price, this machine by power and its price.

    Without options the settings machine_watts, electricity_usd_per_kwh, hardware_usd and
    hardware_lifetime_s count. What is not known stays unknown.
    """
    from modelscan.core.units import parse_seconds

    since_s = None if since is None else parse_seconds(since)
    lifetime_s = None if lifetime is None else parse_seconds(lifetime)
    with trace_access(context) as access:
        from modelscan.traces.answers import find_cost
        from modelscan.traces.cost import OwnCosts

        answer = find_cost(
            access, since_s=since_s, prices=price, against=against or (),
            own=OwnCosts(power, tariff, hardware, lifetime_s),
        )  # fmt: skip
    return Document(
        "trace.cost", answer, _blocks(answer), [one.route or "" for one in answer.routes]
    )


def _blocks(answer: TraceCost) -> list[Block]:
    table = Table(
        ("ROUTE", "PROVIDER", "WHERE", "REQUESTS", "IN", "OUT", "CACHED", "USD", "BASIS"),
        [_row(one) for one in answer.routes],
        numeric=("REQUESTS", "IN", "OUT", "CACHED", "USD"),
        empty="there are no requests: modelscan serve counts them per hour",
        optional=("PROVIDER", "WHERE", "CACHED", "BASIS"),
    )
    blocks: list[Block] = [table]
    if answer.routes:
        blocks += [Note(""), Fields(_total(answer))]
    if answer.cloud_comparison:
        blocks += [Note(""), _comparison(answer.cloud_comparison)]
    blocks += [Note(text) for text in answer.assumptions]
    return blocks


def _row(one: RouteCost) -> tuple[object, ...]:
    return (
        one.route or "(refused)", one.provider, one.tier, one.requests, one.input_tokens,
        one.output_tokens, one.cached_tokens, one.cost_usd, one.basis,
    )  # fmt: skip


def _total(answer: TraceCost) -> list[tuple[str, object]]:
    total, own = answer.total, answer.own_machine
    reasons = dict.fromkeys(one.price_source for one in answer.routes if one.basis == "unknown")
    return [
        ("total_usd", total.cost_usd),
        ("requests_without_cost", total.unknown_requests),
        *(("unknown", reason) for reason in reasons),
        ("busy_s", own.busy_s),
        ("energy_kwh", own.energy_kwh),
        ("energy_usd", own.energy_usd),
        ("hardware_usd", own.amortised_usd),
    ]


def _comparison(rows: tuple[CloudComparison, ...]) -> Table:
    return Table(
        ("AGAINST", "USD THERE", "USD HERE", "SAVED USD", "NOTE"),
        [(one.offering or one.model, one.cost_usd, one.own_cost_usd, one.savings_usd, one.reason)
         for one in rows],
        numeric=("USD THERE", "USD HERE", "SAVED USD"),
        folded=("NOTE",),
    )  # fmt: skip
