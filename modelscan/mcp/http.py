"""``serve --mcp``: the protocol at ``/mcp``, with the gateway's keys and scopes.

The gateway's workers have checked the key, the Host and the Origin before a request comes here.
"""

from __future__ import annotations

import asyncio

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from modelscan.gateway.control.app import Caller
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.scopes import MCP_PATH
from modelscan.mcp.confirm import Context
from modelscan.mcp.inside import Command, InsideCommands
from modelscan.mcp.server import SEEING, Assistance

_SESSIONS = 256
_METHODS = ("POST", "DELETE")


def mcp_routes(command: Command, *, allow_changes: bool, offline: bool) -> tuple[BaseRoute, ...]:
    """What ``serve`` mounts; ``command`` runs a command line in this process."""
    endpoint = McpEndpoint(command, allow_changes=allow_changes, offline=offline)
    return (Route(MCP_PATH, endpoint=endpoint),)


def request_scopes(context: Context) -> frozenset[str]:
    """The scopes of the key of a request."""
    assert isinstance(context.request, Request)
    return _caller(context.request).scopes or frozenset()


class McpEndpoint:
    """The protocol's server as an ASGI application; its sessions begin with the first request."""

    def __init__(self, command: Command, *, allow_changes: bool, offline: bool) -> None:
        read = InsideCommands(command)
        assistance = Assistance(read, allow_changes, offline, request_scopes)
        self._sessions = StreamableHTTPSessionManager(assistance.server(), max_sessions=_SESSIONS)
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of a client; raises HttpProblem where its key may not use this path."""
        request = Request(scope)
        if request.method not in _METHODS:  # nothing is sent outside of an answer
            raise HttpProblem(405, "method_not_allowed", f"{MCP_PATH} has no {request.method}")
        caller = _caller(request)
        if caller.scopes is None:
            text = "this path needs a key: Authorization: Bearer KEY"
            raise HttpProblem(401, "missing_api_key", text)
        if not caller.scopes & SEEING:
            text = f"the key '{caller.key}' has no scope read or operator"
            raise HttpProblem(403, "scope", text)
        if caller.key is not None:  # a session belongs to the key that opened it
            token = AccessToken(token="", client_id=caller.key, scopes=sorted(caller.scopes))
            scope["user"] = AuthenticatedUser(token)
        await self._start()
        await self._sessions.handle_request(scope, receive, send)

    async def _start(self) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await self._ready.wait()

    async def _run(self) -> None:
        """Until the gateway ends: then the sessions' tasks are cancelled, and their commands."""
        async with self._sessions.run():
            self._ready.set()
            await asyncio.Event().wait()


def _caller(request: Request) -> Caller:
    caller = request.app.state.caller(request)
    assert isinstance(caller, Caller)
    return caller
