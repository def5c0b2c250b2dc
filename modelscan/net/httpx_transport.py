"""Requests with httpx, sync and async: TLS, and the environment's proxies except for loopback.

Imported on first use: httpx takes longer to load than most commands take to run.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from threading import Lock
from typing import Any, TypeVar

import httpx

from modelscan import __version__
from modelscan.core.errors import UsageError
from modelscan.net.address import is_loopback, public
from modelscan.net.deadline import Deadline
from modelscan.net.errors import FailureKind, TransportFailure
from modelscan.net.exchange import Request

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


class _Clients:
    """Which client an address gets, each made on first use: with or without the proxies."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._lock = Lock()
        self._made: dict[bool, Any] = {}

    def get(self, kind: type[_Client], host: str, **options: Any) -> _Client:
        """The client for a host; raises UsageError for unusable proxy settings or CA file."""
        proxied = not is_loopback(host)
        with self._lock:
            if proxied not in self._made:
                self._made[proxied] = _make(kind, self._ca_file, proxied, options)
            client: _Client = self._made[proxied]
            return client

    def made(self) -> list[Any]:
        """Those to be closed."""
        return list(self._made.values())


def _make(kind: type[_Client], ca_file: str | None, proxied: bool, options: Any) -> _Client:
    verify = _authorities(ca_file)
    headers = {"User-Agent": f"modelscan/{__version__}"}
    try:
        return kind(headers=headers, verify=verify, trust_env=proxied, **options)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(
            f"the proxy settings of the environment cannot be used: {_without_password(error)}",
            hint="check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY (http://HOST:PORT), or add the "
            "server to NO_PROXY",
            code="bad_proxy",
        ) from error


def _without_password(error: Exception) -> str:
    """httpx quotes the variable, which may hold a password."""
    return " ".join(public(word.lstrip("'\"")) for word in str(error).split())


def _authorities(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context()  # SSL_CERT_FILE counts here too
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the CA file {ca_file} cannot be used: {error}",
            hint="a CA file holds certificates as PEM text",
        ) from error


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise UsageError(f"'{public(url)}' is not an address: {error}") from error


def _phases(seconds: float) -> dict[str, float]:
    return {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}


@contextmanager
def _translated() -> Iterator[None]:
    """httpx's errors as TransportFailure."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise TransportFailure("timeout", str(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransportFailure(_kind(error), str(error) or type(error).__name__) from error


def _kind(error: Exception) -> FailureKind:
    if isinstance(error, httpx.ProxyError):
        return "proxy"
    return "connect" if isinstance(error, httpx.ConnectError) else "broken"


def _lower(headers: httpx.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class HttpxResponse:
    """A response of httpx.Client."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, _lower(response.headers)
        self._response = response

    def parts(self) -> Iterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""
        with _translated():
            yield from self._response.iter_bytes()


class HttpxTransport:
    """Thread-safe. ``inner`` replaces the network in tests."""

    def __init__(
        self, ca_file: str | None = None, *, inner: httpx.BaseTransport | None = None
    ) -> None:
        self._clients = _Clients(ca_file)
        # No keep-alive: a deadline owns its connection.
        self._options: dict[str, Any] = {"limits": httpx.Limits(max_keepalive_connections=0)}
        if inner is not None:
            self._options["transport"] = inner

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

        client = self._clients.get(httpx.Client, _host(request.url), **self._options)
        extensions = {"trace": opened, "timeout": _phases(silence_s)}
        sent = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions=extensions,
        )  # fmt: skip
        with _translated():
            response = client.send(sent, stream=True, follow_redirects=False)
        try:
            yield HttpxResponse(response)
        finally:
            response.close()

    def close(self) -> None:
        """Release the connections."""
        for client in self._clients.made():
            client.close()


class AsyncHttpxResponse:
    """A response of httpx.AsyncClient."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, _lower(response.headers)
        self._response = response

    async def parts(self) -> AsyncIterator[bytes]:
        """The decoded body as it arrives; raises TransportFailure when it breaks off."""
        with _translated():
            async for part in self._response.aiter_bytes():
                yield part


class AsyncHttpxTransport:
    """For one event loop; connections are kept alive between requests."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._clients = _Clients(ca_file)

    @asynccontextmanager
    async def open(self, request: Request, silence_s: float) -> AsyncIterator[AsyncHttpxResponse]:
        """The response's head; raises TransportFailure. ``silence_s`` bounds each wait."""
        client = self._clients.get(httpx.AsyncClient, _host(request.url))
        sent = client.build_request(
            request.method, request.url, headers=dict(request.headers), content=request.body,
            extensions={"timeout": _phases(silence_s)},
        )  # fmt: skip
        with _translated():
            response = await client.send(sent, stream=True, follow_redirects=False)
        try:
            yield AsyncHttpxResponse(response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Release the connections."""
        for client in self._clients.made():
            await client.aclose()
