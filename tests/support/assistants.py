"""The protocol SDK's own client as an assistant, over real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from support.patience import COMMAND_S

from modelscan.cli.inside import printed_inside
from modelscan.mcp.inside import InsideCommands
from modelscan.mcp.server import Assistance

START = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"}}}  # fmt: skip
ACCEPT = {"Accept": "application/json, text/event-stream"}
Talk = Callable[[Client], Awaitable[Any]]


class User:
    """Answers the questions of a client; ``questions`` keeps them."""

    def __init__(self, action: str = "accept", agrees: bool = True) -> None:
        self.action, self.agrees = action, agrees
        self.questions: list[str] = []

    async def answer(self, _: Any, params: Any) -> ElicitResult:
        self.questions.append(params.message)
        content = {"confirm": self.agrees} if self.action == "accept" else None
        return ElicitResult(action=self.action, content=content)


@contextlib.asynccontextmanager
async def over_stdio(*arguments: str, mode: str, user: User | None) -> AsyncIterator[Client]:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "modelscan", "mcp", *arguments], env=dict(os.environ)
    )
    callback = None if user is None else user.answer
    async with Client(stdio_client(command), mode=mode, elicitation_callback=callback) as client:
        yield client


@contextlib.asynccontextmanager
async def inside(
    *, mode: str, user: User | None, allow_changes: bool = False
) -> AsyncIterator[Client]:
    """The server in this process: for the many cases whose transport does not matter."""
    server = Assistance(InsideCommands(printed_inside), allow_changes, offline=True).server()
    callback = None if user is None else user.answer
    async with Client(server, mode=mode, elicitation_callback=callback) as client:
        yield client


@contextlib.asynccontextmanager
async def over_http(
    url: str, *, mode: str, user: User | None, key: str | None = None
) -> AsyncIterator[Client]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    callback = None if user is None else user.answer
    async with httpx2.AsyncClient(headers=headers, timeout=COMMAND_S) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=callback) as client:
            yield client


def talk(connection: contextlib.AbstractAsyncContextManager[Client], steps: Talk) -> Any:
    """Run the steps of one conversation."""

    async def conversation() -> Any:
        async with connection as client:
            return await steps(client)

    return asyncio.run(conversation())


def text_of(result: Any) -> str:
    """The text of a call's result."""
    return "".join(one.text for one in result.content)
