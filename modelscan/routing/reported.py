"""Services that nodes report, as entries of the routing table next to those of the file. Pure.

An entry of the file wins over a reported one of its name, and so do roles and aliases over the
names of reported models: a node cannot take over what a person wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

from modelscan.core.node import RegisteredAsset, RegisteredService, ServiceExtra
from modelscan.core.route import Route
from modelscan.core.workload import Backend
from modelscan.engines.families import family_of
from modelscan.engines.registry import ENGINES
from modelscan.routing.checks import policy_problems
from modelscan.routing.format import ProviderFields
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.role_format import PolicyFields, RoleOperation
from modelscan.routing.scoring import Runtime
from modelscan.routing.table import Dialect
from modelscan.routing.world import ProviderObservation

OPERATIONS: Mapping[str, RoleOperation] = {
    **{name: name for name in get_args(RoleOperation)},
    "embedding": "embeddings", "reranking": "rerank", "images": "image", "completions": "chat",
}  # fmt: skip
WELL = ("healthy", "ok", "up")
SICK = ("unhealthy", "failed", "down", "error", "offline")
AWAY = ("draining", "paused_by_user", "offline", "quarantined", "unavailable")  # availability
BUSY = "busy"
COLD = ("cold", "unloaded", "sleeping", "asleep")
_NONE = ServiceExtra()


@dataclass(frozen=True, slots=True)
class ReportedEntry:
    """A model of a node's service as an entry. ``runtime`` and ``healthy``: as the node reports.

    ``refused``: why it gets no requests, as a reason; None: it may get some.
    """

    route: Route
    fields: ProviderFields
    service_id: str
    host_id: str
    asset_id: str | None
    context_tokens: int | None
    runtime: Runtime
    healthy: bool = False
    refused: str | None = None


def reported_entries(
    host_id: str, service: RegisteredService, labels: tuple[str, ...], key: str | None
) -> Iterator[ReportedEntry]:
    """The entries of a service: one per model, the first loaded one under the service's own id.

    ``labels`` are the host's, as tags. ``key``: the reference of the key for the node's endpoint.
    A service that names no model is a server of many models.
    """
    assets = sorted(service.assets, key=lambda one: one.loaded is not True)
    names = [service.service_id, *(f"{service.service_id}/{one.asset_id}" for one in assets[1:])]
    models: list[RegisteredAsset | None] = [*assets] or [None]
    for name, asset in zip(names, models, strict=True):
        route = _route(name, service, asset, labels, key)
        yield ReportedEntry(
            route=route,
            fields=_fields(route, service, asset),
            service_id=service.service_id,
            host_id=host_id,
            asset_id=None if asset is None else asset.asset_id,
            context_tokens=_context(service, asset),
            runtime=reported_runtime(service, asset),
            healthy=service.state.health.lower() in WELL,
            refused=refusal(service),
        )


def _route(
    name: str, service: RegisteredService, asset: RegisteredAsset | None,
    labels: tuple[str, ...], key: str | None,
) -> Route:  # fmt: skip
    extra = service.modelscan or _NONE
    model = None if asset is None else (asset.modelscan and asset.modelscan.model) or asset.asset_id
    return Route(
        name=name,
        type="openai",
        base_url=root_of(service.endpoint),
        model=model,
        served_model=None if asset is None else asset.asset_id,
        api_key=key,
        tags=tuple(dict.fromkeys((*extra.tags, *labels))),
        tier="self_hosted",
    )


def root_of(endpoint: str) -> str:
    """The server's root: without a slash at the end, and without /v1."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/")


def _fields(
    route: Route, service: RegisteredService, asset: RegisteredAsset | None
) -> ProviderFields:
    extra = service.modelscan or _NONE
    engine = service.runtime.engine
    dialects = [cast(Dialect, one) for one in extra.dialects if one in get_args(Dialect)]
    return ProviderFields(
        name=route.name,
        type="openai",
        base_url=route.base_url,
        model=route.model,
        served_model=route.served_model,
        operations=_operations(service),
        dialects=dialects or None,
        engine=cast(Backend, engine) if engine in ENGINES else None,
        family=_family(route, asset),
        max_in_flight=extra.max_in_flight,
        request_policy=_policy(asset),
    )


