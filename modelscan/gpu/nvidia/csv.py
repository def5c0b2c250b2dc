"""Parser of ``nvidia-smi --query-gpu=… --format=csv``, ``--query-compute-apps`` and ``-L``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from modelscan.core.gpu import GpuProcess, Problem
from modelscan.gpu.nvidia.build import CardReport, Slice, build
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    index_of,
    lines_of,
    number,
    pci_address,
    size_bytes,
    text_of,
)

SOURCE = "nvidia-smi"
QUERY = (
    "index,name,uuid,pci.bus_id,driver_version,memory.total,memory.reserved,memory.used,"
    "memory.free,compute_cap,utilization.gpu,mig.mode.current,clocks.max.memory"
)
# nvidia-smi accepts both spellings of a field and prints the requested one.
_ALSO = {"gpu_name": "name", "gpu_uuid": "uuid", "gpu_bus_id": "pci.bus_id"}
MAX_CSV_LINE = 1 << 16  # a query of all fields has lines of 8,000 characters
APPS = ("--query-compute-apps=gpu_uuid,pid,process_name,used_gpu_memory", "--format=csv")
# The fields of drivers before R510.
OLD_QUERY = "index,name,uuid,pci.bus_id,driver_version,memory.total,memory.used,memory.free"


def parse_csv(text: str) -> Reading:
    """Parse a ``--query-gpu`` table with its header. Raises ParseError."""
    rows = _latest(_rows(text))
    if not rows:
        raise _refusal(text)
    cards = [_card(row, position) for position, row in enumerate(rows)]
    sliced = [c for c, row in zip(cards, rows, strict=True) if _in_mig_mode(row)]
    gpus, problems = build([card for card in cards if card not in sliced], SOURCE)
    problems += tuple(_mig_problem(card) for card in sliced)
    return Reading(SOURCE, gpus, problems, driver_version=cards[0].driver)


def with_header(text: str, command: str) -> str:
    """Add the missing header to a table of ``--query-gpu=A,B --format=csv,noheader``."""
    query = re.search(r"--query-gpu=([\w.,]{1,8000})", command)
    if not query or not re.search(r"--format=\S*noheader", command):
        return text
    return query.group(1).replace(",", ", ") + "\n" + text


def parse_apps(text: str) -> dict[str, tuple[GpuProcess, ...]]:
    """Processes from ``--query-compute-apps``, by the UUID of their GPU (or its bus id)."""
    processes_by_gpu: dict[str, list[GpuProcess]] = {}
    for row in _table(text, {"pid"}):
        pid = number(row.get("pid"))
        where = row.get("gpu_uuid") or row.get("gpu_bus_id") or ""
        if pid is None:
            continue
        used = size_bytes(row.get("used_gpu_memory") or row.get("used_memory"), "MiB")
        process = GpuProcess(int(pid), text_of(row.get("process_name") or row.get("name")), used)
        processes_by_gpu.setdefault(where, []).append(process)
    return {uuid: tuple(processes) for uuid, processes in processes_by_gpu.items()}


def parse_list(text: str) -> Reading:
    """Parse ``nvidia-smi -L``: names, UUIDs and MIG profiles; no memory. Raises ParseError."""
    cards: list[CardReport] = []
    for line in lines_of(text):
        gpu = re.match(r"^GPU (\d{1,3}): (.{1,200}?) \(UUID: ([^)\s]{1,80})\)", line)
        lost = re.match(r"^GPU (\d{1,3}): (Unable to .{1,200}|.{0,80}(?:Error|lost).{0,80})$", line)
        mig = re.match(r"^\s+MIG (\S{1,40})\s+Device\s+(\d{1,2}): \(UUID: ([^)\s]{1,80})\)", line)
        if gpu and len(cards) < MAX_DEVICES:
            cards.append(CardReport(int(gpu.group(1)), text_of(gpu.group(2)), gpu.group(3)))
        elif mig and cards:
            cards[-1].slices.append(Slice(profile=mig.group(1), uuid=mig.group(3)))
        elif lost and len(cards) < MAX_DEVICES:
            cards.append(CardReport(int(lost.group(1)), memory_text=lost.group(2)))
    if not cards:
        raise ParseError("no_devices", "nvidia-smi -L lists no device")
    gpus, problems = build(cards, SOURCE)
    return Reading(SOURCE, gpus, problems)


def _refusal(text: str) -> ParseError:
    field = re.search(r'Field "([^"\n]{1,80})" is not a valid field to query', text[:20_000])
    if field:
        message = f"this nvidia-smi does not support the field {field.group(1)}"
        return ParseError("unknown_field", message, "nvidia-smi --help-query-gpu")
    if parse_apps(text):
        return ParseError(
            "processes_only", "the CSV lists processes, not devices", "nvidia-smi -q -x"
        )
    return ParseError("no_header", "the CSV has no header with a name and a memory column")


def _latest(rows: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    """The last row of each device; with ``-l`` the table is repeated."""
    latest: dict[object, dict[str, str]] = {}
    for position, row in enumerate(rows):
        number_here = row.get("index", "")
        key = number_here if number_here.isdecimal() else pci_address(row.get("pci.bus_id"))
        latest[key or position] = row
    return list(latest.values())


def _rows(text: str) -> Iterator[dict[str, str]]:
    return _table(text, {"name"}, {"memory.total", "uuid", "index"}, names=_ALSO)


def _table(
    text: str, *needed: set[str], names: Mapping[str, str] = MappingProxyType({})
) -> Iterator[dict[str, str]]:
    """Rows as dictionaries by lower-case column name without unit, after the first matching header.

    ``names`` are other spellings of columns; with them, a table of processes is not accepted as one
    of devices.
    """
    header: list[str] | None = None
    count = 0
    for line in lines_of(text, MAX_CSV_LINE):
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True), [])]
        if header is None:
            columns = [re.sub(r"\s{0,8}\[[^\]]{0,40}\]$", "", cell).lower() for cell in cells]
            columns = [names.get(cell, cell) for cell in columns]
            fits = len(columns) > 1 and all(group & set(columns) for group in needed)
            if fits and not (names and "pid" in columns):
                header = columns
        elif len(cells) == len(header) and count < MAX_DEVICES:
            count += 1
            yield dict(zip(header, cells, strict=True))


def _in_mig_mode(row: dict[str, str]) -> bool:
    return row.get("mig.mode.current") == "Enabled"


def _mig_problem(card: CardReport) -> Problem:
    return Problem(
        "mig_not_listed",
        f"GPU {card.index} is in MIG mode; this output does not list its instances",
        "list them with nvidia-smi -L",
    )


def _card(row: dict[str, str], position: int) -> CardReport:
    capability = row.get("compute_cap", "")
    return CardReport(
        index=index_of(row.get("index"), position),
        name=text_of(row.get("name")),
        uuid=text_of(row.get("uuid")),
        bus=text_of(row.get("pci.bus_id")),
        total=size_bytes(row.get("memory.total"), "MiB"),
        used=size_bytes(row.get("memory.used"), "MiB"),
        free=size_bytes(row.get("memory.free"), "MiB"),
        reserved=size_bytes(row.get("memory.reserved"), "MiB"),
        memory_text=row.get("memory.total", ""),
        capability=capability if re.match(r"^\d{1,2}\.\d$", capability) else None,
        driver=text_of(row.get("driver_version")),
        utilization=number(row.get("utilization.gpu")),
        memory_clock=number(row.get("clocks.max.memory")),
    )
