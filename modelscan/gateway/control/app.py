"""The control application: everything that is not inference, behind the workers.

It listens on a unix socket in a private folder and trusts what the workers add: the name and the
scopes of the key. Applications of other packages are mounted by the caller (``extra``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from modelscan.core.jsonform import to_json
from modelscan.core.nearest import nearest
from modelscan.gateway.control import other_lists
from modelscan.gateway.control.audit_api import audit_handlers
from modelscan.gateway.control.browsers import check_host, check_site, from_browser
from modelscan.gateway.control.cluster_api import ClusterApi
from modelscan.gateway.control.events import Report
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.handler import Handler, LateHandlers
from modelscan.gateway.control.models import ModelRow, model_list
from modelscan.gateway.control.mounting import Mounted, Refuse
from modelscan.gateway.control.nodes.api import CLIENT_HEADER, NodesApi
from modelscan.gateway.control.openapi import document
from modelscan.gateway.control.page_key import PAGE_KEY_NAME, PAGE_SCOPES, PageKey
from modelscan.gateway.control.problems import HttpProblem, problem_answer
from modelscan.gateway.control.route_test_api import route_test_handlers
from modelscan.gateway.control.safe_headers import SafeHeaders
from modelscan.gateway.control.scopes import PATHS, allows
from modelscan.gateway.control.status import WorkerStatus, gateway_status, is_ready
from modelscan.gateway.control.stream.api import stream_handlers
from modelscan.gateway.control.stream.feed import EventFeed
from modelscan.gateway.metrics.exposition import exposition
from modelscan.gateway.metrics.families import MetricFamily
from modelscan.gateway.scopes import INFERENCE, PathScope
from modelscan.state.server.audit import Actor
from modelscan.traces.writer import ReceiptWriter

if TYPE_CHECKING:
    from modelscan.gateway.control.deployments_api import DeploymentsApi

_OLLAMA_VERSION = "0.12.0"  # clients compare it with the release that a feature needs
KEY_HEADER, SCOPES_HEADER = "x-modelscan-key", "x-modelscan-scopes"
_SEEING = frozenset({"read", "operator", "admin"})
_READERS = _SEEING | {"curator"}
_SEEN_BY_BROWSERS = frozenset({"read", "infer"})


Mount = Callable[["ControlApp"], Mounted]
"""Makes a part of another room, once the application that it is mounted in exists."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the key's name and scopes; None: without a key."""

    key: str | None
    scopes: frozenset[str] | None


def _under(*prefixes: str) -> list[str]:
    """The paths of the table that begin with one of these."""
    return [row.path for row in PATHS if row.path.startswith(prefixes)]


