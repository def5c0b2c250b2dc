"""AIPerf's recorded packets through our parser, next to the figures that AIPerf made of them.

A record has ``start_perf_ns``, ``packets`` [[perf_ns, data], …] and AIPerf's ``metrics`` of that
request; a recording has also AIPerf's ``summary`` over all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from modelscan.bench.point import BenchLoad, ClientUse, point
from modelscan.bench.slo import ServiceLevel
from modelscan.bench.stream import RequestResult, StreamEvent, measured_events

TOLERANCE = 0.001
_MS = 1e-3
# AIPerf's name of a request's quantity -> ours, and our unit in AIPerf's.
REQUEST = {
    "time_to_first_token": ("ttft_s", _MS),
    "time_to_first_output_token": ("ttfo_s", _MS),
    "request_latency": ("e2e_s", _MS),
    "inter_token_latency": ("tpot_s", _MS),
    "output_sequence_length": ("completion_tokens", 1.0),
    "usage_prompt_tokens": ("prompt_tokens", 1.0),
    "usage_prompt_cache_read_tokens": ("cached_tokens", 1.0),
}
_DISTRIBUTIONS = {
    "time_to_first_token": "ttft_s", "request_latency": "e2e_s", "inter_token_latency": "tpot_s",
    "inter_chunk_latency": "chunk_gap_s",
}  # fmt: skip
_RATES = {
    "output_token_throughput": "output_tokens_per_s", "request_throughput": "requests_per_s",
    "goodput": "goodput_requests_per_s", "good_request_fraction": "goodput_fraction",
    "benchmark_duration": "duration_s",
}  # fmt: skip


class Compared(NamedTuple):
    """One figure; ``error`` is relative to AIPerf's."""

    name: str
    aiperf: float
    ours: float | None

    @property
    def error(self) -> float:
        if self.ours is None:
            return float("inf")
        return abs(self.ours - self.aiperf) / abs(self.aiperf) if self.aiperf else abs(self.ours)


def results_of(recording: Mapping[str, Any]) -> list[RequestResult]:
    """Our measurement of each recorded request."""
    return [_measured(record) for record in recording["records"]]


def compared(recording: Mapping[str, Any]) -> Iterator[Compared]:
    """Every figure of every request, then those of the whole run."""
    results = results_of(recording)
    for number, (record, result) in enumerate(zip(recording["records"], results, strict=True)):
        for name, (own, unit) in REQUEST.items():
            if name in record["metrics"]:
                value = getattr(result, own)
                ours = None if value is None else value / unit
                yield Compared(f"request {number} {name}", record["metrics"][name], ours)
        gaps = record["metrics"].get("inter_chunk_latency", [])
        for at, (theirs, gap) in enumerate(zip(gaps, result.chunk_gaps_s, strict=True)):
            yield Compared(f"request {number} gap {at}", theirs, gap / _MS)
    yield from _summary(recording["summary"], results)


def _summary(
    summary: Mapping[str, Mapping[str, float]], results: Sequence[RequestResult]
) -> Iterator[Compared]:
    limits = summary["limits"]
    slo = ServiceLevel(limits["time_to_first_token"] * _MS, limits["inter_token_latency"] * _MS)
    done = point(BenchLoad(None, None, slo, 7), [results], ClientUse(0.0, 0))
    for name, own in _DISTRIBUTIONS.items():
        ours = getattr(done, own)
        for theirs, key in (("avg", "mean"), ("p50", "p50"), ("p90", "p90"), ("p95", "p95")):
            value = getattr(ours, key)
            if value is not None:  # None: too few requests for that percentile
                yield Compared(f"{name} {theirs}", summary[name][theirs], value / _MS)
    for name, own in _RATES.items():
        yield Compared(name, summary[name]["avg"], getattr(done, own))


def _measured(record: Mapping[str, Any]) -> RequestResult:
    packets = [StreamEvent(int(at), data.encode()) for at, data in record["packets"]]
    return measured_events(int(record["start_perf_ns"]), packets, packets[-1].at_ns)


def read_artifacts(folder: Path, limits: Mapping[str, float]) -> dict[str, Any]:
    """AIPerf's files of a run (``--export-level raw``) as a recording."""
    summary = json.loads((folder / "profile_export_aiperf.json").read_text())
    metrics = {
        row["metadata"]["x_request_id"]: row["metrics"]
        for row in _lines(folder / "profile_export.jsonl")
    }
    records = [
        _record(row, metrics[row["metadata"]["x_request_id"]])
        for row in _lines(folder / "profile_export_raw.jsonl")
        if row["metadata"]["benchmark_phase"] == "profiling"
    ]
    keep = ("avg", "p50", "p90", "p95")
    return {
        "aiperf_version": summary["aiperf_version"],
        "records": records,
        "summary": {
            "limits": dict(limits),
            **{
                name: {key: summary[name][key] for key in keep if key in summary[name]}
                for name in (*_DISTRIBUTIONS, *_RATES)
            },
        },
    }


def _record(row: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    names = (*REQUEST, "inter_chunk_latency")
    return {
        "start_perf_ns": row["start_perf_ns"],
        "packets": [
            [part["perf_ns"], packet["value"]]
            for part in row["responses"]
            for packet in part["packets"]
            if packet["name"] == "data"
        ],
        "metrics": {name: metrics[name]["value"] for name in names if name in metrics},
    }


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
