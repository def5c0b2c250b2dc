"""The interface of the HTTP transports, and the choice of a transport for an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from modelscan.net.address import stays_here
from modelscan.net.deadline import Deadline
from modelscan.net.exchange import HttpRequest, HttpSettings


class Response(Protocol):
    """A response whose body has not been read yet. Header names are lower case."""

    status: int
    headers: Mapping[str, str]

    def parts(self) -> Iterator[bytes]:
        """Yield the decoded body as it arrives.

        Raises TransportFailure if the connection breaks.
        """


class Transport(Protocol):
    """Sends one request. Redirects, retries and limits are decided by the client."""

    def open(
        self, request: HttpRequest, silence_s: float, deadline: Deadline
    ) -> AbstractContextManager[Response]:
        """Send a request and return the response's head. Raises TransportFailure.

        ``silence_s`` limits each wait for data.
        """

    def close(self) -> None:
        """Release the connections."""


class AsyncResponse(Protocol):
    """Like ``Response``, for an event loop."""

    status: int
    headers: Mapping[str, str]

    def parts(self) -> AsyncIterator[bytes]:
        """Yield the decoded body as it arrives.

        Raises TransportFailure if the connection breaks.
        """


class AsyncTransport(Protocol):
    """Like ``Transport``, for an event loop; a deadline cancels the task."""

    def open(
        self, request: HttpRequest, silence_s: float
    ) -> AbstractAsyncContextManager[AsyncResponse]:
        """Send a request and return the response's head. Raises TransportFailure."""

    async def close(self) -> None:
        """Release the connections."""


def transport_for(url: str, settings: HttpSettings) -> Transport:
    """The fastest transport for an address: unencrypted servers on this machine do not need httpx.

    Raises UsageError for unusable proxy settings or an unusable CA file.
    """
    if url.startswith("http:") and stays_here(url):
        from modelscan.net.local import LocalTransport

        return LocalTransport()
    from modelscan.net.httpx_transport import HttpxTransport

    transport = HttpxTransport(settings.ca_file, settings.own)
    transport.prepare(url)
    return transport
