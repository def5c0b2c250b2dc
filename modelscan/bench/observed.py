"""What benchmark results say about the entries of the routing file: correctness and speed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelscan.bench.matching import matcher
from modelscan.bench.samples import Resolve, StoredSample
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.scoring import EXPIRES_S, Result, Runtime
from modelscan.routing.world import NOTHING_OBSERVED, ProviderObservation, World


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """An entry's results, the newest of each workload, and the speed in the newest of them."""

    results: tuple[Result, ...]
    p50_latency_ms: float | None = None
    tokens_per_s: float | None = None


NOT_BENCHMARKED = Benchmarked(())


def benchmarked(
    samples: Iterable[StoredSample], file: RoutingFile, world: World, now: float
) -> Mapping[str, Benchmarked]:
    """What the results say of each entry; ``samples`` are the newest first, ``now`` a UNIX time.

    A result whose entry was unknown, or is gone, is matched by its names again.
    """
    names = {route.name for route in file.routes}
    by_entry: dict[str, dict[str, tuple[StoredSample, float]]] = {}
    match: Resolve | None = None
    for sample in samples:
        age_s = now - _moment(sample.observed_at)
        if age_s >= EXPIRES_S:
            continue
        service = sample.service
        if service not in names:
            match = match or matcher(file, world)
            service = match(sample).service
        if service is not None:
            by_entry.setdefault(service, {}).setdefault(sample.workload, (sample, age_s))
    return {name: _benchmarked(rows.values()) for name, rows in by_entry.items()}


def _benchmarked(rows: Iterable[tuple[StoredSample, float]]) -> Benchmarked:
    ordered = sorted(rows, key=lambda row: row[1])
    speeds = [
        next((v for one, _ in ordered if (v := one.number(name)) is not None), None)
        for name in ("p50_latency_ms", "tokens_per_sec")
    ]
    return Benchmarked(tuple(_result(one, age_s) for one, age_s in ordered), *speeds)


def _result(sample: StoredSample, age_s: float) -> Result:
    return Result(
        sample.workload,
        sample.number("pass_rate"),
        sample.number("tokens_per_sec"),
        sample.number("ttft_ms"),
        max(0.0, age_s),
    )


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def with_benchmarks(seen: ProviderObservation, entry: Benchmarked) -> ProviderObservation:
    """An observation with an entry's results; their speed counts where none was observed."""
    if not entry.results:
        return seen
    runtime = seen.runtime
    observed: Runtime = replace(
        runtime,
        p50_latency_ms=_first(runtime.p50_latency_ms, entry.p50_latency_ms),
        tokens_per_s=_first(runtime.tokens_per_s, entry.tokens_per_s),
    )
    return replace(seen, results=entry.results, runtime=observed)


def world_with_benchmarks(world: World, entries: Mapping[str, Benchmarked]) -> World:
    """A world with the results of its entries."""
    seen = dict(world.observations)
    for name, entry in entries.items():
        seen[name] = with_benchmarks(seen.get(name, NOTHING_OBSERVED), entry)
    return replace(world, observations=seen)


def _first(observed: float | None, benchmark: float | None) -> float | None:
    return benchmark if observed is None else observed
