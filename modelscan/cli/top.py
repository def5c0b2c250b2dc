"""``modelscan top``: what runs now, redrawn until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Bar, Document, Note, Table
from modelscan.cli.framework import single
from modelscan.cli.watch import MIN_INTERVAL_S, Count, Interval, watched
from modelscan.core.errors import RemoteError, UsageError
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.gateway.top.look import Observer
    from modelscan.gateway.top.overview import DeviceFigures, GatewayFigures, Overview, TopRow

_SERVICES = (
    "NAME", "STATE", "REQ/S", "TOK/S", "RUN", "WAIT", "KV", "PROMISED", "MEASURED", "ENGINE",
)  # fmt: skip
_DEVICES = ("DEVICE", "NAME", "TOTAL", "USED", "PROMISED", "MEASURED")
_UNHEALTHY = ("unhealthy", "loading")


def top(
    context: Context,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A gateway elsewhere (default: this machine)."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="REF", help="Its key with the scope read: env:NAME."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the table once and end.")] = False,
    interval: Interval = 2.0,
    count: Count = None,
) -> Document[Any] | None:
    """Show what runs: requests, tokens/s, queues, KV caches, memory promised and measured."""
    if once and count is not None:
        raise UsageError("--once and --count exclude each other", hint="modelscan top --once")
    observer = context.workspace.observer(url, key)
    first = observer.look()
    if url is not None and first.gateway.state != "ok":
        raise _unreachable(first.gateway)
    if once:
        time.sleep(max(MIN_INTERVAL_S, min(interval, 1.0)))  # rates need two looks
        return _document(observer.look())
    watched(context, "top", lambda: _document(_next(observer, interval)), interval, count)
    return None


def _next(observer: Observer, interval_s: float) -> Overview:
    """The next overview that has rates: the first one has a short look before it."""
    answer = observer.look()
    if answer.seconds is not None and answer.seconds < MIN_INTERVAL_S:
        time.sleep(max(MIN_INTERVAL_S, min(interval_s, 1.0)))
        return observer.look()
    return answer


def _unreachable(gateway: GatewayFigures) -> RemoteError:
    hint = "modelscan serve"
    if gateway.state == "refused":
        hint = "modelscan key create top --scope read"
    return RemoteError(f"no metrics from {gateway.url}: {gateway.fault}", hint=hint)


def _document(answer: Overview) -> Document[Any]:
    gateway = answer.gateway
    state = "ok" if gateway.state == "ok" else f"{gateway.state.replace('_', ' ')}"
    columns = ("GATEWAY", "STATE", "REQ/S", "TOK/S", "RUN", "WAIT", "CONNECTIONS")
    cells = (
        gateway.url, state, _rate(gateway.requests_per_s), _rate(gateway.tokens_per_s),
        gateway.in_flight, gateway.waiting, gateway.connections,
    )  # fmt: skip
    first = Table(columns, [cells], numeric=columns[2:], optional=("CONNECTIONS",))
    services = Table(
        _SERVICES,
        [_service(one) for one in answer.services],
        numeric=_SERVICES[2:9],
        optional=("ENGINE", "MEASURED", "WAIT"),
        whole=("STATE",),
        empty="nothing runs: modelscan deploy demo",
    )
    devices = Table(
        _DEVICES,
        [
            (
                "host" if one.index is None else one.index, one.name, format_bytes(one.total_bytes),
                format_bytes(one.used_bytes), format_bytes(one.promised_bytes),
                format_bytes(one.measured_bytes),
            )
            for one in answer.devices
        ],
        numeric=_DEVICES[2:],
    )  # fmt: skip
    bars = [bar for one in answer.devices if (bar := _bar(one)) is not None]
    blocks: list[Any] = [first, services, *([devices] if answer.devices else []), *bars]
    if gateway.state != "ok":
        blocks.append(Note(f"{gateway.url}: {gateway.fault}; modelscan serve starts a gateway"))
    names = [one.name for one in answer.services]
    return Document("top", answer, blocks, names, answer.warnings)


def _service(one: TopRow) -> tuple[object, ...]:
    state = one.health if one.health in _UNHEALTHY else one.state
    used = None if one.kv_cache_used is None else f"{one.kv_cache_used:.0%}"
    return (
        one.name, state, _rate(one.requests_per_s), _rate(one.tokens_per_s), one.running,
        one.waiting, used, format_bytes(one.promised_bytes), format_bytes(one.measured_bytes),
        one.engine,
    )  # fmt: skip


def _bar(one: DeviceFigures) -> Bar | None:
    """A device's memory: what deployments reported (else what was promised), and other programs."""
    if not one.total_bytes or (one.used_bytes is None and not one.promised_bytes):
        return None
    label = "host" if one.index is None else f"GPU {one.index}"
    parts = (("deployments", one.own_bytes), ("other programs", one.other_bytes or 0))
    return Bar(label, parts, one.total_bytes)


def _rate(value: float | None) -> str | None:
    """Three significant digits; a rate of some hundreds has no decimals."""
    if value is None:
        return None
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


app = single(top)
