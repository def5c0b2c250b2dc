"""``GET /v1/traces/{id}``: one request with its texts, for keys with the scope operator.

Texts are only there where they are kept by choice: ``trace on --content``.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.envelope import envelope
from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.deployments_api import problem_of
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.threads import in_database
from modelscan.state.config import Config
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess, show_span


def trace_handlers(config: Config, database: ServerDatabase) -> Mapping[str, Handler]:
    """The handlers of this module, by path."""

    async def shown(request: Request) -> Response:
        access = TraceAccess(config, database)
        try:
            answer = await in_database(show_span, access, request.path_params["id"])
        except ModelscanError as error:
            raise problem_of(error) from error
        return JSONResponse(envelope("trace.show", answer), headers={"cache-control": "no-store"})

    return {"/v1/traces/{id}": shown}
