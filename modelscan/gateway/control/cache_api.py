"""``/v1/cache``: the pulled weights here; read with the scope read, deleted with operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.envelope import envelope
from modelscan.core.errors import ModelscanError
from modelscan.deploy.cache_answers import CachePruned, list_cache, prune_cache
from modelscan.gateway.control.deployment_bodies import read_body
from modelscan.gateway.control.deployments_api import problem_of
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.threads import in_thread
from modelscan.state.config import Config
from modelscan.state.server.audit import Actor, record_audit
from modelscan.state.server.database import ServerDatabase

_HEADERS = {"cache-control": "no-store"}


class PruneWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/cache/prune``: without ``delete`` it only lists what would go."""

    delete: bool = False


def cache_handlers(
    config: Config, database: ServerDatabase, actor_of: Callable[[Request], Actor]
) -> Mapping[str, Handler]:
    """The handlers of this module, by path."""

    async def listed(_: Request) -> Response:
        answer = await in_thread(list_cache, config)
        return JSONResponse(envelope("cache.list", answer), headers=_HEADERS)

    async def prune(request: Request) -> Response:
        wish = await read_body(request, PruneWish)
        who = actor_of(request)
        try:
            answer = await in_thread(_prune, config, database, who, wish.delete)
        except ModelscanError as error:
            raise problem_of(error) from error
        return JSONResponse(envelope("cache.prune", answer), headers=_HEADERS)

    return {"/v1/cache": listed, "/v1/cache/prune": prune}


def _prune(config: Config, database: ServerDatabase, who: Actor, delete: bool) -> CachePruned:
    answer = prune_cache(config, delete=delete)
    if delete:
        names = [f"{one.repo}@{one.revision}" for one in answer.items]
        with database.writing() as connection:
            record_audit(connection, who, "cache.prune", "weights", after=names)
    return answer
