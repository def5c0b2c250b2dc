"""Setup of httpx: TLS, proxies from the environment (never for loopback), translation of errors.

Imported on first use: httpx takes longer to load than most commands take to run.
"""

from __future__ import annotations

import functools
import os
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import httpx

from modelscan import __version__
from modelscan.core.errors import UsageError
from modelscan.net.address import public
from modelscan.net.decoding import ACCEPTED
from modelscan.net.errors import FailureKind, TransportFailure
from modelscan.net.proxies import Proxy, proxy_for, unusable

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


class Clients:
    """The httpx clients, one per proxy and one without, each created on first use."""

    def __init__(self, ca_file: str | None, own: tuple[str, str | None] | None = None) -> None:
        self._verify = functools.partial(tls_context, ca_file, own)
        self._lock = Lock()
        self._created: dict[str | None, Any] = {}

    def get(self, kind: type[_Client], url: str, **options: Any) -> _Client:
        """The client for an address. Raises UsageError for unusable proxy settings or unusable CA
        files.
        """
        host = host_name(url)
        proxy = proxy_for(url, environment())
        with self._lock:
            key = proxy.url if proxy else None
            if key not in self._created:
                self._created[key] = _create(kind, self._verify, proxy, host, options)
            client: _Client = self._created[key]
            return client

    def created(self) -> list[Any]:
        """All clients created so far."""
        return list(self._created.values())


def environment() -> Mapping[str, str]:
    """The proxy variables; where there are none, the system's own settings (macOS, Windows)."""
    if any(os.environ.get(name) for one in _VARIABLES for name in (one, one.upper())):
        return os.environ
    return {f"{name}_proxy": value for name, value in urllib.request.getproxies().items()}


def way_to(url: str) -> str:
    """``direct``, or the proxy of an address with its variable; nothing is sent.

    Raises UsageError for variables of proxies or TLS that cannot be used.
    """
    clients = Clients(None)
    try:
        clients.get(httpx.Client, url)
    finally:
        for client in clients.created():
            client.close()
    proxy = proxy_for(url, environment())
    return f"by {public(proxy.url)} ({proxy.variable})" if proxy else "direct"


_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _create(
    kind: type[_Client],
    verified: Callable[[], ssl.SSLContext],
    proxy: Proxy | None,
    host: str,
    options: Any,
) -> _Client:
    verify = verified()
    headers = {"User-Agent": f"modelscan/{__version__}", "Accept-Encoding": ACCEPTED}
    via: dict[str, Any] = {"proxy": proxy.url} if proxy and "transport" not in options else {}
    try:
        return kind(headers=headers, verify=verify, trust_env=False, **via, **options)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        assert proxy is not None  # only a proxy's address is of the user's making
        raise unusable(proxy, _without_password(error), host) from error


def _without_password(error: Exception) -> str:
    """The error's text without passwords: httpx quotes the variable, which may contain one."""
    return " ".join(public(word.lstrip("'\"")) for word in str(error).split())


def tls_context(ca_file: str | None, own: tuple[str, str | None] | None = None) -> ssl.SSLContext:
    """TLS with the authorities of ``ca_file``, else SSL_CERT_FILE or SSL_CERT_DIR, else certifi's;
    and the client's own certificate and key.

    Raises UsageError that names the variable or the file that cannot be used.
    """
    context = _trusted(ca_file)
    if own is not None:
        try:
            context.load_cert_chain(*own)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the certificate {own[0]} cannot be used with its key: {error}",
                hint="give both as PEM files: --cert FILE --cert-key FILE",
            ) from error
    return context


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        _check_variables()
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the CA file {ca_file} cannot be used: {error}",
            hint="the CA file must contain certificates in PEM format",
        ) from error


def _check_variables() -> None:
    """The variables that OpenSSL and httpx read: each must name what is there."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        with _named("SSL_CERT_FILE", file):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    for part in (folder or "").split(os.pathsep):
        if part:
            with _named("SSL_CERT_DIR", part):
                os.scandir(part).close()
    log = os.environ.get("SSLKEYLOGFILE")
    if log:
        with _named("SSLKEYLOGFILE", log), open(log, "a"):
            """Python's ssl opens it for every context."""


@contextmanager
def _named(variable: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # an SSLError is one
        raise UsageError(
            f"{variable}={path} cannot be used: {error.strerror or error}",
            hint=f"correct {variable}, or: unset {variable}",
            code="bad_tls_variable",
            details={"variable": variable, "path": path},
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
        reason = str(error) or type(error).__name__
        raise TransportFailure(_kind(error), reason, _proxy_of(error)) from error


def _proxy_of(error: Exception) -> str | None:
    """``http://proxy:3128 (HTTPS_PROXY)`` for a connection that goes to a proxy."""
    if not isinstance(error, httpx.ConnectError):
        return None
    proxy = proxy_for(str(error.request.url), environment())
    return f"{public(proxy.url)} ({proxy.variable})" if proxy else None


def _kind(error: Exception) -> FailureKind:
    if isinstance(error, httpx.ProxyError):
        return "proxy"
    return "connect" if isinstance(error, httpx.ConnectError) else "broken"


def lower_case(headers: httpx.Headers) -> Mapping[str, str]:
    """The headers as a mapping with lower-case names."""
    return {name.lower(): value for name, value in headers.items()}
