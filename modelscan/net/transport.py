"""What carries requests: the interface of the transports, and which one an address gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from modelscan.net.address import stays_here
from modelscan.net.deadline import Deadline
from modelscan.net.exchange import HttpSettings, Request


class Response(Protocol):
    """A response whose body is still to be read. Header names are lower case."""

    status: int
    headers: Mapping[str, str]

    def parts(self) -> Iterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""


class Transport(Protocol):
    """Sends one request. Redirects, retries and limits are not its business."""

    def open(
        self, request: Request, silence_s: float, deadline: Deadline
    ) -> AbstractContextManager[Response]:
        """The response's head; raises TransportFailure. ``silence_s`` bounds each wait."""

    def close(self) -> None:
        """Release the connections."""


class AsyncResponse(Protocol):
    """As ``Response``, for an event loop."""

    status: int
    headers: Mapping[str, str]

    def parts(self) -> AsyncIterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""


class AsyncTransport(Protocol):
    """As ``Transport``, for an event loop; a deadline cancels the task."""

    def open(
        self, request: Request, silence_s: float
    ) -> AbstractAsyncContextManager[AsyncResponse]:
        """The response's head; raises TransportFailure."""

    async def close(self) -> None:
        """Release the connections."""


def transport_for(url: str, settings: HttpSettings) -> Transport:
    """The transport that costs least: unencrypted servers of this machine need no httpx.

    Raises UsageError for proxy settings or a CA file that cannot be used.
    """
    if url.startswith("http:") and stays_here(url):
        from modelscan.net.local import LocalTransport

        return LocalTransport()
    from modelscan.net.httpx_transport import HttpxTransport

    transport = HttpxTransport(settings.ca_file)
    transport.prepare(url)
    return transport
