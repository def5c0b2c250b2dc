"""``GET /v1/audit``: the log of changes, for keys with the scope admin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_database
from modelscan.state.server.audit import list_audit
from modelscan.state.server.database import ServerDatabase

_MOST, _USUAL = 1000, 100


def audit_handlers(database: ServerDatabase) -> Mapping[str, Handler]:
    """The handlers of this module, by path."""

    async def changes(request: Request) -> Response:
        """``since`` (RFC 3339), ``before`` (an id: the page after it), ``limit`` (to 1000)."""
        query = request.query_params
        limit = _number("limit", query.get("limit"), _MOST) or _USUAL
        before = _number("before", query.get("before"), 2**62)
        since = _moment(query.get("since"))
        try:
            answer = await in_database(
                list_audit, database, limit=limit, since=since, before_id=before
            )
        except ModelscanError as error:
            raise HttpProblem(503, error.code, error.message) from error
        return JSONResponse(to_json(answer))

    return {"/v1/audit": changes}


def _number(name: str, text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 1 <= int(text) <= most:
        raise HttpProblem(400, "invalid_query", f"{name} is not a number from 1 to {most}")
    return int(text)


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return zoned.timestamp()
    except (ValueError, OverflowError):
        problem = "since is not a time such as 2026-01-31T09:00:00Z"
        raise HttpProblem(400, "invalid_query", problem) from None
