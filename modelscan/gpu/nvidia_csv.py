"""``nvidia-smi --query-gpu=… --format=csv``, ``--query-compute-apps`` and ``-L``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from modelscan.core.gpu import GpuProcess, Problem
from modelscan.gpu.nvidia_build import Card, Slice, build
from modelscan.gpu.reading import (
    MAX_DEVICES,
    Reading,
    Refusal,
    index_of,
    lines_of,
    number,
    size_bytes,
    text_of,
)

SOURCE = "nvidia-smi"
QUERY = (
    "index,name,uuid,pci.bus_id,driver_version,memory.total,memory.reserved,memory.used,"
    "memory.free,compute_cap,utilization.gpu,mig.mode.current,clocks.max.memory"
)
MAX_CSV_LINE = 1 << 16  # every field there is makes lines of 8,000 characters
# What drivers before R510 know.
OLD_QUERY = "index,name,uuid,pci.bus_id,driver_version,memory.total,memory.used,memory.free"


def parse_csv(text: str) -> Reading:
    """Devices of a ``--query-gpu`` table with its header; raises Refusal."""
    rows = list(_rows(text))
    if not rows:
        raise Refusal("no_header", "the CSV has no header with a name and a memory column")
    cards = [_card(row, position) for position, row in enumerate(rows)]
    sliced = [c for c, row in zip(cards, rows, strict=True) if _in_mig_mode(row)]
    gpus, problems = build([card for card in cards if card not in sliced], SOURCE)
    problems += tuple(_mig_problem(card) for card in sliced)
    return Reading(SOURCE, gpus, problems, driver_version=cards[0].driver)


def with_header(text: str, command: str) -> str:
    """The table of ``--query-gpu=A,B --format=csv,noheader`` with the header it lacks."""
    asked = re.search(r"--query-gpu=([\w.,]{1,8000})", command)
    if not asked or not re.search(r"--format=\S*noheader", command):
        return text
    return asked.group(1).replace(",", ", ") + "\n" + text


def parse_apps(text: str) -> dict[str, tuple[GpuProcess, ...]]:
    """Processes of ``--query-compute-apps`` by the UUID of their GPU (or its bus id)."""
    found: dict[str, list[GpuProcess]] = {}
    for row in _table(text, {"pid"}):
        pid = number(row.get("pid"))
        where = row.get("gpu_uuid") or row.get("gpu_bus_id") or ""
        if pid is None:
            continue
        used = size_bytes(row.get("used_gpu_memory") or row.get("used_memory"), "MiB")
        process = GpuProcess(int(pid), text_of(row.get("process_name") or row.get("name")), used)
        found.setdefault(where, []).append(process)
    return {uuid: tuple(processes) for uuid, processes in found.items()}


def parse_list(text: str) -> Reading:
    """``nvidia-smi -L``: names, UUIDs and MIG profiles; no memory. Raises Refusal."""
    cards: list[Card] = []
    for line in lines_of(text):
        gpu = re.match(r"^GPU (\d{1,3}): (.{1,200}?) \(UUID: ([^)\s]{1,80})\)", line)
        mig = re.match(r"^\s+MIG (\S{1,40})\s+Device\s+(\d{1,2}): \(UUID: ([^)\s]{1,80})\)", line)
        if gpu and len(cards) < MAX_DEVICES:
            cards.append(Card(int(gpu.group(1)), text_of(gpu.group(2)), gpu.group(3)))
        elif mig and cards:
            cards[-1].slices.append(Slice(profile=mig.group(1), uuid=mig.group(3)))
    if not cards:
        raise Refusal("no_devices", "nvidia-smi -L lists no device")
    gpus, problems = build(cards, SOURCE)
    return Reading(SOURCE, gpus, problems)


def _rows(text: str) -> Iterator[dict[str, str]]:
    return _table(text, {"name"}, {"memory.total", "uuid", "index"})


def _table(text: str, *needed: set[str]) -> Iterator[dict[str, str]]:
    """Rows as dictionaries by lower-case column without unit, after the first fitting header."""
    header: list[str] | None = None
    count = 0
    for line in lines_of(text, MAX_CSV_LINE):
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True), [])]
        if header is None:
            names = [re.sub(r"\s*\[[^\]]*\]$", "", cell).lower() for cell in cells]
            if len(names) > 1 and all(group & set(names) for group in needed):
                header = names
        elif len(cells) == len(header) and count < MAX_DEVICES:
            count += 1
            yield dict(zip(header, cells, strict=True))


def _in_mig_mode(row: dict[str, str]) -> bool:
    return row.get("mig.mode.current") == "Enabled"


def _mig_problem(card: Card) -> Problem:
    return Problem(
        "mig_not_listed",
        f"GPU {card.index} is in MIG mode; its instances, which are what can be used, are not told",
        "nvidia-smi -L lists them",
    )


def _card(row: dict[str, str], position: int) -> Card:
    capability = row.get("compute_cap", "")
    return Card(
        index=index_of(row.get("index"), position),
        name=text_of(row.get("name")),
        uuid=text_of(row.get("uuid")),
        bus=text_of(row.get("pci.bus_id")),
        total=size_bytes(row.get("memory.total"), "MiB"),
        used=size_bytes(row.get("memory.used"), "MiB"),
        free=size_bytes(row.get("memory.free"), "MiB"),
        reserved=size_bytes(row.get("memory.reserved"), "MiB"),
        said=row.get("memory.total", ""),
        capability=capability if re.match(r"^\d{1,2}\.\d$", capability) else None,
        driver=text_of(row.get("driver_version")),
        utilization=number(row.get("utilization.gpu")),
        memory_clock=number(row.get("clocks.max.memory")),
    )
