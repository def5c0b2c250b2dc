"""Where requests go and how good the answers were: match, resolve, roles and benchmark results.

GenieHive's requests are read and answered in its shapes; ``modelscan`` in an answer has more.
Nothing but the ingest of results changes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.bench.matching import matcher
from modelscan.bench.report_reader import GivenReport, ReportFault, read_report
from modelscan.bench.samples import BenchIngested, Resolve, StoredSample, ingest, samples
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.geniehive import ClusterView, modality
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.nodes.api import CLIENT_HEADER
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_database
from modelscan.routing.built_in import role_named, roles_of
from modelscan.routing.explain import RouteExplained, explain
from modelscan.routing.facts import Known, can_do, known_entries
from modelscan.routing.match import MatchedRoute, match
from modelscan.routing.role_format import RoleFields, RoleOperation
from modelscan.state.server.audit import Actor

T = TypeVar("T")
_OPERATIONS: tuple[RoleOperation, ...] = get_args(RoleOperation)
_SAMPLES_SHOWN = 1000
_Text = Annotated[str, Meta(max_length=20_000)]
_Texts = Annotated[list[_Text], Meta(max_length=100)]


class MatchRequest(msgspec.Struct, kw_only=True):
    """The body of ``/v1/cluster/routes/match``: a task in words, or several.

    Without a task and a workload the state and speed decide. ``limit`` less than 1 counts as 1, as
    in GenieHive.
    """

    task: _Text | None = None
    tasks: _Texts = []
    workload: _Text | None = None
    workloads: _Texts = []
    kind: str | None = None
    modality: str | None = None
    include_direct_services: bool = True
    limit: Annotated[int, Meta(le=1000)] = 10


class ClusterApi:
    """The handlers, over the state of the serving process."""

    def __init__(self, gateway: Gateway, key_of: Callable[[Request], str | None]) -> None:
        self._gateway = gateway
        self._key_of = key_of

    def handlers(self) -> dict[str, Handler]:
        """By their paths."""
        return {
            "/v1/cluster/routes/match": self._match,
            "/v1/cluster/routes/resolve": self._resolve,
            "/v1/cluster/roles": self._roles,
            "/v1/cluster/benchmarks": self._benchmarks,
        }

    # Routes

    async def _match(self, request: Request) -> Response:
        body = _decoded(await request.body(), MatchRequest)
        tasks = _texts(body.task, *body.tasks)
        workloads = _texts(body.workload, *body.workloads)
        operation = _operation(body.kind)
        file, world = self._gateway.file, self._gateway.world()
        matched = match(file, world, " ".join(tasks), operation, None, workloads)
        entries = self._known()
        view = ClusterView(self._gateway)
        rows = []
        for one in matched.candidates:
            role = role_named(file, one.name) if one.kind == "role" else None
            if one.kind != "role" and not body.include_direct_services:
                continue
            if body.modality is None or body.modality == _modality(one, role):
                known = entries.get(one.backend or "")
                near = tuple(workloads) or (matched.task,)
                rows.append(view.candidate(one, near, known, role))
        return JSONResponse({
            "status": "ok",
            "task_count": len(tasks),
            "tasks": tasks,
            "workloads": workloads,
            "kind": body.kind,
            "modality": body.modality,
            "candidates": to_json(rows[: max(1, body.limit)]),
            "modelscan": {"total": len(rows)},
        })  # fmt: skip

    async def _resolve(self, request: Request) -> Response:
        name, kind = (request.query_params.get(one) for one in ("model", "kind"))
        if not name:
            raise HttpProblem(400, "missing_model", "the query needs model=NAME")
        operation = _operation(kind or None)
        file, world = self._gateway.file, self._gateway.world()
        answer = explain(file, world, name, operation=operation or "chat")
        known = self._known().get(answer.chosen or "")
        if known is None:
            raise _unresolved(name, kind, answer)
        if operation is not None and not can_do(known, operation):
            detail = f"'{name}' is not for {operation}"
            raise HttpProblem(404, "no_backend", detail, members=_no_route(name, kind))
        view = ClusterView(self._gateway)
        target = file.aliases.get(answer.route or "", answer.route or "")
        role = role_named(file, target)
        is_role = role is not None and file.route(role.role_id) is None
        resolution: dict[str, Any] = {
            "match_type": "role" if is_role else "direct",
            "service": view.service(known),
        }
        if is_role and role is not None:
            resolution["role"] = view.role(role)
        resolution["modelscan"] = {
            "route": answer.route,
            "chosen": answer.chosen,
            "where": answer.where,
            "url": answer.url,
            "steps": to_json(answer.steps),
            "candidates": to_json(answer.candidates),
            "fallbacks": list(answer.fallbacks),
        }
        return JSONResponse({"status": "ok", "resolution": to_json(resolution)})

    async def _roles(self, _: Request) -> Response:
        view = ClusterView(self._gateway)
        roles = sorted(roles_of(self._gateway.file), key=lambda one: one.role_id)
        table = self._gateway.table
        rows = []
        for role in roles:
            entry = table.routes.get(role.role_id)
            chosen = [table.backends[one.backend].name for one in entry.candidates] if entry else []
            more = {
                "chosen": chosen[0] if chosen else None,
                "passed": chosen,
                "refused": [one.reason for one in entry.refused] if entry else [],
            }
            rows.append({**view.role(role), "modelscan": more})
        return JSONResponse(to_json({"object": "list", "data": rows}))

    def _known(self) -> Mapping[str, Known]:
        """Every entry as it is observed now."""
        file = self._gateway.file
        entries = known_entries(file.routes, file.providers, self._gateway.world())
        return {one.name: one for one in entries}

    # Results of benchmarks

    async def _benchmarks(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._ingest(request)
        query = request.query_params
        database = self._gateway.database
        stored = await in_database(
            samples, database, service=query.get("service") or query.get("service_id"),
            workload=query.get("workload"), limit=_limit(query.get("limit")),
        )  # fmt: skip
        resolve = self._resolver()
        return JSONResponse({"object": "list", "data": [self._row(one, resolve) for one in stored]})

    async def _ingest(self, request: Request) -> Response:
        body = _decoded(await request.body(), dict[str, Any])
        try:
            report = read_report(body, time.time())
        except ReportFault as error:
            raise HttpProblem(400, "invalid_report", str(error)) from None
        try:
            who = self._actor(request)
            done, rows = await in_database(self._store, report, who)
        except ModelscanError as error:
            raise HttpProblem(503, error.code, error.message) from None
        return JSONResponse({
            "status": "ok",
            "count": len(report.samples),
            "data": rows,
            "modelscan": to_json(done),
        })  # fmt: skip

    def _actor(self, request: Request) -> Actor:
        key = self._key_of(request)
        address = request.headers.get(CLIENT_HEADER, "")
        return Actor("gateway", address) if key is None else Actor("key", key)

    def _store(self, report: GivenReport, who: Actor) -> tuple[BenchIngested, list[dict[str, Any]]]:
        """Store the samples; the rows are as they came, with the entry that each is about."""
        resolve = self._resolver()
        done = ingest(self._gateway.database, report, resolve, who)
        rows = []
        for one in report.samples:
            found = resolve(one)
            fields = ("benchmark_id", "service_id", "asset_id", "workload", "observed_at")
            row = {name: getattr(one, name) for name in fields}
            more = {"service": found.service, "reason": found.reason}
            rows.append({**row, "results": dict(one.results), "modelscan": more})
        return done, rows

    def _resolver(self) -> Resolve:
        """Which entry a result is about."""
        return matcher(self._gateway.file, self._gateway.world())

    def _row(self, sample: StoredSample, resolve: Resolve) -> dict[str, Any]:
        """A stored result in GenieHive's shape, with the entry that it counts for now."""
        gateway = self._gateway
        service, reason = sample.service, None
        if service is None or gateway.file.route(service) is None:
            found = resolve(sample)
            service, reason = found.service, found.reason
        moment = datetime.fromisoformat(sample.observed_at.replace("Z", "+00:00"))
        return {
            "benchmark_id": sample.benchmark_id,
            "service_id": sample.service_id,
            "asset_id": sample.asset_id,
            "workload": sample.workload,
            "observed_at": moment.timestamp(),
            "results": dict(sample.results),
            "modelscan": {
                "service": service,
                "reason": reason,
                "source": sample.source,
                "report_id": sample.report_id,
            },
        }


