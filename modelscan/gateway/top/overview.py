"""Two looks at what runs, made into rates and rows. Pure: both looks are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.top.page import GatewayPage
from modelscan.gateway.top.shares import DeviceShare
from modelscan.supervisor.speed import MetricsPage, speed_between

_GENERATED = (
    "vllm:generation_tokens_total", "sglang:generation_tokens_total",
    "llamacpp:tokens_predicted_total",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GatewayLook:
    """The gateway, and its page where it answered; ``fault``: why it did not."""

    url: str
    page: GatewayPage | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentLook:
    """A deployment of this machine. Bytes; ``page``: its engine's metrics, None: it has none.

    ``backends``: the entries of the routing file that lead to it.
    """

    name: str
    state: str
    health: str | None
    engine: str
    gpus: tuple[int, ...]
    promised_bytes: int | None
    measured_bytes: int | None
    backends: tuple[str, ...] = ()
    page: MetricsPage | None = None


@dataclass(frozen=True, slots=True)
class DeviceFigures:
    """A GPU, or the host's memory (``index`` None). Bytes; ``used_bytes``: by every program,
    ``promised_bytes``: to deployments of modelscan, ``measured_bytes``: what these reported,
    ``shares``: of each of them, the largest first.
    """

    index: int | None
    name: str
    total_bytes: int | None
    used_bytes: int | None
    promised_bytes: int
    measured_bytes: int | None
    shares: tuple[DeviceShare, ...] = ()

    @property
    def own_bytes(self) -> int:
        """Of modelscan's deployments: measured, promised where nothing was measured."""
        return sum(one.measured_bytes or one.promised_bytes for one in self.shares)

    @property
    def other_bytes(self) -> int | None:
        """Of other programs: what is used beyond the deployments; None: not known."""
        return None if self.used_bytes is None else max(0, self.used_bytes - self.own_bytes)


