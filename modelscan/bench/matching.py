"""Which entry of the routing file a benchmark's result is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from modelscan.bench.report_reader import GivenSample
from modelscan.bench.samples import Resolve, ServiceMatch, StoredSample
from modelscan.core.route import Route
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.lookup import find_route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import World


def matcher(file: RoutingFile, world: World) -> Resolve:
    """Finds the entry of a sample by its service, which may be a name, a model, an alias or a role.

    A name that means several entries is decided by the sample's asset; where that does not decide
    either, there is no match: which of them answered is not known.
    """
    # Not what runs now: another entry may have run when the result was made.
    table = compile_table(file, replace(world, observations={}))
    names = [backend.name for backend in table.backends]

    def resolve(sample: GivenSample | StoredSample) -> ServiceMatch:
        direct = [
            route for route in file.routes
            if sample.service_id in (route.name, route.deployment)
        ]  # fmt: skip
        if len(direct) == 1:
            return ServiceMatch(direct[0].name)
        found = find_route(table.routes, sample.service_id)
        if found is None:
            return ServiceMatch(
                None, f"no entry, model, alias or role is named '{sample.service_id}'"
            )
        candidates = [names[one.backend] for one in found.entry.candidates]
        return _one_of(sample, candidates, file)

    return resolve


def _one_of(
    sample: GivenSample | StoredSample, candidates: list[str], file: RoutingFile
) -> ServiceMatch:
    """The one candidate, or the only one that serves the sample's asset."""
    if len(candidates) == 1:
        return ServiceMatch(candidates[0])
    if not candidates:
        return ServiceMatch(None, f"'{sample.service_id}' has no entry that can answer")
    if sample.asset_id is not None:
        serving = list(_serving(sample.asset_id, candidates, file.routes))
        if len(serving) == 1:
            return ServiceMatch(serving[0])
    listed = ", ".join(candidates[:5])
    return ServiceMatch(
        None,
        f"'{sample.service_id}' means {len(candidates)} entries ({listed}), and the report does "
        "not say which of them answered",
    )


def _serving(asset: str, candidates: list[str], routes: tuple[Route, ...]) -> Iterator[str]:
    for route in routes:
        if route.name in candidates and asset in (route.model, route.served_model):
            yield route.name
