"""``/hf``: the public models in the shapes that clients of the Hugging Face hub read.

Weights are never served: a file is a redirect to where it is. A revision is a version's number, an
alias, or the commit of one; ``main`` is the one that ``registry resolve`` names. A model that is
not public does not exist here, for any key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.registry.exchange import in_thread
from modelscan.gateway.control.registry.hub_shapes import (
    commit_of,
    location_of,
    model_info,
    refs,
    tree,
)
from modelscan.gateway.control.registry.queries import whole_number
from modelscan.registry.names import VersionReference, parse_reference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.resolve import ResolvedVersion, resolve_reference
from modelscan.registry.search import search_models
from modelscan.registry.stored import find_model, versions_of
from modelscan.registry.types import (
    ModelOrder,
    ModelVersion,
    RegistryFilter,
    RegistryModel,
    WeightsFile,
)
from modelscan.state.server.database import ServerDatabase

T = TypeVar("T")
_MOST_PAGE, _USUAL_PAGE = 500, 100
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SORTS: dict[str, ModelOrder] = {
    "lastModified": "updated", "last_modified": "updated", "createdAt": "created",
    "created_at": "created",
}  # fmt: skip
_TAG_KINDS = ("license:", "modality:", "family:")


class HubApi:
    """The handlers of the hub's shapes."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``HUB_PATHS``."""
        model = "/hf/api/models/{slug:slug}"
        return {
            "/hf/api/models": self._list,
            model: self._info,
            f"{model}/revision/{{revision}}": self._info,
            f"{model}/tree/{{revision}}": self._tree,
            f"{model}/refs": self._refs,
            "/hf/{slug:slug}/resolve/{revision}/{file:path}": self._resolve,
        }

    async def _reading(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            with self._database.reading() as connection:
                return work(connection)

        return await in_thread(run)

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        limit = min(whole_number(query, "limit") or _USUAL_PAGE, _MOST_PAGE)
        order = _SORTS.get(query.get("sort", ""), "slug")
        if query.get("pipeline_tag"):  # not known of any model, and unknown fits no filter
            return _json([])
        wanted = _filter(request)
        page = await self._reading(
            lambda one: search_models(
                one, wanted, limit=limit, cursor=query.get("cursor"), order=order
            )
        )
        rows = [model_info(model, None) for model in page.items]
        headers = {}
        if page.next_cursor is not None:
            names = [(name, value) for name, value in query.multi_items() if name != "cursor"]
            following = urlencode([*names, ("cursor", page.next_cursor)])
            headers["link"] = f'<{_root(request)}/hf/api/models?{following}>; rel="next"'
        return _json(rows, **headers)

    async def _info(self, request: Request) -> Response:
        found = await self._found(request)
        blobs = request.query_params.get("blobs") in ("true", "1", "True")
        return _json(model_info(found.model, found.version, blobs=blobs))

    async def _tree(self, request: Request) -> Response:
        return _json(tree((await self._found(request)).version))

    async def _refs(self, request: Request) -> Response:
        slug = request.path_params["slug"]

        def read(connection: sa.Connection) -> tuple[RegistryModel, tuple[ModelVersion, ...]]:
            return _public(connection, slug), versions_of(connection, slug)

        model, versions = await self._reading(_hub_errors(read))
        return _json(refs(model, versions))

    async def _resolve(self, request: Request) -> Response:
        found = await self._found(request)
        version, path = found.version, request.path_params["file"]
        file = next((one for one in version.files if one.path == path), None)
        if file is None:
            raise _missing("EntryNotFound", f"'{version.name}' has no file {path[:200]}")
        place = location_of(version, file)
        if place is None:
            text = f"'{version.name}' is on its own machine, at no address"
            raise _missing("EntryNotFound", text)
        return Response(status_code=302, headers=_file_headers(version, file, place))

    async def _found(self, request: Request) -> ResolvedVersion:
        slug = request.path_params["slug"]
        revision = request.path_params.get("revision", "main")
        return await self._reading(_hub_errors(lambda one: _version(one, slug, revision)))


def _filter(request: Request) -> RegistryFilter:
    """``filter``: tags, also as ``license:mit``; ``search``; ``author``."""
    query = request.query_params
    names = [name for text in query.getlist("filter") for name in text.split(",") if name]
    special = {kind: [name.removeprefix(kind) for name in names if name.startswith(kind)]
               for kind in _TAG_KINDS}  # fmt: skip
    return RegistryFilter(
        tags=tuple(name for name in names if not name.startswith(_TAG_KINDS)),
        license=next(iter(special["license:"]), None),
        family=next(iter(special["family:"]), None),
        modalities=tuple(special["modality:"]),
        text=query.get("search"),
        owner=query.get("author"),
        visibility="public",
    )


def _version(connection: sa.Connection, slug: str, revision: str) -> ResolvedVersion:
    """The version of a revision. Raises HttpProblem in the hub's form."""
    model = _public(connection, slug)
    if _COMMIT.fullmatch(revision):
        for version in versions_of(connection, slug):
            if commit_of(version) == revision:
                return ResolvedVersion(model, version, "version")
        raise _missing("RevisionNotFound", f"'{slug}' has no version of commit {revision}")
    try:
        reference = (
            VersionReference(slug, "default") if revision == "main"
            else parse_reference(f"{slug}@{revision}")
        )  # fmt: skip
        return resolve_reference(connection, reference)
    except RegistryRefused as refused:
        raise _missing("RevisionNotFound", refused.message) from None


def _public(connection: sa.Connection, slug: str) -> RegistryModel:
    try:
        model = find_model(connection, slug)
    except RegistryRefused:
        model = None
    if model is None or model.visibility != "public":
        raise _missing("RepoNotFound", f"there is no public model '{slug[:200]}'")
    return model


def _hub_errors(work: Callable[[sa.Connection], T]) -> Callable[[sa.Connection], T]:
    """A refusal of the registry as the hub answers it."""

    def run(connection: sa.Connection) -> T:
        try:
            return work(connection)
        except RegistryRefused as refused:
            raise _missing("RepoNotFound", refused.message) from None

    return run


def _missing(code: str, text: str) -> HttpProblem:
    plain = text.encode("ascii", "replace").decode()
    return HttpProblem(404, code, text, headers={"x-error-code": code, "x-error-message": plain})


def _file_headers(version: ModelVersion, file: WeightsFile, place: str) -> dict[str, str]:
    headers = {"location": place, "x-repo-commit": commit_of(version), "content-length": "0"}
    etag = file.sha256
    if etag is not None:
        headers |= {"x-linked-etag": f'"{etag}"', "etag": f'"{etag}"'}
    if file.size_bytes is not None:
        headers["x-linked-size"] = str(file.size_bytes)
    return headers


def _root(request: Request) -> str:
    """The address that the client used."""
    host = request.headers.get("host", "localhost")
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return f"{quote(scheme)}://{host}"


def _json(value: Any, **headers: str) -> Response:
    return Response(msgspec.json.encode(value), headers=headers, media_type="application/json")
