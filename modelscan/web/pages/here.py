"""Here: what runs on this machine, and how much memory is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscan.gateway.top.overview import DeviceFigures, Overview, TopRow
from modelscan.web.charts.bar import Piece
from modelscan.web.visit import View, Visit

_ALIKE = 4


@dataclass(frozen=True, slots=True)
class DeviceBar:
    """A device: what runs on it, with measured bytes where they are known, else promised ones."""

    key: str
    name: str
    total_bytes: int | None
    used: tuple[Piece, ...]
    promised: tuple[Piece, ...]
    free_bytes: int | None
    promised_bytes: int


def view(
    visit: Visit,
    overview: Overview,
    history: Mapping[str, Sequence[float | None]],
    endpoint: str,
) -> View:
    """The page. ``history``: the last rates of each service."""
    return View("here.html", {
        "title": "Here", "overview": overview, "history": history, "endpoint": endpoint,
        "devices": [device_bar(one, overview.services) for one in overview.devices],
        "deployments": [one for one in overview.services if one.kind == "deployment"],
        "backends": [one for one in overview.services if one.kind == "backend"],
        "signature": signature(overview),
    })  # fmt: skip


def signature(overview: Overview) -> str:
    """What of an overview decides which rows the page has: on another one it is loaded again."""
    return "|".join(f"{one.name}:{one.state}:{one.health}" for one in overview.services)


def device_bar(device: DeviceFigures, services: Sequence[TopRow]) -> DeviceBar:
    """The parts of one device."""
    mine = [one for one in services if _runs_on(one, device.index)]
    used, known = [], 0
    for row in mine:
        size = row.measured_bytes or row.promised_bytes
        if size and len(row.gpus) < 2:
            used.append(Piece("weights", row.name, size))
            known += size
    others = max(0, (device.used_bytes or 0) - known)
    if others:
        used.append(Piece("other", "other programs", others))
    promised = [
        Piece("promised", row.name, row.promised_bytes)
        for row in mine
        if row.promised_bytes and len(row.gpus) < 2
    ]
    total = sum(piece.size for piece in used)
    free = None if device.total_bytes is None else int(device.total_bytes - total)
    label = "System memory" if device.index is None else f"GPU {device.index} · {device.name}"
    return DeviceBar(
        "host" if device.index is None else str(device.index), label, device.total_bytes,
        tuple(used), tuple(promised), free, device.promised_bytes,
    )  # fmt: skip


def _runs_on(row: TopRow, index: int | None) -> bool:
    if row.kind != "deployment" or row.state not in ("running", "starting"):
        return False
    return index in row.gpus if index is not None else not row.gpus
