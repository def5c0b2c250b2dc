"""Whether the user agrees: the client asks where it can, else an argument says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from modelscan.core.errors import ModelscanError
from modelscan.mcp.tools import ToolRow

_ANSWER = "confirm"
_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {_ANSWER: {"type": "boolean", "title": "Do it", "default": False}},
    "required": [_ANSWER],
}
Context = ServerRequestContext[Any, Any]


class NotConfirmedError(ModelscanError):
    """The user did not agree, or was not asked: nothing was done."""

    default_code = "not_confirmed"


def can_ask(context: Context) -> bool:
    """Whether the client shows forms to its user."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def answered(row: ToolRow, params: types.CallToolRequestParams) -> bool | None:
    """What the user answered to the question about exactly this call; None: not asked yet.

    Since protocol 2026-07-28 a client repeats its call with the answers.
    """
    reply = (params.input_responses or {}).get(_ANSWER)
    if not isinstance(reply, types.ElicitResult) or params.request_state != _state(row, params):
        return None
    return _agrees(reply)


async def ask(
    context: Context, row: ToolRow, params: types.CallToolRequestParams, question: str
) -> types.InputRequiredResult | bool:
    """Ask the user: the answer, or the result that makes a newer client ask and call again."""
    form = types.ElicitRequestFormParams(message=question, requested_schema=dict(_FORM))
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return types.InputRequiredResult(
            input_requests={_ANSWER: types.ElicitRequest(params=form)},
            request_state=_state(row, params),
        )
    reply = await context.session.elicit_form(question, dict(_FORM), context.request_id)
    return _agrees(reply)


def refusal(row: ToolRow, *, asked: bool) -> NotConfirmedError:
    """The error of a call that the user did not agree to."""
    if asked:
        return NotConfirmedError(f"{row.name}: the user did not agree; nothing was done")
    return NotConfirmedError(
        f"{row.name} needs the user's agreement, and this client cannot ask; nothing was done",
        hint=f"ask the user, then call {row.name} again with confirm: true",
    )


def _agrees(reply: types.ElicitResult) -> bool:
    return reply.action == "accept" and (reply.content or {}).get(_ANSWER) is True


def _state(row: ToolRow, params: types.CallToolRequestParams) -> str:
    """Binds an answer to its question: the tool and its arguments."""
    text = json.dumps([row.name, params.arguments or {}], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
