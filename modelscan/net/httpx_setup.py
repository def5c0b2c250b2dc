"""Setup of httpx: TLS, proxies from the environment (never for loopback), translation of errors.

Imported on first use: httpx takes longer to load than most commands take to run.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import httpx

from modelscan import __version__
from modelscan.core.errors import UsageError
from modelscan.net.address import is_loopback, public
from modelscan.net.decoding import ACCEPTED
from modelscan.net.errors import FailureKind, TransportFailure

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


class Clients:
    """The httpx clients with and without proxies, each created on first use."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._lock = Lock()
        self._created: dict[bool, Any] = {}

    def get(self, kind: type[_Client], host: str, **options: Any) -> _Client:
        """The client for a host. Raises UsageError for unusable proxy settings or an unusable CA
        file.
        """
        proxied = not is_loopback(host)
        with self._lock:
            if proxied not in self._created:
                self._created[proxied] = _create(kind, self._ca_file, host, options)
            client: _Client = self._created[proxied]
            return client

    def created(self) -> list[Any]:
        """All clients created so far."""
        return list(self._created.values())


def _create(kind: type[_Client], ca_file: str | None, host: str, options: Any) -> _Client:
    verify = _authorities(ca_file)
    headers = {"User-Agent": f"modelscan/{__version__}", "Accept-Encoding": ACCEPTED}
    try:
        return kind(headers=headers, verify=verify, trust_env=not is_loopback(host), **options)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(
            f"the proxy settings of the environment cannot be used: {_without_password(error)}",
            hint=f"HTTPS_PROXY, HTTP_PROXY, ALL_PROXY: http://HOST:PORT; or NO_PROXY={host}",
            code="bad_proxy",
        ) from error


def _without_password(error: Exception) -> str:
    """The error's text without passwords: httpx quotes the variable, which may contain one."""
    return " ".join(public(word.lstrip("'\"")) for word in str(error).split())


def _authorities(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context()  # also reads SSL_CERT_FILE
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the CA file {ca_file} cannot be used: {error}",
            hint="the CA file must contain certificates in PEM format",
        ) from error


def host_name(url: str) -> str:
    """The host of an address. Raises UsageError if it is not an address."""
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise UsageError(f"'{public(url)}' is not an address: {error}") from error


def phases(seconds: float) -> dict[str, float]:
    """httpx's timeouts: ``seconds`` for each phase of a request."""
    return {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}


@contextmanager
def translated() -> Iterator[None]:
    """Turn httpx's errors into TransportFailure."""
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


def lower_case(headers: httpx.Headers) -> Mapping[str, str]:
    """The headers as a mapping with lower-case names."""
    return {name.lower(): value for name, value in headers.items()}
