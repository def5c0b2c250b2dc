"""The speed model over the published runs of ../shared, cards left out of the fit included."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from benchmarks import bench_speed

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def runs(shared: Path) -> list[bench_speed.Run]:
    with (shared / "data" / "speed.csv").open(encoding="utf-8") as file:
        return [run for run in map(bench_speed.run_of, csv.DictReader(file)) if run]


@pytest.mark.parametrize(
    ("group", "median", "unseen"),
    [("GeForce and RTX", 0.06, 0.07), ("A100, H100", 0.06, 0.10), ("Apple", 0.13, 0.15)],
)
def test_decode_is_near_the_runs(
    runs: list[bench_speed.Run], group: str, median: float, unseen: float
) -> None:
    mine = [run for run in runs if run.group == group]
    entry = bench_speed.CLASSES[group]
    errors = [abs(1 / bench_speed.seconds(run, entry) / run.decode - 1) for run in mine]
    assert len(mine) >= 18
    assert statistics.median(errors) < median
    left_out = [abs(error) for error in bench_speed.held_out(mine)]
    assert statistics.median(left_out) < unseen


def test_nine_of_ten_runs_lie_in_the_stated_range(runs: list[bench_speed.Run]) -> None:
    inside = [
        abs(1 / bench_speed.seconds(run, bench_speed.CLASSES[run.group]) / run.decode - 1)
        <= bench_speed.CLASSES[run.group].spread
        for run in runs
    ]
    assert sum(inside) / len(inside) > 0.88
