"""HTTP transport with httpx for threads. Imported on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from modelscan.net.deadline import Deadline
from modelscan.net.decoding import Decoder
from modelscan.net.exchange import HttpRequest
from modelscan.net.httpx_setup import Clients, lower_case, phases, translated


class HttpxResponse:
    """A response from httpx.Client."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, lower_case(response.headers)
        self._response = response

    def parts(self) -> Iterator[bytes]:
        """Yield the decoded body as it arrives.

        Raises TransportFailure if the connection breaks.
        """
        if self._response.is_stream_consumed:  # made in memory by a transport of tests
            yield self._response.content
            return
        decoder = Decoder(self.headers.get("content-encoding"))
        with translated():
            for part in self._response.iter_raw():
                yield from decoder.pieces(part)
        decoder.end()


class HttpxTransport:
    """HTTP transport for threads. Thread-safe. ``inner`` replaces the network in tests."""

    def __init__(
        self,
        ca_file: str | None = None,
        own: tuple[str, str | None] | None = None,
        *,
        inner: httpx.BaseTransport | None = None,
    ) -> None:
        self._clients = Clients(ca_file, own)
        # No keep-alive: a deadline closes its connections.
        self._options: dict[str, Any] = {"limits": httpx.Limits(max_keepalive_connections=0)}
        if inner is not None:
            self._options["transport"] = inner

    def prepare(self, url: str) -> None:
        """Create the client for an address. Raises UsageError for unusable settings."""
        self._client(url)

    def _client(self, url: str) -> httpx.Client:
        return self._clients.get(httpx.Client, url, **self._options)

    @contextmanager
    def open(
        self, request: HttpRequest, silence_s: float, deadline: Deadline
    ) -> Iterator[HttpxResponse]:
        """Send a request and return the response's head. Raises TransportFailure.

        ``silence_s`` limits each wait for data.
        """

        def opened(event: str, info: Mapping[str, Any]) -> None:
            """httpcore's trace hook: register each connection with the deadline."""
            stream = info.get("return_value")
            if event == "connection.connect_tcp.complete" and stream is not None:
                deadline.watch(stream.get_extra_info("socket"))

        client = self._client(request.url)
        extensions = {"trace": opened, "timeout": phases(silence_s)}
        httpx_request = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions=extensions,
        )  # fmt: skip
        with translated():
            response = client.send(httpx_request, stream=True, follow_redirects=False)
        try:
            yield HttpxResponse(response)
        finally:
            response.close()

    def close(self) -> None:
        """Release the connections."""
        for client in self._clients.created():
            client.close()
