"""The pages as handlers of the control application."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from modelscan.api import Workspace
from modelscan.core.envelope import envelope
from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.app import ControlApp
from modelscan.gateway.control.deployments_api import status_of
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.registry.exchange import problem_of
from modelscan.gateway.top.overview import Overview
from modelscan.registry.refused import RegistryRefused
from modelscan.web import guard
from modelscan.web.assets import asset_at, picture
from modelscan.web.environment import page_text
from modelscan.web.gather import Documents
from modelscan.web.gather_models import ModelDocuments
from modelscan.web.live import LiveLooks
from modelscan.web.packed import packed
from modelscan.web.pages import deployment as deployment_page
from modelscan.web.pages import here as here_page
from modelscan.web.pages import manual as manual_page
from modelscan.web.pages import model as model_page
from modelscan.web.visit import View, Visit, visit_of

_SECONDS, _POINTS = 3600, 180
_MOST_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class LogShown:
    """The last lines of a deployment's log; ``error``: why there are none."""

    name: str
    lines: tuple[str, ...]
    error: str | None


class Site:
    """The handlers of one gateway's pages."""

    def __init__(self, control: ControlApp, workspace: Workspace) -> None:
        self._control = control
        self._workspace = workspace
        self.live = LiveLooks(control, workspace)
        self.documents = Documents(workspace, control.gateway.database)
        self.models = ModelDocuments(workspace)

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``scopes.PAGES``."""
        documents = self.documents
        return {
            "/": self._here,
            "/find": self._page(self.models.find),
            "/model/{id:path}": self._page(self.models.model),
            "/compare": self._page(self.models.compare),
            "/deployment/{name}": self._deployment,
            "/traffic": self._page(documents.traffic),
            "/traffic/{trace}": self._page(lambda v: documents.request(v, v.parts["trace"])),
            "/scores": self._page(documents.scores),
            "/scores/compare": self._page(documents.scores_compare),
            "/registry": self._page(documents.registry),
            "/system": self._page(documents.system),
            "/docs": self._page(manual_page.view),
            "/docs/images/{file}": self._picture,
            "/docs/{page:path}": self._page(manual_page.view),
            "/export/{form}/{id:path}": self._export,
            "/static/{file:path}": self._static,
            "/api/v1/live": self._live,
            "/api/v1/series": self._series,
            "/api/v1/log": self._log,
            "/api/v1/sizes/{id:path}": self._sizes,
        }

    # Pages

    def _page(self, answer: Callable[[Visit], View]) -> Handler:
        """A page whose document is made in a thread."""

        async def handler(request: Request) -> Response:
            visit = visit_of(request)
            try:
                view = await asyncio.to_thread(answer, visit)
            except ModelscanError as error:
                view = problem_view(visit, error)
            return self.render(request, visit, view)

        return handler

    async def _here(self, request: Request) -> Response:
        visit = visit_of(request)
        shown = await self.live.look()
        history = {one.name: self.live.history(one.name) for one in shown.overview.services}
        view = here_page.view(visit, shown.overview, history, self._endpoint(request))
        return self.render(request, visit, view)

    async def _deployment(self, request: Request) -> Response:
        visit = visit_of(request)
        name = visit.parts["name"]
        looked = await self.live.look()
        try:
            view = await asyncio.to_thread(self._deployment_view, visit, name, looked.overview,
                                           self._endpoint(request))  # fmt: skip
        except ModelscanError as error:
            view = problem_view(visit, error)
        return self.render(request, visit, view)

    def _deployment_view(self, visit: Visit, name: str, overview: Overview, endpoint: str) -> View:
        shown = self.documents.shown(name)
        lines, fault = self.documents.log(name)
        now = next((one for one in overview.services if one.name == name), None)
        entries = self.live.entries_of(name)
        snippets = self.documents.snippets(entries[0] if entries else None, endpoint)
        answer = deployment_page.DeploymentAnswer(
            shown,
            now,
            lines,
            fault,
            snippets,
            self._control.deployments.jobs.get(name),
            endpoint,
            self.documents.courses(name, entries or (name,), tuple(self.live.samples)),
        )
        return deployment_page.view(visit, answer)

    def render(self, request: Request, visit: Visit, view: View) -> Response:
        """A page as an answer, with the headers of all pages."""
        text = page_text(visit, view, exposed=not self._control.gateway.options.loopback)
        headers = {**guard.HEADERS, **guard.NOT_KEPT}
        return packed(request, text.encode(), "text/html; charset=utf-8", headers, view.status)

    # Files and documents

    async def _static(self, request: Request) -> Response:
        found = asset_at(request.url.path)
        if found is None:
            raise HttpProblem(404, "path_not_found", f"there is no file {request.url.path}")
        return packed(request, found.data, found.kind, {**guard.HEADERS, **guard.KEPT})

    async def _picture(self, request: Request) -> Response:
        found = picture(visit_of(request).parts["file"])
        if found is None:
            raise HttpProblem(404, "path_not_found", f"there is no file {request.url.path}")
        return Response(
            found.data, headers={**guard.HEADERS, **guard.MOMENT}, media_type=found.kind
        )

    async def _export(self, request: Request) -> Response:
        visit = visit_of(request)
        form = visit.parts["form"]
        try:
            exported = await asyncio.to_thread(self.models.export, visit, form)
        except ModelscanError as error:
            return self.render(request, visit, problem_view(visit, error))
        name = model_page.file_name(exported.format, exported.name)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        sent = {**guard.HEADERS, **guard.NOT_KEPT, **headers}
        return PlainTextResponse(exported.text, headers=sent)

    async def _live(self, request: Request) -> Response:
        shown = await self.live.look()
        return _tagged(request, shown.body, guard.MOMENT, shown.etag)

    async def _series(self, request: Request) -> Response:
        visit = visit_of(request)
        of = visit.text("of") or None
        last = visit.number("last", _SECONDS, 60, _MOST_SECONDS)
        points = visit.number("points", _POINTS, 10, 600)
        entries = self.live.entries_of(of) if of else ()
        samples = tuple(self.live.samples)
        answer = await asyncio.to_thread(
            self.documents.series, of, entries or ((of,) if of else ()), samples, last, points
        )
        body = msgspec.json.encode(envelope("series", answer))
        headers = {**guard.HEADERS, **guard.MOMENT}
        return Response(body, headers=headers, media_type="application/json")

    async def _log(self, request: Request) -> Response:
        name = visit_of(request).text("of")
        lines, fault = await asyncio.to_thread(self.documents.log, name)
        body = msgspec.json.encode(envelope("deployment.log", LogShown(name, lines, fault)))
        return _tagged(request, body, guard.NOT_KEPT)

    async def _sizes(self, request: Request) -> Response:
        visit = visit_of(request)
        try:
            answer = await asyncio.to_thread(self.models.sized, visit)
        except ModelscanError as error:
            raise HttpProblem(status_of(error), error.code, error.message) from error
        body = msgspec.json.encode(envelope("sizes", answer.sizes, answer.warnings))
        headers = {**guard.HEADERS, **guard.NOT_KEPT}
        return Response(body, headers=headers, media_type="application/json")

    def _endpoint(self, request: Request) -> str:
        """The address that the visitor used."""
        options = self._control.gateway.options
        scheme = "https" if options.tls_cert else "http"
        return f"{scheme}://{request.headers.get('host', 'localhost')}"

    # Refusals

    def refused(self, request: Request, problem: HttpProblem) -> Response:
        """A refusal as a page."""
        visit = visit_of(request)
        if problem.status in (401, 403) and request.method == "GET":
            locked = View("locked.html", {"title": "A key is needed"}, problem.status)
            return self.render(request, visit, locked)
        values = {"title": HTTPStatus(problem.status).phrase, "message": problem.detail,
                  "hint": None, "near": ()}  # fmt: skip
        return self.render(request, visit, View("problem.html", values, problem.status))


def _tagged(
    request: Request, body: bytes, kept: Mapping[str, str], etag: str | None = None
) -> Response:
    """A document with its ETag, or 304 where the visitor has it already."""
    tag = etag or f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {**guard.HEADERS, **kept, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def problem_view(visit: Visit, error: ModelscanError) -> View:
    """An error of modelscan as a page: its message, its hint, and the nearest names as links."""
    near = error.details.get("nearest") or error.details.get("candidates") or ()
    names = [str(one) for one in near][:6] if isinstance(near, (list, tuple)) else []
    return View("problem.html", {"title": "This cannot be shown", "message": error.message,
                                 "hint": error.hint, "near": names}, _status(error))  # fmt: skip


def _status(error: ModelscanError) -> int:
    return problem_of(error).status if isinstance(error, RegistryRefused) else status_of(error)
