"""``eval quant`` on the real engine, and the plans that use what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Ran
from support.tiny_gguf import Shape, write_tiny_gguf

from modelscan.core.plan import Quality, QualityMeasurement
from modelscan.models.measured_quality import measurements_of, record_measurement
from modelscan.models.quantization_quality import quality_table
from modelscan.planner.quality import describe, with_measurements
from modelscan.state.config import load

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]

MEASURED = QualityMeasurement(
    models=("demo", "Demo"), reference="Q8_0", quantization="Q4_0", kl_divergence=0.25,
    kl_lower=0.2, kl_upper=0.31, agreement=0.6875, positions=64, parameters=None,
    text_sha256="0" * 64, backend="llama.cpp 1", measured_at="2026-01-01T00:00:00.000Z",
    eval_id="e-1",
)  # fmt: skip
PUBLISHED = Quality(0.07, "measured", "https://example.org", "Llama-3-8B", 0.07)


def test_the_newest_measurement_of_the_format_counts() -> None:
    older = replace(MEASURED, kl_divergence=0.5)
    quality = with_measurements(PUBLISHED, "q4_0", (MEASURED, older), quality_table())
    assert quality.loss == pytest.approx(0.25 + quality_table()["Q8_0"][1].loss)
    assert (quality.basis, quality.measurement) == ("measured", MEASURED)
    assert "the same next token as Q8_0 at 69 % of 64 positions" in describe(quality)
    assert quality.source == "modelscan eval show e-1"


@pytest.mark.parametrize("other", ["Q8_0", "Q5_0", None])
def test_other_formats_keep_their_quality(other: str | None) -> None:
    assert with_measurements(PUBLISHED, other, (MEASURED,), quality_table()) is PUBLISHED


@pytest.mark.parametrize("basis", ["original", "upcast"])
def test_lossless_formats_keep_theirs(basis: str) -> None:
    quality = Quality(0.0, basis)  # type: ignore[arg-type]
    assert with_measurements(quality, "Q4_0", (MEASURED,), quality_table()) is quality


def test_measurements_are_stored_by_model(clean_environment: Path) -> None:
    paths = load().paths
    assert measurements_of(paths, "demo") == ()
    file = record_measurement(paths, MEASURED)
    newer = replace(MEASURED, measured_at="2026-02-01T00:00:00.000Z", quantization="Q4_1")
    record_measurement(paths, newer)
    assert measurements_of(paths, "other", "DEMO") == (newer, MEASURED)
    assert measurements_of(paths, "other") == ()
    (file.parent / "damaged.json").write_text("{")
    assert measurements_of(paths, "demo") == (newer, MEASURED)
    record_measurement(paths, replace(MEASURED, agreement=0.5))
    assert [one.agreement for one in measurements_of(paths, "demo")] == [0.6875, 0.5]


def test_plan_states_what_was_measured(run_in_process: Run, clean_environment: Path) -> None:
    """For this model and format only; another size with the same name is another model."""
    before = run_in_process("plan", "demo", "--json").json["plan"]
    measured = replace(MEASURED, reference="F16", quantization=before["quantization"])
    record_measurement(load().paths, replace(measured, parameters=10**12))
    other = run_in_process("plan", "demo", "--json").json["plan"]
    assert other["quality"] == before["quality"]
    record_measurement(load().paths, replace(measured, text_sha256="1" * 64))
    after = run_in_process("plan", "demo", "--json").json["plan"]
    assert after["quality"]["measurement"]["eval_id"] == "e-1"
    assert any("measured here on this model" in reason for reason in after["reasons"])


def test_two_files_on_the_real_engine(run_in_process: Run, home: Path, tmp_path: Path) -> None:
    """A file equals itself, and not another one; what was deployed for it is gone afterwards."""
    one = write_tiny_gguf(tmp_path / "one.gguf", seed=1, shape=Shape(context=8192))
    two = write_tiny_gguf(tmp_path / "two.gguf", seed=2, shape=Shape(context=8192))
    done = run_in_process("deploy", str(one), "--name", "kept", "--context", "8k", "--json")
    assert done.code == 0, done
    done = run_in_process("eval", "quant", str(one), "kept", str(two), "--positions", "8", "--json")
    assert done.code == 0, done
    answer = done.json
    assert 4 <= answer["tokens"]["positions"] <= 8
    assert answer["tokens"]["kl"] > 0.0
    assert (answer["a"]["deployed"], answer["b"]["deployed"]) == (False, True)
    assert answer["a"]["quantization"] == answer["b"]["quantization"]
    assert answer["recorded"] is False  # the same format: no loss to learn
    same = run_in_process("eval", "quant", str(one), "kept", "kept", "--positions", "8", "--json")
    assert same.json["tokens"]["agreement"] == 1.0
    assert same.json["tokens"]["kl"] == pytest.approx(0.0, abs=1e-4)
    rows = run_in_process("list", "--json").json["deployments"]
    assert [row["name"] for row in rows] == ["kept"]
    assert run_in_process("set", "kept", "--context", "256", "--json").code == 0
    short = run_in_process("eval", "quant", str(one), "kept", "kept", "--positions", "8", "--json")
    assert (short.code, short.json["error"]["code"]) == (3, "context_too_small")
    assert short.json["error"]["hint"] == "modelscan set kept --context 4k"
    assert run_in_process("remove", "kept", "--yes").code == 0


def test_what_is_no_format_is_refused_before_anything_starts(
    run_in_process: Run, home: Path, model_file: Path
) -> None:
    done = run_in_process("eval", "quant", str(model_file), "Q8_0", "Q99_Z")
    assert done.code == 2
    assert "Q99_Z" in done.err
    assert run_in_process("list", "--json").json["deployments"] == []
