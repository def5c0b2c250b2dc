"""What benchmark results say about the entries of the routing file: correctness and speed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelscan.bench.samples import ServiceMatch, StoredSample
from modelscan.core.route import Route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.resolve import resolve
from modelscan.routing.scoring import EXPIRES_S, Result, Runtime
from modelscan.routing.world import NOTHING_OBSERVED, ProviderObservation, World


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """An entry's results, the newest of each workload, and the speed in the newest of them."""

    results: tuple[Result, ...]
    p50_latency_ms: float | None = None
    tokens_per_s: float | None = None


NOT_BENCHMARKED = Benchmarked(())


def service_of(
    name: str, asset: str | None, file: RoutingFile, world: World | None = None
) -> ServiceMatch:
    """The entry that a result is about, by the name that its report has.

    That may be an entry, a model, the name that its server uses, an alias, or a role: then it is
    the entry that the role chooses now. An entry that is stopped counts as well.
    """
    for names in ({name}, {asset} if asset else set()):
        written = _written(file.routes, names, asset)
        if written is not None:
            return ServiceMatch(written.name)
    for one in filter(None, (name, asset)):
        answer = resolve(file, one, world=world)
        if answer.role == "auto":
            return ServiceMatch(None, "the role 'auto' chooses an entry for each request")
        if answer.route is not None:
            return ServiceMatch(answer.route.name)
    known = resolve(file, name, world=world)
    near = f"; the nearest names are {', '.join(known.nearest)}" if known.nearest else ""
    return ServiceMatch(None, f"no entry, model, alias or role is named '{name}'{near}")


def _written(routes: Iterable[Route], names: set[str], asset: str | None) -> Route | None:
    """The entry with one of the names, of several the one that serves the asset."""
    ways = ("name", "deployment", "model", "served_model")
    for way in ways:
        found = [route for route in routes if getattr(route, way) in names]
        own = [route for route in found if asset in (route.model, route.served_model)]
        enabled = [route for route in own or found if route.enabled]
        if found:
            return (enabled or own or found)[0]
    return None


def benchmarked(
    samples: Iterable[StoredSample], file: RoutingFile, world: World, now: float
) -> Mapping[str, Benchmarked]:
    """What the results say of each entry; ``samples`` are the newest first, ``now`` a UNIX time.

    A result whose entry was unknown, or is gone, is matched by its names again.
    """
    names = {route.name for route in file.routes}
    by_entry: dict[str, dict[str, tuple[StoredSample, float]]] = {}
    matches: dict[tuple[str, str | None], str | None] = {}
    for sample in samples:
        age_s = now - _moment(sample.observed_at)
        if age_s >= EXPIRES_S:
            continue
        place = (sample.service_id, sample.asset_id)
        if sample.service in names:
            service: str | None = sample.service
        else:
            if place not in matches:
                matches[place] = service_of(*place, file, world).service
            service = matches[place]
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
