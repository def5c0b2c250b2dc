"""The targets over the measured rows of ../shared, as ``make bench-memory`` prints them."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmarks import bench_memory_gpu, gpu_rows

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def errors(shared: Path) -> dict[str, dict[str, list[float]]]:
    del shared
    tables: dict[str, dict[str, list[float]]] = {}
    for engine in ("vllm", "sglang"):
        rows = [row for row in gpu_rows.rows((engine,)) if row.trusted]
        found, _, _ = bench_memory_gpu.compare(rows, show=False)
        tables[engine] = {name: [value for value, _ in table] for name, table in found.items()}
    return tables


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_medians_are_within_their_targets(
    errors: dict[str, dict[str, list[float]]], engine: str
) -> None:
    for measure in bench_memory_gpu.MEASURES[engine]:
        sizes = [abs(value) for value in errors[engine].get(measure.name, [])]
        if sizes:
            assert statistics.median(sizes) <= measure.target, measure.name


def test_the_rows_are_really_compared(errors: dict[str, dict[str, list[float]]]) -> None:
    assert len(errors["vllm"]["weights"]) >= 55
    assert len(errors["vllm"]["KV tokens"]) >= 45
    assert len(errors["sglang"]["KV pool"]) >= 4


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_failed_starts_are_predicted(shared: Path, engine: str) -> None:
    del shared
    failed = [row for row in gpu_rows.rows((engine,)) if row.failed]
    assert failed
    for row in failed:
        found = gpu_rows.estimate(row)
        assert found is not None
        assert found.verdict == "does_not_fit", row.label


def test_margins_cover_nineteen_rows_of_twenty(shared: Path) -> None:
    del shared
    for engine, least in (("vllm", 180), ("sglang", 20)):
        found = bench_memory_gpu.gaps(gpu_rows.rows((engine,)))
        assert len(found) >= least
        assert sum(gap.ratio <= 1 for gap in found) >= 0.95 * len(found), engine
        assert bench_memory_gpu.held_out(found) >= 0.93, engine
