"""How httpx is set up: TLS, the environment's proxies except for loopback, its errors as ours.

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
from modelscan.net.errors import FailureKind, TransportFailure

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


class Clients:
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
                self._made[proxied] = _make(kind, self._ca_file, host, options)
            client: _Client = self._made[proxied]
            return client

    def made(self) -> list[Any]:
        """Those to be closed."""
        return list(self._made.values())


def _make(kind: type[_Client], ca_file: str | None, host: str, options: Any) -> _Client:
    verify = _authorities(ca_file)
    headers = {"User-Agent": f"modelscan/{__version__}"}
    try:
        return kind(headers=headers, verify=verify, trust_env=not is_loopback(host), **options)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(
            f"the proxy settings of the environment cannot be used: {_without_password(error)}",
            hint=f"HTTPS_PROXY, HTTP_PROXY, ALL_PROXY: http://HOST:PORT; or NO_PROXY={host}",
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


def host_name(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise UsageError(f"'{public(url)}' is not an address: {error}") from error


def phases(seconds: float) -> dict[str, float]:
    return {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}


@contextmanager
def translated() -> Iterator[None]:
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


def lower_case(headers: httpx.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}