class ControlApp:
    """The handlers, over the state of the serving process."""

    def __init__(
        self,
        gateway: Gateway,
        workers: Callable[[], tuple[WorkerStatus, ...]],
        writer: ReceiptWriter,
        figures: Callable[[], Iterable[MetricFamily]],
        report: Report,
        feed: EventFeed | None = None,
        page_key: PageKey | None = None,
    ) -> None:
        self.gateway = gateway
        self.figures = figures
        self._feed = feed or EventFeed(gateway.database)
        self._page_key = page_key
        self._refusals: list[Refuse] = []
        self._report = report
        self._workers = workers
        self._writer = writer

    @cached_property
    def deployments(self) -> DeploymentsApi:
        """What changes this machine's deployments, imported when it is used."""
        from modelscan.gateway.control.deployments_api import DeploymentsApi

        gateway = self.gateway
        return DeploymentsApi(
            gateway.config, gateway.database, lambda request: self.caller(request).key
        )

    def _registry_handlers(self) -> dict[str, Handler]:
        from modelscan.gateway.control.registry.api import RegistryApi
        from modelscan.gateway.control.registry.curation_api import CurationApi
        from modelscan.gateway.control.registry.hub import HubApi
        from modelscan.registry.desk import CurationDesk

        database = self.gateway.database
        desk = CurationDesk(database, self.gateway.config)
        return {
            **RegistryApi(database, self._actor, desk.policies).handlers(),
            **HubApi(database).handlers(),
            **CurationApi(desk, self._actor).handlers(),
        }

    def _promotion_handlers(self) -> dict[str, Handler]:
        from modelscan.gateway.control.registry.promotion_api import PromotionApi

        gateway = self.gateway
        return PromotionApi(gateway.config, gateway.database, self._actor).handlers()

    def _stored_handlers(self) -> dict[str, Handler]:
        """Of what is stored here: pulled weights, and requests with their texts."""
        from modelscan.gateway.control.cache_api import cache_handlers
        from modelscan.gateway.control.traces_api import trace_handlers

        config, database = self.gateway.config, self.gateway.database
        return {
            **cache_handlers(config, database, self._actor),
            **trace_handlers(config, database),
        }

    def build(self, extra: Sequence[BaseRoute] = (), mounts: Sequence[Mount] = ()) -> Starlette:
        """The application with the parts of other rooms."""
        key_of = lambda request: self.caller(request).key  # noqa: E731
        cluster = ClusterApi(self.gateway, key_of)
        handlers: dict[str, Handler] = {
            **cluster.handlers(),
            "/v1/models": self._models,
            "/v1/models/{name:path}": self._model,
            "/api/tags": self._ollama_tags,
            "/api/ps": self._ollama_running,
            "/api/show": self._ollama_show,
            "/api/version": self._ollama_version,
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            **audit_handlers(self.gateway.database),
            **LateHandlers(self._registry_handlers).at(_under("/v1/registry", "/hf")),
            **stream_handlers(self._feed, self._still_allowed),
            **route_test_handlers(self.gateway),
        }
        late = LateHandlers(lambda: self.deployments.handlers())
        handlers |= late.at(_under("/v1/deployments"))
        handlers |= LateHandlers(self._promotion_handlers).at(_under("/v1/registry/promotions"))
        handlers |= LateHandlers(self._stored_handlers).at(_under("/v1/cache", "/v1/traces"))
        for mount in mounts:
            part = mount(self)
            handlers |= part.handlers
            if part.refuse is not None:
                self._refusals.append(part.refuse)
        nodes = self.gateway.nodes
        if nodes is not None:
            handlers |= NodesApi(self.gateway, nodes, key_of, self._report).handlers()
        routes = [
            Route(row.path, self._guarded(row, handlers[row.path]), methods=list(row.methods))
            for row in PATHS
            if row.path in handlers
        ]
        # Never reached by their own methods: the data path forwards those. Others are refused.
        routes += [Route(row.path, self._other_method, methods=row.methods) for row in INFERENCE]
        app = Starlette(
            routes=[*routes, *extra],
            exception_handlers={HTTPException: self._refused, HttpProblem: self._problem},
            middleware=[Middleware(SafeHeaders)],
        )
        app.state.caller = self.caller  # for ``extra``
        return app

    async def _other_method(self, request: Request) -> Response:
        raise HttpProblem(404, "path_not_found", f"there is no path {request.url.path}")

    def caller(self, request: Request) -> Caller:
        """Who sends it. Without any key configured, this machine's programs may do everything;
        its browsers, which show pages of anybody, may change things only with the pages' key.
        """
        scopes = request.headers.get(SCOPES_HEADER)
        if self.gateway.locked and scopes is not None:
            return Caller(request.headers.get(KEY_HEADER), frozenset(scopes.split(",")))
        if self._page_key is not None and self._page_key.matches(request):
            return Caller(PAGE_KEY_NAME, PAGE_SCOPES)
        if self.gateway.locked:
            return Caller(None, None)
        return Caller(None, _SEEN_BY_BROWSERS if from_browser(request) else frozenset({"admin"}))

    def _actor(self, request: Request) -> Actor:
        """Who makes a change: the key, or, without keys, the address of the client."""
        key = self.caller(request).key
        address = request.headers.get(CLIENT_HEADER, "")
        return Actor("gateway", address) if key is None else Actor("key", key)

    def _still_allowed(self, request: Request) -> bool:
        """Whether the key of a long answer is still valid; without keys, whether there are none."""
        if self._page_key is not None and self._page_key.matches(request):
            return True
        key, now = self.caller(request).key, time.time()
        if key is None:
            return not self.gateway.locked
        limits = (one.limits for one in self.gateway.loaded.keys if one.name == key)
        return any(
            (one.expires_at is None or one.expires_at > now) and not _READERS.isdisjoint(one.scopes)
            for one in limits
        )

    def _guarded(self, row: PathScope, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            caller = self.caller(request)
            check_host(request, self.gateway.options.accepted_hosts)
            check_site(request)
            if not allows(row, caller.scopes, loopback=self.gateway.options.loopback):
                raise _denied(row, caller)
            return await handler(request)

        return guarded

    async def _models(self, request: Request) -> Response:
        tags = frozenset(request.query_params.getlist("tag"))
        everything = request.query_params.get("all") in ("1", "true")
        models = model_list(
            self.gateway, self._allowed(request), tags, self._open_view(request),
            everything=everything,
        )  # fmt: skip
        if "anthropic-version" in request.headers:
            return JSONResponse(other_lists.anthropic_models(models.data))
        # Workers may repeat it for a second: clients ask for this list again and again.
        return JSONResponse(to_json(models), headers={"cache-control": "private, max-age=1"})

    async def _model(self, request: Request) -> Response:
        return JSONResponse(to_json(self._row(request, request.path_params["name"])))

    def _rows(self, request: Request) -> tuple[ModelRow, ...]:
        view = self._open_view(request)
        return model_list(self.gateway, self._allowed(request), frozenset(), view).data

    def _row(self, request: Request, name: str) -> ModelRow:
        rows = self._rows(request)
        row = next((one for one in rows if one.id == name), None)
        if row is None:
            near = nearest(name, [one.id for one in rows], limit=3)
            instead = f"; the nearest names are {', '.join(near)}" if near else ""
            raise HttpProblem(404, "model_not_found", f"no model is named '{name}'{instead}")
        return row

    async def _ollama_tags(self, request: Request) -> Response:
        return JSONResponse(other_lists.ollama_tags(self._rows(request)))

    async def _ollama_running(self, request: Request) -> Response:
        return JSONResponse(other_lists.ollama_running(self._rows(request)))

    async def _ollama_show(self, request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise HttpProblem(
                400, "malformed_request", f"the body is not an object: {error}"
            ) from None
        name = asked.get("model") or asked.get("name")
        return JSONResponse(other_lists.ollama_show(self._row(request, str(name))))

    async def _ollama_version(self, _: Request) -> Response:
        return JSONResponse({"version": _OLLAMA_VERSION})

    def _open_view(self, request: Request) -> bool:
        """Whether the caller may see where models are served."""
        return bool((self.caller(request).scopes or frozenset()) & _SEEING)

    def _allowed(self, request: Request) -> tuple[str, ...] | None:
        """The names that the caller's key may use; None: all of them."""
        name = self.caller(request).key
        keys = (one for one in self.gateway.loaded.keys if one.name == name)
        key = next(keys, None)
        return None if key is None else key.limits.models

    async def _health(self, _: Request) -> Response:
        status = gateway_status(self.gateway, self._workers(), self._writer)
        return JSONResponse(to_json(status))

    async def _ready(self, _: Request) -> Response:
        ready = is_ready(self.gateway)
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def _metrics(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        page, kind = exposition(self.figures(), accept)
        return Response(page, headers={"content-type": kind})

    async def _openapi(self, _: Request) -> Response:
        from modelscan import __version__

        return JSONResponse(document(__version__))

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Starlette's own refusals: an unknown path, a method that a path does not have."""
        assert isinstance(error, HTTPException)
        path = request.url.path
        texts = {404: f"there is no path {path}", 405: f"{path} has no {request.method}"}
        detail = texts.get(error.status_code, error.detail)
        codes = {404: "path_not_found", 405: "method_not_allowed"}
        problem = HttpProblem(error.status_code, codes.get(error.status_code, "refused"), detail)
        answer = await self._problem(request, problem)
        answer.headers.update(error.headers or {})
        return answer

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HttpProblem)
        own = (answer for refuse in self._refusals if (answer := refuse(request, error)))
        return next(own, None) or problem_answer(request, error)


def _denied(row: PathScope, caller: Caller) -> HttpProblem:
    if caller.scopes is None:
        return HttpProblem(
            401, "missing_api_key", "this path needs a key: Authorization: Bearer KEY"
        )
    needed = " or ".join(row.scopes)
    if caller.key is None:
        return HttpProblem(
            403, "page_key", "a page needs a key for this: open it by modelscan open"
        )
    return HttpProblem(403, "scope", f"the key '{caller.key}' has no scope {needed}")