def _decoded(body: bytes, kind: type[T]) -> T:
    """A JSON body of a type. Raises HttpProblem with the place that is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HttpProblem(400, "invalid_body", f"the body cannot be read: {error}") from None


def _texts(*values: str | None) -> list[str]:
    return [one.strip() for one in values if one and one.strip()]


def _operation(kind: str | None) -> RoleOperation | None:
    if kind is None or kind in _OPERATIONS:
        return kind
    raise HttpProblem(400, "invalid_kind", f"$.kind: one of {', '.join(_OPERATIONS)}")


def _modality(matched: MatchedRoute, role: RoleFields | None) -> str:
    return modality(role or RoleFields(matched.name, operation=matched.operation))


def _limit(text: str | None) -> int:
    if text is None:
        return _SAMPLES_SHOWN
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 10_000:
        raise HttpProblem(400, "invalid_limit", "limit is a number from 1 to 10000")
    return int(text)


def _unresolved(name: str, kind: str | None, answer: RouteExplained) -> HttpProblem:
    """404 for a name that is not there, and where nothing can serve it now, with the reasons."""
    members = _no_route(name, kind)
    if answer.route is None:
        near = f"; the nearest names are {', '.join(answer.nearest)}" if answer.nearest else ""
        detail = f"no model is named '{name}'{near}"
        return HttpProblem(404, "model_not_found", detail, members=members)
    reasons = [step.text for step in answer.steps if step.stage == "gates"]
    detail = f"'{name}' cannot be served now: {'; '.join(reasons)}"
    return HttpProblem(404, "no_backend", detail, members=members)


def _no_route(name: str, kind: str | None) -> dict[str, Any]:
    """The fields of GenieHive's answer."""
    return {"error": "no_route", "model": name, "kind": kind}
