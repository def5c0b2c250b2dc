"""Here: what runs on this machine, and how much memory is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscan.gateway.top.overview import DeviceFigures, Overview
from modelscan.gateway.top.shares import DeviceShare
from modelscan.web.charts.bar import Piece
from modelscan.web.visit import View, Visit
from modelscan.web.words import gib, short_name

_SMALLEST = 100  # of a bar's width


@dataclass(frozen=True, slots=True)
class DeviceBar:
    """A device, or neighbours that are equal: what runs on it, with measured bytes where they are
    known, else promised ones; the promise of each deployment below. ``key``: the (first) index,
    or host; ``alone``: of one device only.
    """

    key: str
    alone: bool
    name: str
    total_bytes: int | None
    used: tuple[Piece, ...]
    promised: tuple[Piece, ...]
    free_bytes: int | None
    promised_bytes: int
    shares: tuple[DeviceShare, ...]
    other_bytes: int | None


def view(
    visit: Visit,
    overview: Overview,
    history: Mapping[str, Sequence[float | None]],
    endpoint: str,
) -> View:
    """The page. ``history``: the last rates of each service."""
    deployments = [one for one in overview.services if one.kind == "deployment"]
    return View("here.html", {
        "title": "Here", "overview": overview, "history": history, "endpoint": endpoint,
        "devices": device_bars(overview.devices), "gateway": overview.gateway,
        "deployments": deployments,
        **free_bytes(overview.devices),
        "running": sum(one.state == "running" for one in deployments),
        "failed": sum(one.state == "failed" for one in deployments),
        "backends": [one for one in overview.services if one.kind == "backend"],
        "signature": signature(overview),
    })  # fmt: skip


def free_bytes(devices: Sequence[DeviceFigures]) -> Mapping[str, int | None]:
    """What is left, in all and on the emptiest GPU; None: not known."""
    free = {one.index: _free(one) for one in devices}
    gpus = [size or 0 for index, size in free.items() if index is not None]
    return {"gpus": len(gpus), "gpu_free": sum(gpus), "most_free": max(gpus, default=0),
            "host_free": free.get(None)}  # fmt: skip


def _free(device: DeviceFigures) -> int | None:
    if device.total_bytes is None or device.used_bytes is None:
        return None
    return device.total_bytes - max(device.used_bytes, device.own_bytes)


def signature(overview: Overview) -> str:
    """What of an overview decides which rows the page has: on another one it is loaded again."""
    return "|".join(f"{one.name}:{one.state}:{one.health}" for one in overview.services)


def device_bars(devices: Sequence[DeviceFigures]) -> list[DeviceBar]:
    """A bar per device; neighbours that look the same are one."""
    groups: list[tuple[list[int], tuple[object, ...], DeviceFigures]] = []
    for device in devices:
        look = _look(device)
        if device.index is not None and groups and groups[-1][1] == look:
            groups[-1][0].append(device.index)
        else:
            groups.append(([] if device.index is None else [device.index], look, device))
    return [device_bar(device, indices) for indices, _, device in groups]


def _look(device: DeviceFigures) -> tuple[object, ...]:
    """What the reader sees of a device; equal for GPUs that share the same deployments alike."""
    shares = [(one.deployment, gib(one.promised_bytes), gib(one.measured_bytes))
              for one in device.shares]  # fmt: skip
    return (device.name, gib(device.total_bytes), gib(device.used_bytes), *shares)


def device_bar(device: DeviceFigures, indices: Sequence[int]) -> DeviceBar:
    """The parts of one device; ``indices``: of all devices in the bar."""
    used = _seen([_piece(one) for one in device.shares], device.total_bytes or 0)
    if device.other_bytes:
        used.append(Piece("other", "other programs", device.other_bytes))
    promised = _seen(
        [Piece("promised", one.deployment, one.promised_bytes) for one in device.shares],
        device.total_bytes or 0,
    )
    free = None
    if device.total_bytes is not None:
        free = int(device.total_bytes - sum(piece.size for piece in used))
    key = "host" if device.index is None else f"{device.index}"
    return DeviceBar(
        key, len(indices) < 2, _label(device, indices), device.total_bytes, tuple(used),
        tuple(piece for piece in promised if piece.size), free, device.promised_bytes,
        device.shares, device.other_bytes,
    )  # fmt: skip


def _label(device: DeviceFigures, indices: Sequence[int]) -> str:
    if device.index is None:
        return "System memory"
    numbers = f"{indices[0]}–{indices[-1]}" if len(indices) > 1 else f"{device.index}"
    each = ", each" if len(indices) > 1 else ""
    return f"GPU {numbers} · {short_name(device.name)}{each}"


def _piece(share: DeviceShare) -> Piece:
    if share.measured_bytes is None:
        return Piece("expected", share.deployment, share.promised_bytes)
    return Piece("weights", share.deployment, share.measured_bytes)


def _seen(pieces: Sequence[Piece], total: int) -> list[Piece]:
    """The parts of a bar; those that would be too narrow to see are one."""
    small = [one for one in pieces if one.size < total / _SMALLEST]
    if len(small) < 2:
        return list(pieces)
    kind = small[0].kind if len({one.kind for one in small}) == 1 else "weights"
    together = Piece(kind, f"{len(small)} smaller deployments", sum(one.size for one in small))
    return [*(one for one in pieces if one not in small), together]
