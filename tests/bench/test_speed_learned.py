"""Measured speeds teach the estimate: of the same model, of others, never on other hardware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.deployments import ESTIMATE, make, plan

from modelscan.bench.learn import speed_measured
from modelscan.bench.point import BenchLoad, ClientUse, point
from modelscan.bench.report import BenchReceipt, BenchReport, BenchWorkloadRun
from modelscan.bench.stream import RequestResult
from modelscan.core.estimate import Estimate, Speed
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.measurement import SpeedMeasurement
from modelscan.deploy.answers import speed_rows
from modelscan.engines.speed_history import computed_speed, devices_of, with_speeds
from modelscan.state.store import Store

HOST = Host(8, 32 << 30, 30 << 30, cpu_name="Ryzen 9")
CARD = Gpu(0, "RTX 4090", "nvidia", 24 << 30, 23 << 30, "nvml")
CPU_ONLY = Inventory((), HOST)
SPEED = Speed(100.0, 1000.0, 80.0, 130.0, "formula")


def estimate(**fields: Any) -> Estimate:
    return replace(ESTIMATE, speed=SPEED, **fields)


def measured(number: int = 0, decode: float | None = 50.0, **fields: Any) -> SpeedMeasurement:
    values: dict[str, Any] = {
        "deployment": "m", "observed_at": f"2026-01-{number + 1:02}T00:00:00.000Z", "model": "m",
        "backend": "llama.cpp", "backend_version": "1", "quantization": "F16",
        "devices": "Ryzen 9, 8 CPUs", "context_tokens": 1024, "prompt_tokens": 128,
        "decode_tokens_per_s": decode, "prefill_tokens_per_s": 800.0,
        "estimated_decode_tokens_per_s": 100.0, "estimated_prefill_tokens_per_s": 1000.0,
    }  # fmt: skip
    return SpeedMeasurement(**{**values, **fields})


def learned(*rows: SpeedMeasurement, found: Estimate | None = None,
            hardware: Inventory = CPU_ONLY) -> Speed:  # fmt: skip
    speed = with_speeds(found or estimate(), rows, hardware).speed
    assert speed is not None
    return speed


def test_the_same_model_has_its_measured_speed() -> None:
    speed = learned(measured(0, 50.0), measured(1, 60.0), measured(2, 52.0))
    assert speed.decode_tokens_per_s == 52.0 and speed.prefill_tokens_per_s == 800.0
    assert (speed.low, speed.high) == (46.8, 60.0)
    assert speed.basis == "measured here, 3 runs of modelscan bench; formula"
    assert computed_speed(speed, "decode") == 100.0
    assert computed_speed(speed, "prefill") == 1000.0


def test_one_odd_run_does_not_decide() -> None:
    rows = [measured(n, 50.0 + n) for n in range(4)]
    assert learned(*rows, measured(9, 5.0)).decode_tokens_per_s == 51.0
    old = [measured(n, 10.0) for n in range(9)]
    assert learned(*old, *(measured(10 + n, 50.0) for n in range(5))).decode_tokens_per_s == 50.0


def test_another_context_keeps_the_formulas_relation() -> None:
    slower = estimate(context_tokens=65536)
    slower = replace(slower, speed=replace(SPEED, decode_tokens_per_s=40.0))
    assert learned(measured(0, 50.0), found=slower).decode_tokens_per_s == 20.0


@pytest.mark.parametrize(
    "fields",
    [{"devices": "RTX 4090"}, {"backend": "vllm"}, {"quantization": "Q4_K_M"}, {"model": "other"}],
)
def test_what_was_measured_elsewhere_teaches_nothing(fields: dict[str, Any]) -> None:
    assert learned(measured(0, **fields)) == SPEED
    assert learned() == SPEED


def test_simulated_hardware_is_not_this_machine() -> None:
    assert learned(measured(), hardware=replace(CPU_ONLY, source="simulated")) == SPEED


def test_three_other_models_correct_the_formula() -> None:
    rows = [measured(n, decode, model=f"other-{n}") for n, decode in enumerate((50, 60, 70))]
    speed = learned(*rows)
    assert speed.decode_tokens_per_s == 60.0 and (speed.low, speed.high) == (50.0, 70.0)
    assert speed.basis.startswith("corrected by x0.60, measured here with 3 models")
    assert learned(*rows[:2]) == SPEED
    quantizations = [
        replace(row, model="other", quantization=f"Q{n}") for n, row in enumerate(rows)
    ]
    assert learned(*quantizations) == SPEED  # three quantizations are one model
    assert learned(*rows, measured(5, 90.0)).decode_tokens_per_s == 90.0  # its own counts first


def test_a_speed_without_a_formula_is_the_measured_one() -> None:
    row = measured(0, 50.0, estimated_decode_tokens_per_s=None, estimated_prefill_tokens_per_s=None)
    found = with_speeds(replace(estimate(), speed=None), [row], CPU_ONLY).speed
    assert found is not None
    assert (found.decode_tokens_per_s, found.prefill_tokens_per_s) == (50.0, 800.0)
    partly = replace(estimate(), speed=replace(SPEED, prefill_tokens_per_s=None))
    assert learned(row, found=partly).prefill_tokens_per_s == 800.0


def test_devices_are_named() -> None:
    two = Inventory((CARD, replace(CARD, index=1), replace(CARD, index=2, name="RTX 3090")), HOST)
    assert devices_of([0, 1], two) == "2 x RTX 4090"
    assert devices_of([1, 2], two) == "RTX 4090 + RTX 3090"
    assert devices_of([], two) == "Ryzen 9, 8 CPUs"
    assert devices_of([], Inventory((), replace(HOST, cpu_name=None, cpus=None))) == "CPU"


def report(concurrency: int = 1, **fields: Any) -> BenchReport:
    request = RequestResult(
        status=200, started_s=0.0, ended_s=1.0, ttft_s=0.5, ttfo_s=0.5, e2e_s=1.0, total_s=1.0,
        tpot_s=0.05, prompt_tokens=120, cached_tokens=20, completion_tokens=11, events=11,
    )  # fmt: skip
    one = point(BenchLoad(concurrency, None, None, 7), [[request]], ClientUse(0.0, 11))
    receipt = BenchReceipt("m", "http://127.0.0.1:1", "m", foreign_requests=fields.get("foreign"))
    work = BenchWorkloadRun("shape", 1, "h", 120, 11, True, 7, 0.0, 1, "disabled")
    made = replace(one, **fields.get("point", {}))
    return BenchReport("b-1", "2026-02-01T00:00:00.000Z", "x", receipt, work, (made,), (), ())


def test_a_run_teaches_one_requests_speed() -> None:
    deployment = make("m", plan=plan(estimate=replace(ESTIMATE, speed=SPEED)))
    row = speed_measured(report(), deployment, CPU_ONLY)
    assert row is not None
    assert (row.decode_tokens_per_s, row.prefill_tokens_per_s) == (20.0, 200.0)
    assert (row.estimated_decode_tokens_per_s, row.devices) == (100.0, "Ryzen 9, 8 CPUs")
    corrected = replace(SPEED, decode_tokens_per_s=20.0, computed_decode_tokens_per_s=100.0)
    again = make("m", plan=plan(estimate=replace(ESTIMATE, speed=corrected)))
    later = speed_measured(report(), again, CPU_ONLY)
    assert later is not None and later.estimated_decode_tokens_per_s == 100.0  # not of a correction


@pytest.mark.parametrize(
    "fields",
    [{"concurrency": 2}, {"foreign": True}, {"point": {"client_limited": True}},
     {"point": {"completion_tokens": 4.0, "prompt_tokens": 30.0}}],
)  # fmt: skip
def test_a_run_that_shows_something_else_teaches_nothing(fields: dict[str, Any]) -> None:
    deployment = make("m", plan=plan(estimate=ESTIMATE))
    assert speed_measured(report(**fields), deployment, CPU_ONLY) is None
    assert speed_measured(report(), make("m", plan=None), CPU_ONLY) is None


def test_speeds_are_stored_and_shown_next_to_the_estimate(tmp_path: Path) -> None:
    deployment = make("m", plan=plan(estimate=replace(ESTIMATE, speed=SPEED)), quantization="F16")
    assert [row.measured_tokens_per_s for row in speed_rows(deployment, ())] == [None, None]
    with Store.open(tmp_path / "state.sqlite3") as store:
        store.put_speed(measured(3, 50.0))
        store.put_speed(measured(4, 60.0))
        store.put_speed(measured(4, 60.0))
        rows = store.speeds()
    assert [row.decode_tokens_per_s for row in rows] == [50.0, 60.0]
    decode, prefill = speed_rows(deployment, rows)
    assert (decode.estimated_tokens_per_s, decode.measured_tokens_per_s) == (100.0, 60.0)
    assert (decode.difference_fraction, decode.runs) == (-0.4, 2)
    assert prefill.what == "prefill" and prefill.difference_fraction == -0.2
    other = replace(deployment, quantization="Q4_K_M")
    assert [row.measured_tokens_per_s for row in speed_rows(other, rows)] == [None, None]
    assert speed_rows(make("m", plan=None), ()) == ()
