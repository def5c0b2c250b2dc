"""Requests with httpx on an event loop. Imported on first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from modelscan.net.exchange import Request
from modelscan.net.httpx_setup import Clients, host_name, lower_case, phases, translated


class AsyncHttpxResponse:
    """A response of httpx.AsyncClient."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, lower_case(response.headers)
        self._response = response

    async def parts(self) -> AsyncIterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""
        with translated():
            async for part in self._response.aiter_bytes():
                yield part


class AsyncHttpxTransport:
    """For one event loop; connections are kept alive between requests."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._clients = Clients(ca_file)

    @asynccontextmanager
    async def open(self, request: Request, silence_s: float) -> AsyncIterator[AsyncHttpxResponse]:
        """The response's head; raises TransportFailure. ``silence_s`` bounds each wait."""
        streams: list[Any] = []

        async def opened(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                streams.append(info["return_value"])

        client = self._clients.get(httpx.AsyncClient, host_name(request.url))
        sent = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions={"trace": opened, "timeout": phases(silence_s)},
        )  # fmt: skip
        try:
            with translated():
                response = await client.send(sent, stream=True, follow_redirects=False)
        except asyncio.CancelledError:  # during the TLS handshake, httpcore leaves it open
            for stream in streams:
                await stream.aclose()
            raise
        try:
            yield AsyncHttpxResponse(response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Release the connections."""
        for client in self._clients.made():
            await client.aclose()
