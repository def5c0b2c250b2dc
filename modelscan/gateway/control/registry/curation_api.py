"""``/v1/registry/curations`` and ``/v1/registry/evals``: approvals, and results of versions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.evals.measured import MOST_BYTES, read_results
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.registry.exchange import in_thread, json_body
from modelscan.gateway.control.registry.queries import check_names, page_limit
from modelscan.registry.curation import CurationState
from modelscan.registry.desk import CurationDesk, CurationFilter
from modelscan.registry.names import version_reference
from modelscan.registry.policy import ResultKind
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.result_store import ResultQuery, offset_of
from modelscan.state.server.audit import Actor, local_user

_CURATIONS = "/v1/registry/curations"
_LISTED = ("slug", "tag", "state", "flagged", "limit")
_RESULTS = ("suite", "workload", "model", "sort", "all", "limit", "cursor")
_YES = ("1", "true")


class CurationApi:
    """The handlers; ``actor_of``: who sends a request."""

    def __init__(self, desk: CurationDesk, actor_of: Callable[[Request], Actor]) -> None:
        self._desk = desk
        self._actor_of = actor_of

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``CURATION_PATHS``."""
        return {
            _CURATIONS: self._curations,
            f"{_CURATIONS}/{{id}}": self._curation,
            f"{_CURATIONS}/{{id}}/approvals": self._approve,
            "/v1/registry/evals": self._evals,
        }

    def _who(self, request: Request) -> Actor:
        """The key. Without keys, whoever reaches the gateway is its own account: one person."""
        actor = self._actor_of(request)
        return actor if actor.kind == "key" else local_user()

    async def _curations(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._propose(request)
        query = request.query_params
        check_names(query, _LISTED, ())
        state = _state(query.get("state"))
        flagged = query.get("flagged") in _YES
        wanted = CurationFilter(query.get("slug"), query.get("tag"), state, flagged)
        found = await in_thread(lambda: self._desk.list(wanted))
        rows = found.curations[: page_limit(query)]
        return _answer({"items": to_json(rows), "next_cursor": None})

    async def _propose(self, request: Request) -> Response:
        body = await json_body(request)
        place, tag = _place_of(body), _text(body, "tag")
        who = self._who(request)
        made = await in_thread(lambda: self._desk.propose(who, place, tag))
        return _answer(to_json(made), 201, {"location": f"{_CURATIONS}/{made.id}"})

    async def _curation(self, request: Request) -> Response:
        name = request.path_params["id"]
        if request.method in ("GET", "HEAD"):
            return _answer(to_json(await in_thread(lambda: self._desk.show(name))))
        body = await json_body(request, needed=False)
        reason = body.get("reason", request.query_params.get("reason"))
        if reason is not None and not isinstance(reason, str):
            raise HttpProblem(422, "invalid", "reason is a text")
        who = self._who(request)
        after = await in_thread(lambda: self._desk.reject(who, name, reason))
        return _answer(to_json(after))

    async def _approve(self, request: Request) -> Response:
        name, who = request.path_params["id"], self._who(request)
        await json_body(request, needed=False)
        after = await in_thread(lambda: self._desk.approve(who, name))
        return _answer(to_json(after), 201)

    async def _evals(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._ingest(request)
        wanted = result_query(request.query_params)
        found = await in_thread(lambda: self._desk.results(wanted))
        return _answer(
            {"items": to_json(found.results), "sort": found.sort, "next_cursor": found.next_cursor}
        )

    async def _ingest(self, request: Request) -> Response:
        named = request.query_params.get("model")
        body = await request.body()
        if len(body) > MOST_BYTES:
            raise HttpProblem(413, "too_large", f"a report has at most {MOST_BYTES:,} bytes")
        try:
            given = await asyncio.to_thread(read_results, body, time.time())
        except UsageError as error:
            raise HttpProblem(422, error.code, error.message) from None
        who = self._who(request)
        stored = await in_thread(lambda: self._desk.ingest(who, given, named))
        return _answer(to_json(stored), 201 if stored.new else 200)


def result_query(query: QueryParams) -> ResultQuery:
    """The filters of a list of results. Raises HttpProblem 400."""
    check_names(query, _RESULTS, ())
    if "suite" in query and "workload" in query:
        raise HttpProblem(400, "invalid_query", "either suite or workload")
    kind: ResultKind | None = (
        "suite" if "suite" in query else "workload" if "workload" in query else None
    )
    try:
        model = query.get("model")
        slug, number = (None, None) if model is None else version_reference(model)
        offset = offset_of(query.get("cursor"))
    except RegistryRefused as refused:
        raise HttpProblem(400, "invalid_query", refused.message) from None
    return ResultQuery(
        kind=kind,
        name=query.get("suite", query.get("workload")),
        slug=slug,
        version=None if number is None else str(number),
        sort=query.get("sort"),
        newest=query.get("all") not in _YES,
        limit=page_limit(query),
        offset=offset,
    )


def _state(text: str | None) -> CurationState | None:
    for state in get_args(CurationState):
        if state == text:
            return state  # type: ignore[no-any-return]
    if text is None:
        return None
    states = ", ".join(get_args(CurationState))
    raise HttpProblem(400, "invalid_query", f"state is one of {states}")


def _place_of(body: Mapping[str, Any]) -> str:
    """``{"model": "SLUG@1"}``, or ``{"slug": …, "version": "1"}``."""
    if "model" in body:
        return _text(body, "model")
    version = body.get("version")
    return f"{_text(body, 'slug')}@{version}" if version is not None else _text(body, "slug")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise HttpProblem(422, "invalid", 'the body is {"model": "SLUG@1", "tag": "curated"}')
    return value


def _answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    lines = {"cache-control": "private, no-cache", **(headers or {})}
    return Response(msgspec.json.encode(value), status, lines, media_type="application/json")
