"""What runs now, for everyone who looks: sampled at most once in two seconds, and only while
somebody looks. The document is that of ``top``.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from modelscan.api import Workspace
from modelscan.core.envelope import envelope
from modelscan.gateway.control.mounting import MountHost
from modelscan.gateway.metrics.exposition import exposition
from modelscan.gateway.top.look import deployment_look, device_figures
from modelscan.gateway.top.overview import GatewayLook, Overview, TopLook, TopRow, overview
from modelscan.gateway.top.page import read_page

EVERY_S = 1.9
KEPT_SAMPLES = 1800
_COARSE = 1 << 24  # bytes: smaller changes of a device's used memory are noise


@dataclass(frozen=True, slots=True)
class LiveSample:
    """The figures of one moment, by service."""

    at: float
    services: Mapping[str, TopRow]


@dataclass(frozen=True, slots=True)
class Shown:
    """An overview as the bytes of its document, and their ETag."""

    overview: Overview
    body: bytes
    etag: str


class LiveState:
    """The looks of one gateway. ``look`` belongs to the event loop."""

    def __init__(self, control: MountHost, workspace: Workspace) -> None:
        self._control = control
        self._workspace = workspace
        self._before: TopLook | None = None
        self._shown: Shown | None = None
        self._until = 0.0
        self._lock = asyncio.Lock()
        self.samples: deque[LiveSample] = deque(maxlen=KEPT_SAMPLES)

    async def look(self) -> Shown:
        """The newest overview; viewers of the same moment share one."""
        async with self._lock:
            if self._shown is None or time.monotonic() >= self._until:
                page, _ = exposition(self._control.figures(), "")
                self._shown = await asyncio.to_thread(self._sample, page.decode())
                self._until = time.monotonic() + EVERY_S
            return self._shown

    def _sample(self, text: str) -> Shown:
        now = self._look(text)
        seen = overview(self._before, now)
        self._before = now
        rows = tuple(map(_rounded, seen.services))
        self.samples.append(LiveSample(time.time(), {row.name: row for row in rows}))
        devices = tuple(
            replace(one, used_bytes=one.used_bytes and one.used_bytes // _COARSE * _COARSE)
            for one in seen.devices
        )
        gateway = replace(
            seen.gateway,
            requests_per_s=_rate(seen.gateway.requests_per_s),
            tokens_per_s=_rate(seen.gateway.tokens_per_s),
            connections=None,  # those of the viewers themselves change it
        )
        shown = replace(seen, seconds=None, services=rows, devices=devices, gateway=gateway)
        body = msgspec.json.encode(envelope("top", shown))
        return Shown(shown, body, f'"{hashlib.sha256(body).hexdigest()[:24]}"')

    def _look(self, text: str) -> TopLook:
        at = time.monotonic()
        records = [one for one in self._workspace.list() if one.managed]
        backends = self._backends()
        looks = tuple(deployment_look(one, backends.get(one.name, ())) for one in records)
        devices = device_figures(self._workspace.hardware(), records)
        return TopLook(at, GatewayLook("", read_page(text, at)), looks, devices)

    def _backends(self) -> Mapping[str, tuple[str, ...]]:
        """The entries of the routing file, by the deployment that they lead to."""
        names: dict[str, tuple[str, ...]] = {}
        for route in self._control.gateway.file.routes:
            if route.deployment is not None:
                names[route.deployment] = (*names.get(route.deployment, ()), route.name)
        return names

    def entries_of(self, deployment: str) -> tuple[str, ...]:
        """The entries of the routing file that lead to a deployment."""
        return self._backends().get(deployment, ())

    def history(self, name: str, points: int = 60) -> Sequence[float | None]:
        """The last rates of a service, tokens per second."""
        recent = list(self.samples)[-points:]
        return [row.tokens_per_s if (row := one.services.get(name)) else None for one in recent]


def _rounded(row: TopRow) -> TopRow:
    return replace(
        row,
        requests_per_s=_rate(row.requests_per_s),
        tokens_per_s=_rate(row.tokens_per_s),
        kv_cache_used=None if row.kv_cache_used is None else round(row.kv_cache_used, 3),
    )


def _rate(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
