"""Margins that learn from earlier starts, without being fooled by one odd row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.deployments import ESTIMATE, make, plan

from modelscan.core.deployment import Measured
from modelscan.core.deployment_state import State
from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.measurement import Measurement
from modelscan.core.units import GIB, MIB
from modelscan.engines.margin_history import learned_share, with_history, without_outliers
from modelscan.state.store import Store

BASE = Measurement("d", "2026-01-01T00:00:00.000Z", "m", "llama.cpp", None, "Q8_0", 4096,
                   10 * GIB, 10 * GIB, 100 * MIB)  # fmt: skip


def rows(*errors: float, backend: str = "llama.cpp", size: int = 10 * GIB) -> list[Measurement]:
    return [
        replace(BASE, backend=backend, estimated_bytes=round(size * (1 + e)), measured_bytes=size)
        for e in errors
    ]


def test_too_few_rows_teach_nothing() -> None:
    assert learned_share(rows(0.02, 0.02, 0.02, 0.02), "llama.cpp") is None
    assert learned_share(rows(*[0.02] * 9, backend="vllm"), "llama.cpp") is None
    assert learned_share(rows(*[0.02] * 9, size=100 * MIB), "llama.cpp") is None


def test_the_margin_covers_what_was_seen() -> None:
    share = learned_share(rows(0.01, 0.012, 0.011, 0.013, 0.009), "llama.cpp")
    assert share == pytest.approx(1.25 * 0.013)


def test_one_odd_start_is_rejected() -> None:
    share = learned_share(rows(0.01, 0.012, 0.011, 0.013, 0.009, -0.6), "llama.cpp")
    assert share == pytest.approx(1.25 * 0.013)


@given(st.lists(st.floats(-0.05, 0.05), min_size=5, max_size=30), st.floats(1.0, 50.0))
def test_an_outlier_never_survives(values: list[float], odd: float) -> None:
    kept = without_outliers([*values, *values, odd])
    assert odd not in kept
    assert kept


def test_estimates_take_the_larger_margin() -> None:
    device = DeviceEstimate(None, Parts(), 10 * GIB, free_bytes=int(10.1 * GIB))
    found = replace(
        ESTIMATE, total_bytes=10 * GIB, host=device, margin_bytes=50 * MIB, verdict="fits"
    )
    learned = with_history(found, rows(*[0.05] * 6))
    assert learned.margin_bytes == pytest.approx(0.0625 * 10 * GIB)
    assert (learned.verdict, learned.within_margin) == ("fits", True)
    assert "learned" in learned.assumptions[-1]
    assert with_history(found, rows(*[0.001] * 6)) == found


def test_the_store_remembers_every_start_beyond_its_deployment(tmp_path: Path) -> None:
    estimate = replace(ESTIMATE, total_bytes=110, margin_bytes=5, backend_version="1")
    started = make(
        "a", plan=plan(estimate=estimate), measured=Measured(total_bytes=100),
        started_at="2026-01-02T00:00:00Z",
    )  # fmt: skip
    with Store.open(tmp_path / "store.sqlite3") as store:
        store.put(started)
        store.put(started)  # the same start, saved again
        store.put(replace(started, state=State.STOPPED))
        store.put(replace(started, started_at="2026-01-03T00:00:00Z"))
        store.put(make("b", measured=None))
        store.delete("a")
        found = store.measurements()
    assert [(row.deployment, row.started_at) for row in found] == [
        ("a", "2026-01-02T00:00:00Z"), ("a", "2026-01-03T00:00:00Z"),
    ]  # fmt: skip
    assert (found[0].error_bytes, found[0].relative_error) == (10, 0.1)
