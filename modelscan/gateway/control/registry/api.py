"""``/v1/registry``: models, versions, tags and aliases, with ETags and merge patches.

Answers to readers are the stored JSON, with its ETag as a field, without reading it into objects.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from modelscan.core.jsonform import to_json
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.registry.exchange import (
    expected_etags,
    in_thread,
    is_known,
    json_body,
    problem_of,
    record_answer,
)
from modelscan.gateway.control.registry.queries import ListQuery, list_query, page_limit
from modelscan.registry import labels, models, versions
from modelscan.registry.answers import resolved_answer
from modelscan.registry.canonical import read_record
from modelscan.registry.events import history, last_event_id
from modelscan.registry.names import checked_version, parse_reference
from modelscan.registry.policy import TagPolicies, check_free
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.resolve import resolve_reference
from modelscan.registry.search import model_rows, next_cursor
from modelscan.registry.stored import find_model, find_version, versions_of
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase

T = TypeVar("T")
_MOST_CACHED = 512
_MOST_CACHED_BYTES = 256 * 1024
_MOST_HISTORY = 500


class RegistryApi:
    """The handlers; ``actor_of``: who sends a request; ``policies``: the tags that only a
    curation sets.
    """

    def __init__(
        self, database: ServerDatabase, actor_of: Callable[[Request], Actor],
        policies: Callable[[], TagPolicies],
    ) -> None:  # fmt: skip
        self._database = database
        self._policies = policies
        self._actor_of = actor_of
        self._pages = PageCache()

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``REGISTRY_PATHS``."""
        model = "/v1/registry/models/{slug:slug}"
        version = f"{model}/versions/{{version}}"
        return {
            "/v1/registry/models": self._models,
            model: self._model,
            f"{model}/versions": self._versions,
            version: self._version,
            f"{version}/publish": self._publish,
            f"{version}/tags/{{tag}}": self._tag,
            f"{model}/aliases/{{alias}}": self._alias,
            f"{model}/history": self._history,
            "/v1/registry/resolve/{reference:slug}": self._resolve,
        }

    async def _reading(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            with self._database.reading() as connection:
                return work(connection)

        return await in_thread(run)

    async def _writing(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            with self._database.writing() as connection:
                return work(connection)

        return await in_thread(run)

    # Models

    async def _models(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._create(request)
        query = list_query(request.query_params)
        text = request.url.query
        page, event = await self._reading(lambda one: self._page(one, text, query))
        headers = {"etag": f'W/"{event}"', "cache-control": "private, no-cache"}
        if is_known(request, str(event)):
            return Response(status_code=304, headers=headers)
        return Response(page, 200, headers, media_type="application/json")

    def _page(self, connection: sa.Connection, text: str, query: ListQuery) -> tuple[bytes, int]:
        event = last_event_id(connection)
        page = self._pages.find(text, event)
        if page is None:
            rows = model_rows(
                connection, query.wanted, limit=query.limit, cursor=query.cursor, order=query.order
            )
            items = [msgspec.Raw(_with_etag(one.body, one.etag)) for one in rows[: query.limit]]
            following = next_cursor(rows, query.limit, query.order)
            page = msgspec.json.encode({"items": items, "next_cursor": following})
            self._pages.keep(text, event, page)
        return page, event

    async def _create(self, request: Request) -> Response:
        facts = _record(RegistryModelFacts, await json_body(request))
        who = self._actor_of(request)
        only_new = request.headers.get("if-none-match", "").strip() == "*"
        try:
            model = await self._writing(lambda one: models.create_model(one, who, facts))
        except HttpProblem as problem:
            if only_new and problem.code == "exists":
                raise HttpProblem(412, problem.code, problem.detail) from None
            raise
        place = f"/v1/registry/models/{model.slug}"
        return record_answer(request, _encoded(model), model.etag, 201, location=place)

    async def _model(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        if request.method in ("GET", "HEAD"):
            model = await self._reading(lambda one: find_model(one, slug))
            return record_answer(request, _encoded(model), model.etag)
        expected = expected_etags(request, required=True)
        who = self._actor_of(request)
        if request.method == "DELETE":
            await self._writing(lambda one: models.delete_model(one, who, slug, expected))
            return Response(status_code=204)
        patch = await json_body(request)
        changed = await self._writing(
            lambda one: models.edit_model(one, who, slug, patch, expected)
        )
        return record_answer(request, _encoded(changed), changed.etag)

    async def _history(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        limit = min(page_limit(request.query_params), _MOST_HISTORY)
        rows = await self._reading(lambda one: history(one, slug, limit=limit))
        if not rows:
            await self._reading(lambda one: find_model(one, slug))
        return _plain({"items": to_json(list(rows)), "next_cursor": None})

    # Versions

    async def _versions(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        if request.method == "POST":
            return await self._add_version(request, slug)
        found = await self._reading(lambda one: versions_of(one, slug))
        return _plain({"items": to_json(found), "next_cursor": None})

    async def _add_version(self, request: Request, slug: str) -> Response:
        facts = _record(RegistryVersionFacts, await json_body(request))
        who = self._actor_of(request)
        version, new = await self._writing(lambda one: versions.add_version(one, who, slug, facts))
        place = f"/v1/registry/models/{slug}/versions/{version.version}"
        status = 201 if new else 200
        return record_answer(request, _encoded(version), version.etag, status, location=place)

    async def _version(self, request: Request) -> Response:
        slug, number = _place(request)
        if request.method in ("GET", "HEAD"):
            version = await self._reading(lambda one: find_version(one, slug, number))
            return record_answer(request, _encoded(version), version.etag)
        expected = expected_etags(request, required=True)
        who = self._actor_of(request)
        if request.method == "DELETE":
            await self._writing(
                lambda one: versions.delete_version(one, who, slug, number, expected)
            )
            return Response(status_code=204)
        patch = await json_body(request)
        changed = await self._writing(
            lambda one: versions.edit_version(one, who, slug, number, patch, expected)
        )
        return record_answer(request, _encoded(changed), changed.etag)

    async def _publish(self, request: Request) -> Response:
        slug, number = _place(request)
        expected = expected_etags(request, required=False)
        who = self._actor_of(request)
        version = await self._writing(
            lambda one: versions.publish_version(one, who, slug, number, expected)
        )
        return record_answer(request, _encoded(version), version.etag)

    # Tags and aliases

    async def _tag(self, request: Request) -> Response:
        slug, number = _place(request)
        tag, who = request.path_params["tag"], self._actor_of(request)
        policies = await in_thread(self._policies)
        await in_thread(lambda: check_free(policies, tag, slug, str(number)))
        if request.method == "DELETE":
            await self._writing(lambda one: labels.remove_tag(one, who, slug, number, tag))
            return Response(status_code=204)
        version = await self._writing(lambda one: labels.set_tag(one, who, slug, number, tag))
        return record_answer(request, _encoded(version), version.etag)

    async def _alias(self, request: Request) -> Response:
        slug, alias = request.path_params["slug"], request.path_params["alias"]
        expected = expected_etags(request, required=False)
        who = self._actor_of(request)
        if request.method == "DELETE":
            await self._writing(lambda one: labels.remove_alias(one, who, slug, alias, expected))
            return Response(status_code=204)
        text = (await json_body(request)).get("version")
        if not isinstance(text, str | int):
            raise HttpProblem(422, "invalid", 'the body is {"version": "1"}')
        model = await self._writing(
            lambda one: labels.set_alias(
                one, who, slug, alias, checked_version(str(text)), expected
            )
        )
        return record_answer(request, _encoded(model), model.etag)

    async def _resolve(self, request: Request) -> Response:
        text = request.path_params["reference"]
        found = await self._reading(lambda one: resolve_reference(one, parse_reference(text)))
        answer = msgspec.json.encode(to_json(resolved_answer(found)))
        return record_answer(request, answer, found.version.etag)


class PageCache:
    """Pages of lists by their query, as long as nothing happened since."""

    def __init__(self) -> None:
        self._event = -1
        self._pages: OrderedDict[str, bytes] = OrderedDict()

    def find(self, query: str, event: int) -> bytes | None:
        """A page as of this event."""
        return self._pages.get(query) if event == self._event else None

    def keep(self, query: str, event: int, page: bytes) -> None:
        """Keep a page; those of older events are forgotten."""
        if event != self._event:
            self._pages, self._event = OrderedDict(), event
        if len(page) <= _MOST_CACHED_BYTES:
            self._pages[query] = page
            if len(self._pages) > _MOST_CACHED:
                self._pages.popitem(last=False)


def _record(kind: type[T], body: object) -> T:
    try:
        return read_record(kind, body)
    except RegistryRefused as refused:
        raise problem_of(refused) from None


def _place(request: Request) -> tuple[str, int]:
    try:
        return request.path_params["slug"], checked_version(request.path_params["version"])
    except RegistryRefused as refused:
        raise problem_of(refused) from None


def _encoded(record: object) -> bytes:
    return msgspec.json.encode(to_json(record))


def _with_etag(body: str, etag: str) -> bytes:
    """A stored record, whose ``etag`` is empty, with its ETag."""
    return body.replace('"etag":""', f'"etag":"{etag}"', 1).encode()


def _plain(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
