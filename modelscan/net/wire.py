"""The httpx side of the client: how it is made and what it must not follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan import __version__
from modelscan.core.errors import UsageError
from modelscan.net.errors import HttpError, host_of

if TYPE_CHECKING:
    import ssl

    import httpx


def phases(seconds: float) -> dict[str, float]:
    """The same limit for each phase of a request; ``Deadline`` bounds their sum."""
    return {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}


def new_client(ca_file: str | None = None) -> httpx.Client:
    """Proxies from the environment; no keep-alive, because a deadline owns its connection.

    Raises UsageError for proxy settings or a ``ca_file`` that cannot be used.
    """
    import httpx

    verify = True if ca_file is None else _authorities(ca_file)
    try:
        return httpx.Client(
            headers={"User-Agent": f"modelscan/{__version__}"},
            verify=verify,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
    except (ValueError, ImportError) as error:
        raise UsageError(
            f"the proxy settings of the environment cannot be used: {error}",
            hint="check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY",
        ) from error


def _authorities(ca_file: str) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the CA file {ca_file} cannot be used: {error}") from error


def refuse_downgrade(request: httpx.Request, following: httpx.Request) -> None:
    """Raises HttpError when an encrypted address redirects to an unencrypted one."""
    if request.url.scheme == "https" and following.url.scheme != "https":
        url = str(request.url)
        raise HttpError(
            f"{host_of(url)} redirects to an unencrypted address", url=url, code="redirects"
        )
