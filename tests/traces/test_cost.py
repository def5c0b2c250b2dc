"""Costs: equal to a calculation by hand, unknown where something is missing, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.trace_rows import START, hosted, receipt

from modelscan.core.errors import UsageError
from modelscan.core.model import Pricing
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess, find_cost, list_spans
from modelscan.traces.cost import OwnCosts
from modelscan.traces.prices import TokenCounts, cost_usd, read_prices
from modelscan.traces.rollup_days import HOUR_S
from modelscan.traces.rollups import band_of


@pytest.fixture
def access(clean_environment: Path) -> Iterator[TraceAccess]:
    config = load({})
    with ServerDatabase.open(config.paths.state) as database:
        yield TraceAccess(config, database)


def test_a_hosted_request_costs_its_tokens_times_the_price(access: TraceAccess) -> None:
    """gpt-4o at OpenAI: 2.50 for input, 1.25 for cached input, 10.00 for output, per million."""
    access.store.write([hosted(1, cached_tokens=400), hosted(2)])
    (row,) = find_cost(access).routes
    by_hand = (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6 + (1000 * 2.5 + 100 * 10) / 1e6
    assert row.cost_usd == pytest.approx(by_hand)
    assert (row.basis, row.price_source) == ("price", "catalog: openai/gpt-4o")
    assert (row.requests, row.input_tokens, row.cached_tokens) == (2, 2000, 400)
    spans = list_spans(access, limit=9).spans
    assert sum(one.cost_usd or 0 for one in spans) == pytest.approx(by_hand)


def test_this_machine_costs_its_power_and_its_price_per_second(access: TraceAccess) -> None:
    access.store.write([receipt(1), receipt(2, queue_s=0.5)])
    (unknown,) = find_cost(access).routes
    assert (unknown.cost_usd, unknown.basis) == (None, "unknown")
    assert "--power" in unknown.price_source and "--tariff" in unknown.price_source
    cost = find_cost(access, own=OwnCosts(360, 0.5, 8000, 1e8))
    by_hand = 3.5 * (360 / 3.6e6 * 0.5 + 8000 / 1e8)
    assert cost.total.cost_usd == pytest.approx(by_hand)
    assert cost.routes[0].basis == "power"
    assert cost.own_machine.energy_kwh == pytest.approx(360 * 3.5 / 3.6e6)
    half = find_cost(access, own=OwnCosts(360, 0.5, 8000)).routes[0]
    assert half.cost_usd is None and "--lifetime" in half.price_source


def test_requests_at_the_same_time_share_the_hour(access: TraceAccess) -> None:
    begin = START // HOUR_S * HOUR_S
    access.store.write([receipt(n, at=begin + 1, duration_s=1800.0) for n in range(4)])
    cost = find_cost(access, own=OwnCosts(1000, 1.0))
    assert cost.own_machine.busy_s == 3600
    assert cost.total.cost_usd == pytest.approx(1.0)


def test_the_savings_are_against_the_cheapest_provider_of_a_hosted_model(
    access: TraceAccess,
) -> None:
    access.store.write([receipt(1), hosted(2)])
    cost = find_cost(
        access, own=OwnCosts(360, 0.5), against=["openai/gpt-4o", "openai/gpt-4o-mini"]
    )
    first = cost.cloud_comparison[0]
    assert first.input_tokens == 1000  # only what this machine did
    assert first.cost_usd is not None and first.own_cost_usd is not None
    assert 0 < first.cost_usd <= (1000 * 2.5 + 100 * 10) / 1e6
    assert first.savings_usd == pytest.approx(first.cost_usd - first.own_cost_usd)
    with pytest.raises(UsageError):
        find_cost(access, against=["no/such-model-at-all"])


def test_without_a_price_the_cost_is_unknown_and_counted(access: TraceAccess) -> None:
    access.store.write([
        hosted(1, host="api.unheard-of.example", served_model="mystery"),
        hosted(2, input_tokens=None, output_tokens=None),
        receipt(3, backend=None, host=None, tier=None, served_model=None, status=404,
                input_tokens=None, output_tokens=None),
    ])  # fmt: skip
    cost = find_cost(access)
    known = {row.served_model: row.cost_usd for row in cost.routes}
    assert known == {"mystery": None, "gpt-4o": None, None: 0.0}
    assert (cost.total.cost_usd, cost.total.unknown_requests) == (0.0, 2)


def test_own_prices_win(access: TraceAccess, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("qwen3-8b: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n")
    access.store.write([receipt(1)])
    (row,) = find_cost(access, prices=file).routes
    assert row.cost_usd == pytest.approx((1000 + 200) / 1e6)
    assert (row.basis, row.price_source) == ("price", "prices.yaml: qwen3-8b")


@pytest.mark.parametrize("text", ["- 1", "a: 3", "a: {input_usd_per_mtok: -1}", "a: {", "\tx: 1"])
def test_a_price_file_that_is_none_is_an_error_with_an_example(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match="cannot read the prices") as caught:
        read_prices(file)
    assert "input_usd_per_mtok" in str(caught.value.hint)


def test_long_inputs_have_the_prices_of_their_tier() -> None:
    tier = {"input": 2.0, "output": 4.0, "tier": {"type": "context", "size": 200_000}}
    pricing = Pricing(1.0, 2.0, tiers=(tier,))
    for tokens, price in ((200_000, 1.0), (200_001, 2.0)):
        counts = TokenCounts(tokens, 0, 0, band_of(tokens))
        assert cost_usd(pricing, counts) == pytest.approx(tokens * price / 1e6)
    assert cost_usd(Pricing(1.0, None), TokenCounts(10, 0)) == pytest.approx(1e-5)
    assert cost_usd(Pricing(1.0, None), TokenCounts(10, 1)) is None
