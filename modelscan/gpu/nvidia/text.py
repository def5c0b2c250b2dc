"""Parser of ``nvidia-smi -q`` text: sections by indentation, values after the colon."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelscan.core.gpu import GpuProcess
from modelscan.gpu.nvidia.build import CardReport, Slice, build
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    lines_of,
    number,
    size_bytes,
    text_of,
)

SOURCE = "nvidia-smi"
Pair = tuple[tuple[str, ...], str]  # (sections and key, value)


def parse_query(text: str) -> Reading:
    """Parse ``nvidia-smi -q``. Raises ParseError."""
    driver = None
    cards: list[CardReport] = []
    block: list[str] = []
    heading = ""
    for line in [*lines_of(text), "GPU end"]:
        if line.startswith("GPU ") and len(cards) < MAX_DEVICES:
            if heading:
                cards.append(_card(heading, block, len(cards), driver))
            heading, block = line[4:].strip(), []
        elif heading:
            block.append(line)
        else:
            match = re.match(r"^Driver Version\s{0,80}:\s(.{1,40})$", line)
            driver = text_of(match.group(1)) if match else driver
    if not cards:
        raise ParseError("no_devices", "nvidia-smi -q lists no device")
    gpus, problems = build(cards, SOURCE)
    return Reading(SOURCE, gpus, problems, driver_version=driver)


def pairs(lines: list[str]) -> Iterator[Pair]:
    """Each ``key : value`` with its sections; a section is a pair without a value."""
    stack: list[tuple[int, str]] = []
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while stack and stack[-1][0] >= indent:
            stack.pop()
        key, colon, value = (part.strip() for part in line.partition(" : "))
        if not colon:
            key = line.strip().rstrip(":").strip()
        path = (*(name for _, name in stack), key)
        if len(stack) < 32:
            stack.append((indent, key))
        yield path, value


def _card(heading: str, lines: list[str], position: int, driver: str | None) -> CardReport:
    values: dict[tuple[str, ...], str] = {}
    listed = list(pairs(lines))
    for path, value in listed:
        values.setdefault(path, value)
    memory = {key: values.get(("FB Memory Usage", key)) for key in ("Total", "Used", "Free",
                                                                  "Reserved")}  # fmt: skip
    device = re.match(r"^0x([0-9A-Fa-f]{4})10DE$", values.get(("PCI", "Device Id"), ""))
    return CardReport(
        index=position,
        name=text_of(values.get(("Product Name",))),
        uuid=text_of(values.get(("GPU UUID",))),
        bus=heading,
        total=size_bytes(memory["Total"], "MiB"),
        used=size_bytes(memory["Used"], "MiB"),
        free=size_bytes(memory["Free"], "MiB"),
        reserved=size_bytes(memory["Reserved"], "MiB"),
        memory_text=memory["Total"] or "",
        driver=driver,
        utilization=number(
            values.get(("Utilization", "GPU")) or values.get(("Utilization", "Gpu"))
        ),
        pci_device_id=f"0x{device.group(1).lower()}" if device else None,
        memory_clock=number(values.get(("Max Clocks", "Memory"))),
        mig_enabled=values.get(("MIG Mode", "Current")) == "Enabled",
        slices=_slices(listed),
        processes=_processes(listed),
    )


def _slices(listed: list[Pair]) -> list[Slice]:
    slices: list[Slice] = []
    for path, value in listed:
        if path == ("MIG Device",):
            slices.append(Slice())
        elif slices and path[0] == "MIG Device":
            part, rest = slices[-1], path[1:]
            if rest == ("GPU Instance ID",):
                part.gpu_instance = _int(value)
            elif rest == ("Compute Instance ID",):
                part.compute_instance = _int(value)
            elif rest[-1] == "Multiprocessor count":
                part.multiprocessors = _int(value)
            elif len(rest) == 2 and "FB Memory" in rest[0] and rest[1] in _MEMORY_KEYS:
                setattr(part, _MEMORY_KEYS[rest[1]], size_bytes(value, "MiB"))
    return slices


_MEMORY_KEYS = {"Total": "total", "Used": "used", "Free": "free"}


def _processes(listed: list[Pair]) -> list[tuple[GpuProcess, int | None]]:
    processes: list[tuple[GpuProcess, int | None]] = []
    instance: int | None = None
    for path, value in listed:
        if path[0] != "Processes" or len(path) < 2:
            continue
        key = path[-1]
        if key == "GPU instance ID":
            instance = _int(value)
        elif key == "Process ID" and _int(value) is not None:
            processes.append((GpuProcess(_int(value) or 0, None, None), instance))
        elif processes and key == "Name":
            last = processes[-1][0]
            processes[-1] = (GpuProcess(last.pid, text_of(value), last.memory_bytes), instance)
        elif processes and key == "Used GPU Memory":
            last = processes[-1][0]
            processes[-1] = (GpuProcess(last.pid, last.name, size_bytes(value, "MiB")), instance)
    return processes


def _int(text: str | None) -> int | None:
    amount = number(text)
    return None if amount is None else int(amount)
