"""``POST /v1/cluster/routes/test``: a real request to an entry, as ``route test`` sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.envelope import envelope
from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.deployment_bodies import read_body
from modelscan.gateway.control.deployments_api import problem_of
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_thread
from modelscan.routing.answers import route_tested
from modelscan.routing.probe import probe_route

_TIMEOUT_S = 60.0


class TestedName(msgspec.Struct):
    """The body: the entry's name."""

    model: Annotated[str, Meta(min_length=1, max_length=300)]


def route_test_handlers(gateway: Gateway) -> Mapping[str, Handler]:
    """The handlers of this module, by path."""

    async def test(request: Request) -> Response:
        name = (await read_body(request, TestedName)).model
        route = next((one for one in gateway.file.routes if one.name == name), None)
        if route is None:
            raise HttpProblem(404, "unknown_route", f"there is no entry '{name}'")
        offline = gateway.config.offline
        try:
            probe = await in_thread(
                probe_route, route, chat=True, timeout_s=_TIMEOUT_S, offline=offline
            )
        except ModelscanError as error:
            raise problem_of(error) from error
        return JSONResponse(envelope("route.test", route_tested(route, probe)))

    return {"/v1/cluster/routes/test": test}
