"""AIPerf's recorded packets of a real engine, and the figures that AIPerf made of them.

The recording is of `make bench-aiperf` with --record: AIPerf 0.13.0 over SmolLM2-135M on llama.cpp.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.aiperf_compare import TOLERANCE, compared, results_of

RECORDING = Path(__file__).parent / "data" / "aiperf_packets.json"


@pytest.fixture(scope="module")
def recording() -> Any:
    return json.loads(RECORDING.read_text())


def test_our_figures_are_those_of_aiperf(recording: Any) -> None:
    rows = list(compared(recording))
    assert [one for one in rows if one.error > TOLERANCE] == []
    names = {one.name for one in rows}
    assert len(rows) > 300
    assert {"goodput", "good_request_fraction", "inter_token_latency p90", "benchmark_duration",
            "output_token_throughput", "time_to_first_token p95"} <= names  # fmt: skip


def test_the_recording_has_good_and_bad_requests(recording: Any) -> None:
    assert 0 < recording["summary"]["good_request_fraction"]["avg"] < 1
    results = results_of(recording)
    assert len(results) == 20 and all(one.error is None for one in results)
    assert all(one.timings is not None for one in results)  # llama.cpp's own


def test_a_wrong_definition_would_be_noticed(recording: Any) -> None:
    """The gaps that vLLM's benchmark averages, with the role's and the last chunk, differ."""
    for record in recording["records"]:
        record["metrics"]["inter_token_latency"] *= 0.94
    assert any(one.error > 0.05 for one in compared(recording))
