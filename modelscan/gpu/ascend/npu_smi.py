"""Parser of ``npu-smi info`` (Huawei Ascend): a table with two lines per chip."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from modelscan.core.gpu import Gpu, GpuProcess, Problem
from modelscan.core.units import MIB
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    free_of,
    is_nothing,
    lines_of,
    pci_address,
    text_of,
)

SOURCE = "npu-smi"
_VERSION = re.compile(r"Version:\s*([\w.]{1,30})")
_PAIR = re.compile(r"(\d{1,9})\s{0,6}/\s{0,6}(\d{1,9})")


@dataclass(slots=True)
class Chip:
    """One chip: npu-smi's card number, and the chip's number on the card."""

    card: int
    chip: int
    name: str
    health: str | None
    bus: str | None
    total: int | None
    used: int | None
    processes: list[GpuProcess] = field(default_factory=list)


def parse_info(text: str) -> Reading:
    """Parse ``npu-smi info`` of versions 22 to 25, one or two chips per card. Raises ParseError."""
    chips = _chips(text)
    if not chips:
        raise complaint(text) or ParseError("no_devices", "npu-smi lists no device")
    version = _VERSION.search(text)
    release = version.group(1) if version else None
    listed = [chip for chip in chips if _healthy(chip) or chip.total]
    gpus = tuple(_gpu(chip, i, release) for i, chip in enumerate(chips) if chip in listed)
    problems = tuple(_problem(chip, chip in listed) for chip in chips if not _healthy(chip))
    return Reading(SOURCE, gpus, problems, driver_version=release)


def _chips(text: str) -> list[Chip]:
    """All chips of the table, with the processes listed below it."""
    chips: list[Chip] = []
    card: tuple[int, str, str] | None = None
    for line in lines_of(text):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) < 3 or _add_process(cells, chips):
            continue
        if card is None or not _is_chip(cells):
            card = _card(cells) or card
        elif len(chips) < MAX_DEVICES:
            chips.append(_chip(card, cells))
    return chips


def _card(cells: list[str]) -> tuple[int, str, str] | None:
    """The first line of a card: number, name and health; None for any other line."""
    match = re.match(r"^(\d{1,4})\s+([A-Za-z0-9][\w -]{0,60})$", cells[0])
    return (int(match.group(1)), match.group(2).strip(), cells[1]) if match else None


def _is_chip(cells: list[str]) -> bool:
    """True for the second line of a chip: its number and its PCI address (NA if it has none)."""
    on_no_bus = is_nothing(cells[1]) and re.match(r"^\d{1,3}(\s+\d{1,3})?$", cells[0])
    return pci_address(cells[1]) is not None or bool(on_no_bus)


def _healthy(chip: Chip) -> bool:
    return chip.health not in ("Alarm", "Critical", "UNKNOWN")


def _problem(chip: Chip, listed: bool) -> Problem:
    """A chip with an alarm may still work; one without a memory size is excluded."""
    where = f"NPU {chip.card} chip {chip.chip}" + (f" ({chip.bus})" if chip.bus else "")
    return Problem(
        "unhealthy_gpu" if listed else "broken_gpu",
        f"{where} reports its health as {chip.health}"
        + ("" if listed else "; it is excluded"),
        f"npu-smi info -t health -i {chip.card}",
    )  # fmt: skip


def _chip(card: tuple[int, str, str], cells: list[str]) -> Chip:
    """The chip; its memory is the last ``used / total`` other than ``0 / 0``: HBM if it has any."""
    pairs = [(int(a), int(b)) for a, b in _PAIR.findall(cells[-1])]
    sized = [pair for pair in pairs if pair[1] > 0]
    used, total = sized[-1] if sized else (None, None)
    number, name, health = card
    chip = re.match(r"^\d{1,3}", cells[0])
    return Chip(
        number, int(chip.group()) if chip else 0, name, text_of(health), pci_address(cells[1]),
        None if total is None else total * MIB, None if used is None else used * MIB,
    )  # fmt: skip


def _gpu(chip: Chip, index: int, version: str | None) -> Gpu:
    name = chip.name if chip.name.startswith("Ascend") else f"Ascend {chip.name}"
    return Gpu(
        index=index, name=name, vendor="ascend", memory_bytes=chip.total,
        free_bytes=free_of(chip.total, chip.used), source=SOURCE, used_bytes=chip.used,
        driver_version=version, vendor_index=index, pci_bus_id=chip.bus,
        processes=tuple(chip.processes),
    )  # fmt: skip


def _add_process(cells: list[str], chips: list[Chip]) -> bool:
    """Add a process row: ``| 0  0 | 12345 | python | 3210 |`` is card and chip, pid, name, MiB.

    Since version 26 there is another column with the pid in the container.
    """
    if len(cells) < 4 or not re.match(r"^\d{1,10}$", cells[1]):
        return False
    head = re.match(r"^(\d{1,4})\s+(\d{1,3})$", cells[0])
    used = re.match(r"^\d{1,9}$", cells[3])
    if not head or not used:
        return False
    for chip in chips:
        if (chip.card, chip.chip) == (int(head.group(1)), int(head.group(2))):
            pid, name = int(cells[1]), text_of(cells[2])
            chip.processes.append(GpuProcess(pid, name, int(used.group()) * MIB))
    return True


def complaint(text: str) -> ParseError | None:
    """The ParseError for an error message of npu-smi, or None."""
    if not re.search(r"\bdcmi\b|\bDrvMng|ascend_hal|drv_log", text[:20_000], re.IGNORECASE):
        return None
    message = "npu-smi cannot connect to the Ascend driver (DCMI)"
    return ParseError("driver_not_running", message, "ls -l /dev/davinci*; npu-smi info -m")
