"""HTTP transport with httpx on an event loop. Imported on first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from modelscan.net.decoding import Decoder
from modelscan.net.exchange import HttpRequest
from modelscan.net.httpx_setup import Clients, lower_case, phases, translated


class AsyncHttpxResponse:
    """A response from httpx.AsyncClient."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, lower_case(response.headers)
        self._response = response

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the decoded body as it arrives.

        Raises TransportFailure if the connection breaks.
        """
        decoder = Decoder(self.headers.get("content-encoding"))
        with translated():
            async for part in self._response.aiter_raw():
                for piece in decoder.pieces(part):
                    yield piece
        decoder.end()


class AsyncHttpxTransport:
    """HTTP transport for one event loop; keeps connections alive between requests."""

    def __init__(
        self, ca_file: str | None = None, own: tuple[str, str | None] | None = None
    ) -> None:
        self._clients = Clients(ca_file, own)

    @asynccontextmanager
    async def open(
        self, request: HttpRequest, silence_s: float
    ) -> AsyncIterator[AsyncHttpxResponse]:
        """Send a request and return the response's head. Raises TransportFailure.

        ``silence_s`` limits each wait for data.
        """
        streams: list[Any] = []

        async def opened(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                streams.append(info["return_value"])

        client = self._clients.get(httpx.AsyncClient, request.url)
        httpx_request = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions={"trace": opened, "timeout": phases(silence_s)},
        )  # fmt: skip
        try:
            with translated():
                response = await client.send(httpx_request, stream=True, follow_redirects=False)
        except asyncio.CancelledError:  # httpcore leaves the connection open during a TLS handshake
            for stream in streams:
                await stream.aclose()
            raise
        try:
            yield AsyncHttpxResponse(response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Release the connections."""
        for client in self._clients.created():
            await client.aclose()