@dataclass(frozen=True, slots=True)
class TopLook:
    """Everything at one time; ``at``: seconds of a monotonic clock."""

    at: float
    gateway: GatewayLook
    deployments: tuple[DeploymentLook, ...] = ()
    devices: tuple[DeviceFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """The gateway. Rates are those between two looks; None: not known, or no second look yet."""

    url: str
    state: Literal["ok", "not_running", "refused"]
    fault: str | None
    version: str | None = None
    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    in_flight: int | None = None
    waiting: int | None = None
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class TopRow:
    """A deployment, or a backend of the gateway that is none. ``tokens_per_s``: output tokens, of
    all clients where the engine counts them. ``kv_cache_used``: 0..1. None: not known.
    """

    name: str
    kind: Literal["deployment", "backend"]
    state: str
    health: str | None
    engine: str | None
    requests_per_s: float | None
    tokens_per_s: float | None
    running: int | None
    waiting: int | None
    kv_cache_used: float | None
    promised_bytes: int | None
    measured_bytes: int | None
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What ``modelscan top`` shows; ``seconds``: between the two looks, None: there was one."""

    seconds: float | None
    gateway: GatewayFigures
    services: tuple[TopRow, ...]
    devices: tuple[DeviceFigures, ...]
    warnings: tuple[str, ...] = field(default=())


def overview(before: TopLook | None, now: TopLook) -> Overview:
    """The rows; without a look before there are no rates."""
    seconds = None if before is None else now.at - before.at
    pages = _GatewayRates(before.gateway.page if before else None, now.gateway.page)
    engines = {one.name: one.page for one in before.deployments} if before else {}
    services = [_deployment(one, engines.get(one.name), pages, seconds) for one in now.deployments]
    known = {name for one in now.deployments for name in one.backends}
    services += [one for one in pages.services() if one.name not in known]
    return Overview(seconds, _gateway(now.gateway, pages), tuple(services), now.devices)


def _gateway(look: GatewayLook, rates: _GatewayRates) -> GatewayFigures:
    page = look.page
    if page is None:
        refused = look.fault is not None and look.fault.startswith("status")
        return GatewayFigures(look.url, "refused" if refused else "not_running", look.fault)
    return GatewayFigures(
        url=look.url,
        state="ok",
        fault=None,
        version=page.version,
        requests_per_s=rates.sum(rates.requests()),
        tokens_per_s=rates.sum(rates.tokens()),
        in_flight=_whole(page.total(d.IN_FLIGHT)),
        waiting=_whole(page.total(d.BACKEND_WAITING)) or 0,
        connections=_whole(page.total(d.CONNECTIONS)),
    )


@dataclass(frozen=True, slots=True)
class _GatewayRates:
    """Rates between two pages of a gateway; a restarted one counts from zero again."""

    before: GatewayPage | None
    now: GatewayPage | None

    def _grown(self, definition: d.MetricDefinition, **only: str) -> Mapping[str, float] | None:
        if self.before is None or self.now is None or self._restarted:
            return None
        seconds = self.now.at - self.before.at
        if seconds <= 0:
            return None
        old = self.before.by(definition, "backend", **only)
        new = self.now.by(definition, "backend", **only)
        return {k: max(0.0, v - old.get(k, 0.0)) / seconds for k, v in new.items()}

    @property
    def _restarted(self) -> bool:
        pages = (self.before, self.now)
        started = [page.total(d.STARTED) if page else None for page in pages]
        return started[0] != started[1]

    def requests(self) -> Mapping[str, float] | None:
        """Requests that ended per second, by backend."""
        return self._grown(d.REQUESTS)

    def tokens(self) -> Mapping[str, float] | None:
        """Output tokens per second, by backend."""
        return self._grown(d.TOKENS_USED, kind="output")

    def sum(self, rates: Mapping[str, float] | None) -> float | None:
        """The rate of all backends."""
        return None if rates is None else sum(rates.values())

    def of(self, rates: Mapping[str, float] | None, names: Sequence[str]) -> float | None:
        """The rate of some backends; None where the gateway does not know them."""
        if rates is None or self.now is None:
            return None
        known = self.now.by(d.BACKEND_UP, "backend")
        return sum(rates.get(one, 0.0) for one in names) if known.keys() & set(names) else None

    def gauge(self, definition: d.MetricDefinition, names: Sequence[str]) -> float | None:
        """A gauge of some backends, added up; None: absent."""
        values = self.now.by(definition, "backend") if self.now is not None else {}
        there = [values[name] for name in names if name in values]
        return sum(there) if there else None

    def services(self) -> Iterator[TopRow]:
        """Every backend of the gateway."""
        if self.now is None:
            return
        requests, tokens = self.requests(), self.tokens()
        memory = {kind: self.now.by(d.DEPLOYMENT_MEMORY, "deployment", kind=kind)
                  for kind in ("promised", "measured")}  # fmt: skip
        for name, up in self.now.by(d.BACKEND_UP, "backend").items():
            running = self.gauge(d.ENGINE_RUNNING, (name,))
            waiting = self.gauge(d.ENGINE_WAITING, (name,)) or 0
            flying = self.gauge(d.BACKEND_IN_FLIGHT, (name,)) or 0
            queued = self.gauge(d.BACKEND_WAITING, (name,)) or 0
            yield TopRow(
                name=name,
                kind="backend",
                state="up" if up else "not up",
                health=None,
                engine=None,
                requests_per_s=self.of(requests, (name,)),
                tokens_per_s=self.of(tokens, (name,)),
                running=_whole(flying if running is None else max(running, flying)),
                waiting=_whole(waiting + queued),
                kv_cache_used=self.gauge(d.ENGINE_KV, (name,)),
                promised_bytes=_whole(memory["promised"].get(name)),
                measured_bytes=_whole(memory["measured"].get(name)),
                gpus=(),
            )


def _deployment(
    look: DeploymentLook, before: MetricsPage | None, rates: _GatewayRates, seconds: float | None
) -> TopRow:
    """A row of this machine: its engine's own figures, else the gateway's."""
    page = look.page
    own = None if page is None or seconds is None else _tokens_per_s(before, page, seconds)
    requests = None if page is None else page.requests
    names = look.backends
    queued = _whole(rates.gauge(d.BACKEND_WAITING, names))
    running = requests.running if requests else _whole(rates.gauge(d.BACKEND_IN_FLIGHT, names))
    waiting = requests.waiting + (queued or 0) if requests else queued
    return TopRow(
        name=look.name,
        kind="deployment",
        state=look.state,
        health=look.health,
        engine=look.engine,
        requests_per_s=rates.of(rates.requests(), names),
        tokens_per_s=rates.of(rates.tokens(), names) if own is None else own,
        running=running,
        waiting=waiting,
        kv_cache_used=None if page is None else speed_between(None, page).kv_cache_used,
        promised_bytes=look.promised_bytes,
        measured_bytes=look.measured_bytes,
        gpus=look.gpus,
    )


def _tokens_per_s(before: MetricsPage | None, now: MetricsPage, seconds: float) -> float | None:
    """Output tokens of all clients, by the engine's own counter; None: it has none."""
    name = next((one for one in _GENERATED if one in now.totals), None)
    if name is None or before is None or seconds <= 0:
        return None
    return max(0.0, now.totals[name] - before.totals.get(name, 0.0)) / seconds


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
