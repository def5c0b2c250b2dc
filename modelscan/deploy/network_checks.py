"""How requests leave this machine: proxies, certificates, and the hubs' answers (``--probe``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.deploy.check import Check
from modelscan.net.address import host_of

if TYPE_CHECKING:
    from modelscan.net.client import HttpClient
    from modelscan.state.config import Config

_ENDPOINTS = ("modelsdev_endpoint", "hf_endpoint", "modelscope_endpoint")


def network(config: Config) -> Iterator[Check]:
    """The proxy of each hub, and whether the variables for proxies and TLS can be used. Sends
    nothing.
    """
    from modelscan.net.httpx_setup import way_to

    ways: dict[str, list[str]] = {}
    try:
        for key in _ENDPOINTS:
            url = str(config.value(key))
            ways.setdefault(way_to(url), []).append(host_of(url))
    except ModelscanError as error:
        yield Check("network", "error", error.message, error.hint)
        return
    yield Check(
        "network", "ok", "; ".join(f"{', '.join(dict.fromkeys(ways[way]))}: {way}" for way in ways)
    )


def remote(config: Config) -> Iterator[Check]:
    """Whether each hub answers."""
    from modelscan.hub.http_client import http_client

    with http_client(config) as http:
        for key in _ENDPOINTS:
            url = str(config.value(key))
            if config.offline:
                yield Check(url, "absent", "not checked: --offline")
            else:
                yield _answers(http, url, key)


def _answers(http: HttpClient, url: str, key: str) -> Check:
    """A warning where no answer arrives; any HTTP status counts as an answer."""
    try:
        limits = http.settings.limits(pauses_s=(), max_redirects=0)
        status: int | None = http.send("HEAD", url, limits=limits).status
    except ModelscanError as error:
        status = error.details.get("status")
        if status is None:
            return Check(url, "warning", error.message, f"check {key}")
    return Check(url, "ok", f"HTTP status {status}")