def _family(route: Route, asset: RegisteredAsset | None) -> str | None:
    """As the node states, else by the model's names: found once, not for each table."""
    if asset is not None and asset.modelscan is not None and asset.modelscan.family is not None:
        return asset.modelscan.family
    family = family_of([name for name in (route.model, route.served_model) if name], ())
    return family.name if family else None


def _operations(service: RegisteredService) -> list[RoleOperation] | None:
    """By the service's kind and what its node adds; None: not known."""
    words = ((service.modelscan or _NONE).operations or ()) + (service.kind,)
    known = [OPERATIONS[one] for one in words if one in OPERATIONS]
    return list(dict.fromkeys(known)) or None


def _policy(asset: RegisteredAsset | None) -> PolicyFields | None:
    """The asset's policy; keys that belong to the caller are left out."""
    if asset is None:
        return None
    policy = asset.request_policy
    if not policy.body_defaults and policy.system_prompt is None:
        return None
    defaults = {
        key: value
        for key, value in policy.body_defaults.items()
        if not any(policy_problems({"body_defaults": {key: value}}, "asset"))
    }
    return PolicyFields(
        body_defaults=defaults or None,
        system_prompt=policy.system_prompt,
        system_prompt_position=policy.system_prompt_position,
    )


def _context(service: RegisteredService, asset: RegisteredAsset | None) -> int | None:
    """Tokens that one request may use. What a model could at most is another number."""
    return (asset.context_size if asset else None) or service.runtime.context_size or None


def reported_runtime(service: RegisteredService, asset: RegisteredAsset | None) -> Runtime:
    """The node's figures as signals of a score; ``queue``: what waits there.

    Requests under way are not counted: this gateway's own ones are among them.
    """
    seen = service.observed
    loaded, waiting = _loaded(service, asset), seen.queue_depth or 0
    busy = service.state.availability.lower() == BUSY
    return Runtime(loaded, seen.p50_latency_ms, seen.tokens_per_sec, waiting, busy)


def _loaded(service: RegisteredService, asset: RegisteredAsset | None) -> bool | None:
    if asset is not None and asset.loaded is not None:
        return asset.loaded
    state = service.state.load_state.lower()
    return True if state == "loaded" else False if state in COLD else None


def refusal(service: RegisteredService) -> str | None:
    """Why a service gets no requests by its node's own report; None: it may get some."""
    state, extra = service.state, service.modelscan or _NONE
    because = f": {extra.reason}" if extra.reason else ""
    if state.health.lower() in SICK:
        return f"its node reports it as {state.health}{because}"
    if state.availability.lower() in AWAY:
        return f"its node reports it as {state.availability}{because}"
    if not state.accept_requests:
        return f"its node accepts no requests for it{because}"
    return None


def with_reported(file: RoutingFile, entries: Iterable[ReportedEntry]) -> RoutingFile:
    """The file with the reported entries after its own ones; of one name the file's counts."""
    names = {route.name for route in file.routes}
    kept: list[ReportedEntry] = []
    for one in entries:
        if one.route.name not in names:
            names.add(one.route.name)
            kept.append(one)
    if not kept:
        return file
    return replace(
        file,
        routes=(*file.routes, *(one.route for one in kept)),
        providers=(*file.providers, *(one.fields for one in kept)),
        reported=len(kept),
    )


def observation(
    entry: ReportedEntry, measured: Runtime, healthy: bool | None, others: int | None,
    refused: str | None,
) -> ProviderObservation:  # fmt: skip
    """What is known of a reported entry. The gateway's own measurements come before the node's.

    ``measured``: of the gateway's own requests; ``others``: requests of other clients by its own
    probe, None: not known. ``healthy`` is the prober's finding: what the node reports is apart.
    ``refused``: why it gets no requests, by its host or its own report.
    """
    reported = entry.runtime
    asset = entry.asset_id
    return ProviderObservation(
        reason=refused,
        ends=refused is not None,
        healthy=healthy,
        served=None if asset is None else {asset: entry.context_tokens},
        engine=entry.fields.engine,
        runtime=Runtime(
            loaded=reported.loaded if reported.loaded is not None else measured.loaded,
            p50_latency_ms=_first(measured.p50_latency_ms, reported.p50_latency_ms),
            tokens_per_s=_first(measured.tokens_per_s, reported.tokens_per_s),
            queue=reported.queue if others is None else others,
            busy=reported.busy,
        ),
        node=entry.host_id,
        reported=entry.healthy,
    )


def _first(mine: float | None, other: float | None) -> float | None:
    return other if mine is None else mine
