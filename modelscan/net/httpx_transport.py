"""Requests with httpx from threads. Imported on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from modelscan.net.deadline import Deadline
from modelscan.net.exchange import Request
from modelscan.net.httpx_setup import Clients, host_name, lower_case, phases, translated


class HttpxResponse:
    """A response of httpx.Client."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, lower_case(response.headers)
        self._response = response

    def parts(self) -> Iterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""
        with translated():
            yield from self._response.iter_bytes()


class HttpxTransport:
    """Thread-safe. ``inner`` replaces the network in tests."""

    def __init__(
        self, ca_file: str | None = None, *, inner: httpx.BaseTransport | None = None
    ) -> None:
        self._clients = Clients(ca_file)
        # No keep-alive: a deadline owns its connection.
        self._options: dict[str, Any] = {"limits": httpx.Limits(max_keepalive_connections=0)}
        if inner is not None:
            self._options["transport"] = inner

    def prepare(self, url: str) -> None:
        """Make the client of an address; raises UsageError for settings that cannot be used."""
        self._client(url)

    def _client(self, url: str) -> httpx.Client:
        return self._clients.get(httpx.Client, host_name(url), **self._options)

    @contextmanager
    def open(
        self, request: Request, silence_s: float, deadline: Deadline
    ) -> Iterator[HttpxResponse]:
        """The response's head; raises TransportFailure. ``silence_s`` bounds each wait."""

        def opened(event: str, info: Mapping[str, Any]) -> None:
            """httpcore's documented hook: each connection as it is made."""
            stream = info.get("return_value")
            if event == "connection.connect_tcp.complete" and stream is not None:
                deadline.watch(stream.get_extra_info("socket"))

        client = self._client(request.url)
        extensions = {"trace": opened, "timeout": phases(silence_s)}
        sent = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions=extensions,
        )  # fmt: skip
        with translated():
            response = client.send(sent, stream=True, follow_redirects=False)
        try:
            yield HttpxResponse(response)
        finally:
            response.close()

    def close(self) -> None:
        """Release the connections."""
        for client in self._clients.made():
            client.close()
