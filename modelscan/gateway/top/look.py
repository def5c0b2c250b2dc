"""Looks at what runs on this machine and at a gateway, here or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.gateway.top.overview import (
    DeploymentLook,
    DeviceFigures,
    GatewayLook,
    Overview,
    TopLook,
    overview,
)
from modelscan.gateway.top.page import read_page
from modelscan.gateway.top.shares import DeviceShare, device_shares
from modelscan.net.address import stays_here
from modelscan.routing.file import check
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.supervisor.health import Address, ask, metrics
from modelscan.supervisor.speed import parse_page

HOST = "host memory"
_TIMEOUT_S = 3.0
_THREADS = 8
_RUNS = (State.RUNNING, State.STARTING)


class Observer:
    """Looks again and again; each overview has the rates since the look before.

    ``url`` None: the gateway and the deployments of this machine; else only the gateway there.
    """

    def __init__(
        self,
        config: Config,
        deployments: Callable[[], Sequence[Deployment]],
        hardware: Callable[[], Inventory],
        url: str | None = None,
        key: str | None = None,
    ) -> None:
        """``key``: a reference (env:NAME, file:PATH). Raises UsageError for a bad URL or key."""
        self._config = config
        self._deployments = deployments
        self._hardware = hardware
        self._here = url is None
        self._url = gateway_root(url or f"http://127.0.0.1:{config.serve_port}")
        self._key = None if key is None else resolve(key)
        self._before: TopLook | None = None
        if config.offline and not stays_here(self._url):
            raise UsageError(
                f"--offline is set, and {self._url} is another machine", hint="modelscan top"
            )

    def look(self) -> Overview:
        """What runs now."""
        with ThreadPoolExecutor(_THREADS) as pool:
            gateway = pool.submit(gateway_look, self._url, self._key)
            deployments: tuple[DeploymentLook, ...] = ()
            devices: tuple[DeviceFigures, ...] = ()
            if self._here:
                records = [one for one in self._deployments() if one.managed]
                backends = self._backends()
                deployments = tuple(
                    pool.map(lambda one: deployment_look(one, backends.get(one.name, ())), records)
                )
                devices = device_figures(self._hardware(), records)
            now = TopLook(time.monotonic(), gateway.result(), deployments, devices)
        before, self._before = self._before, now
        return overview(before, now)

    def _backends(self) -> Mapping[str, tuple[str, ...]]:
        """The entries of the routing file, by the deployment that they lead to."""
        names: dict[str, tuple[str, ...]] = {}
        for route in check(self._config.routing_file).routes:
            if route.deployment is not None:
                names[route.deployment] = (*names.get(route.deployment, ()), route.name)
        return names


def gateway_root(url: str) -> str:
    """A gateway's root, also from the address that clients use. Raises UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"'{url}' is not the address of a gateway", hint="modelscan top --url http://HOST:8900"
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    return parts._replace(path=path, query="", fragment="").geturl()


def gateway_look(url: str, key: str | None) -> GatewayLook:
    """One look at a gateway's metrics."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = Address(parts.hostname or "127.0.0.1", port, key, parts.scheme, parts.path)
    at = time.monotonic()
    try:
        reply = ask(address, "GET", "/metrics", timeout_s=_TIMEOUT_S)
    except ModelscanError as error:
        return GatewayLook(url, fault=error.message)
    if reply is None:
        return GatewayLook(url, fault="no answer")
    if reply.status != 200:
        return GatewayLook(url, fault=f"status {reply.status}")
    page = read_page(reply.body if isinstance(reply.body, str) else "", at)
    if page.version is None:
        return GatewayLook(url, fault="what answers there is not modelscan serve")
    return GatewayLook(url, page)


def deployment_look(deployment: Deployment, backends: tuple[str, ...]) -> DeploymentLook:
    """One look at a deployment and its engine's metrics."""
    runs, plan, measured = deployment.state in _RUNS, deployment.plan, deployment.measured
    text = _engine_page(deployment) if deployment.state is State.RUNNING else ""
    return DeploymentLook(
        name=deployment.name,
        state=deployment.state.value,
        health=deployment.health,
        engine=deployment.backend,
        gpus=deployment.gpus,
        promised_bytes=plan.estimate.total_bytes if runs and plan else None,
        measured_bytes=measured.total_bytes if runs and measured else None,
        backends=backends,
        page=parse_page(text) if text else None,
    )


def _engine_page(deployment: Deployment) -> str:
    """The engine's metrics; "" where it is elsewhere, has none, or its key cannot be read."""
    if deployment.target != "local" or deployment.endpoint is None:
        return ""
    parts = urlsplit(deployment.endpoint)
    with suppress(ModelscanError):
        key = resolve(deployment.api_key) if deployment.api_key else None
        host = parts.hostname or "127.0.0.1"
        return metrics(Address(host, parts.port or 80, key, parts.scheme, parts.path))
    return ""


def device_figures(
    inventory: Inventory, deployments: Iterable[Deployment]
) -> tuple[DeviceFigures, ...]:
    """Every GPU and the host's memory, with what was promised of each."""
    running = [one for one in deployments if one.target == "local" and one.state in _RUNS]
    shares, host = device_shares(running), inventory.host
    rows = [
        (gpu.index, gpu.name, gpu.memory_bytes, _used(gpu.memory_bytes, gpu.free_bytes))
        for gpu in inventory.gpus
    ]
    of_host = (host.memory_bytes, _used(host.memory_bytes, host.free_bytes))
    return tuple(
        _figures(*row, tuple(shares.get(row[0], ()))) for row in (*rows, (None, HOST, *of_host))
    )


def _figures(
    index: int | None, name: str, total: int | None, used: int | None,
    shares: tuple[DeviceShare, ...],
) -> DeviceFigures:  # fmt: skip
    measured = [one.measured_bytes for one in shares if one.measured_bytes is not None]
    return DeviceFigures(
        index, name, total, used, sum(one.promised_bytes for one in shares),
        sum(measured) if measured else None, shares,
    )  # fmt: skip


def _used(total: int | None, free: int | None) -> int | None:
    return None if total is None or free is None else max(0, total - free)
