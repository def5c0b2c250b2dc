"""The benchmark of the registry in short: every answer over HTTP is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench_registry import measure


@pytest.mark.usefixtures("clean_environment")
def test_mixed_queries_of_several_clients_are_answered(tmp_path: Path) -> None:
    timings, dropped = measure(models=200, versions=3, count=150, clients=4, seed=7)
    assert {number: timing.wrong for number, timing in timings.items()} == {1: [], 4: []}
    assert all(sum(map(len, timing.ms.values())) == 150 for timing in timings.values())
    assert len(dropped) == 50
