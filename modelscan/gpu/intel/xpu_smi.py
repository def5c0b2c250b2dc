"""Parser of ``xpu-smi``: discovery in JSON and text, statistics, dumps, the topology matrix."""

from __future__ import annotations

import re
from typing import Any

from modelscan.core.gpu import Gpu, GpuProcess, Link, Problem
from modelscan.gpu.nvidia.table import link_kind
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    dicts,
    free_of,
    index_of,
    is_help,
    json_in,
    lines_of,
    number,
    pci_address,
    size_bytes,
    text_of,
)

SOURCE = "xpu-smi"
Device = dict[str, Any]


def parse_json(text: str) -> Reading:
    """Parse ``discovery -j`` (no memory), ``discovery -d N -j`` and ``stats -d N -j``.

    Raises ParseError.
    """
    try:
        document = json_in(text, SOURCE)
    except ParseError as refusal:
        raise complaint(text) or refusal from None
    listed = (
        document.get("device_list", document.get("datas")) if isinstance(document, dict) else None
    )
    devices = list(dicts(listed if listed is not None else document))
    devices = [d for d in devices if "device_id" in d or "device_name" in d]
    if isinstance(document, dict) and "device_util_by_proc_list" in document:
        devices = _users(list(dicts(document["device_util_by_proc_list"])))
    if isinstance(document, dict) and "error" in document and not devices:
        raise ParseError("tool_failed", f"xpu-smi reports: {text_of(document['error'])}")
    for device in devices:
        _add_statistics(device)
    return _reading(devices)


def parse_text(text: str) -> Reading:
    """Parse two-column tables, CSV of ``dump`` and the matrix of ``topology -m``.

    Raises ParseError.
    """
    if is_help(text):
        message = "this is xpu-smi's help text, not a list of devices"
        raise ParseError("help_text", message, "run it by hand: xpu-smi discovery")
    head = text[:20_000]
    if re.search(r"^Timestamp,\s*DeviceId|^\"?Device ID\"?,", head, re.MULTILINE):
        return _reading(_dump(text))
    if re.search(r"GPU \d+/\d+\b", head) and "CPU Affinity" in head:
        return _matrix(text)
    devices = _process_table(text) if re.search(r"^PID\s+Command", head, re.M) else _table(text)
    if not devices:
        raise complaint(text) or ParseError("no_devices", "xpu-smi lists no device")
    return _reading(devices)


def complaint(text: str) -> ParseError | None:
    """The ParseError for an error message of xpu-smi, or None."""
    lowered = text[:20_000].lower()
    if "permission" in lowered or "access denied" in lowered:
        hint = "sudo usermod -aG render $USER, then log in again"
        message = "no permission to open the Intel devices"
        return ParseError("no_permission", message, hint)
    if "xpum service" in lowered or "xpum is not initialized" in lowered:
        message = "the service that xpu-smi needs (xpum) does not respond"
        return ParseError("driver_not_running", message, "sudo systemctl restart xpum")
    failed = (
        r"(fail|unable|cannot|error)[^\n]{0,80}level zero|level zero[^\n]{0,80}(fail|error|not )"
    )
    if re.search(failed, lowered) or "no device" in lowered:
        hint = "ls -l /dev/dri; install the driver's level-zero and compute-runtime packages"
        return ParseError("no_devices", "xpu-smi found no device (Level Zero)", hint)
    return None


def _users(rows: list[Device]) -> list[Device]:
    """Devices from the rows of ``ps``, one per process and device."""
    devices: dict[int, Device] = {}
    for row in rows[: MAX_DEVICES * 8]:
        index = index_of(row.get("device_id"), 0)
        device = devices.setdefault(index, {"device_id": index, "processes": []})
        device["processes"].append(row)
    return list(devices.values())


def _process_table(text: str) -> list[Device]:
    """Devices from ``PID  Command  DeviceID  SHR  MEM`` rows; memory is in kB."""
    rows = []
    for line in lines_of(text):
        match = re.match(
            r"^(\d{1,10})\s+(\S{1,80})\s+(\d{1,3})\s+(\d{1,12})\s+(\d{1,12})\s*$", line
        )
        if match:
            pid, name, device, _, used = match.groups()
            row = {"process_id": pid, "process_name": name, "device_id": device, "mem_size": used}
            rows.append(row)
    return _users(rows)


def _processes(device: Device) -> tuple[GpuProcess, ...]:
    processes = []
    for row in dicts(device.get("processes") or []):
        pid = number(row.get("process_id"))
        if pid is not None and pid >= 0:
            used = size_bytes(row.get("mem_size"), "kB")
            processes.append(GpuProcess(int(pid), text_of(row.get("process_name")), used))
    return tuple(processes)


def _table(text: str) -> list[Device]:
    """Devices from ``| 0 | Device Name: … |`` rows; an empty first cell continues the device.

    Statistics have the name in the first cell: ``| GPU Memory Used (MiB) | 123 |``.
    """
    devices: dict[int, Device] = {}
    current: Device | None = None
    for line in lines_of(text):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) < 2:
            continue
        first, second = cells[0], cells[1]
        if first == "Group ID":  # these numbers are not device ids
            break
        if first.lower() == "device id" and re.match(r"^\d{1,3}$", second):
            first, second = second, ""
        elif first == "GPU" and re.match(r"^\d{1,3}$", second):
            first, second = second, cells[2] if len(cells) > 2 else ""
        if re.match(r"^\d{1,3}$", first) and len(devices) < MAX_DEVICES:
            current = devices.setdefault(int(first), {"device_id": int(first)})
            first = ""
        if current is None:
            continue
        key, _, value = (second if not first else f"{first}:{second}").partition(":")
        current.setdefault(_key(key), value.strip())
    return list(devices.values())


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def _dump(text: str) -> list[Device]:
    """Devices from rows by time; the last row of each device is used."""
    header: list[str] = []
    devices: dict[int, Device] = {}
    for line in lines_of(text):
        cells = [cell.strip() for cell in line.split(",")]
        cells = [cell.strip('"') for cell in cells]
        if cells[0] in ("Timestamp", "Device ID"):
            header = [_key(cell) for cell in cells]
        elif header and len(cells) == len(header):
            row = dict(zip(header, cells, strict=True))
            index = index_of(row.get("deviceid", row.get("device_id")), -1)
            if index >= 0 and len(devices) < MAX_DEVICES:
                devices[index] = {**row, "device_id": index}
    return list(devices.values())


def _matrix(text: str) -> Reading:
    """Devices and links of ``topology -m``: GPU a/b are tiles; the best link of two cards' tiles
    is used.
    """
    links: dict[tuple[int, int], str] = {}
    header: list[int] = []
    indices: set[int] = set()
    for line in lines_of(text):
        line = line.replace("|", " ")
        row = re.match(r"^\s*GPU (\d{1,3})/\d{1,3}\s+(.*)$", line)
        if not row or re.match(r"^GPU \d", row.group(2).strip()):
            cards = re.findall(r"GPU (\d{1,3})/\d{1,3}", line)
            header = [int(one) for one in cards] or header
            continue
        first = int(row.group(1))
        indices.add(first)
        for second, cell in zip(header, row.group(2).split(), strict=False):
            if first < second and len(links) < MAX_DEVICES:
                better = links.get((first, second)) == "xelink"
                links[first, second] = "xelink" if better else link_kind(cell)
    if not indices:
        raise ParseError("no_devices", "the topology lists no device")
    reading = _reading([{"device_id": index} for index in sorted(indices)])
    joined = tuple(Link(a, b, kind) for (a, b), kind in links.items())
    return Reading(SOURCE, reading.gpus, reading.problems, joined)


def _add_statistics(device: Device) -> None:
    for item in dicts(device.get("device_level") or []):
        kind = str(item.get("metrics_type"))
        if kind == "XPUM_STATS_MEMORY_USED":
            device.setdefault("gpu_memory_used_mib", item.get("value", item.get("avg")))
        elif kind == "XPUM_STATS_GPU_UTILIZATION":
            device.setdefault("gpu_utilization", item.get("value", item.get("avg")))


def _reading(devices: list[Device]) -> Reading:
    if not devices:
        raise ParseError("no_devices", "xpu-smi lists no device")
    gpus = tuple(_gpu(device, i) for i, device in enumerate(devices[:MAX_DEVICES]))
    problems: tuple[Problem, ...] = ()
    if all(gpu.memory_bytes is None for gpu in gpus):
        hint = "xpu-smi discovery -d 0 -j"
        problems = (
            Problem("no_memory", "this xpu-smi output does not contain the memory size", hint),
        )
    return Reading(SOURCE, gpus, problems, driver_version=gpus[0].driver_version)


def _gpu(device: Device, position: int) -> Gpu:
    total = size_bytes(device.get("memory_physical_size_byte"))
    if total is None:
        total = size_bytes(device.get("memory_physical_size"), "MiB")
    used = size_bytes(_of_tiles(device.get("gpu_memory_used_mib")), "MiB")
    free = size_bytes(device.get("memory_free_size_byte"))
    if free is None:
        free = size_bytes(device.get("memory_free_size"), "MiB")
    index = index_of(device.get("device_id"), position)
    pci_id = re.match(r"^0x([0-9a-fA-F]{2,4})$", str(device.get("pci_device_id") or ""))
    return Gpu(
        index=index, name=_name(device), vendor="intel", memory_bytes=total,
        free_bytes=free if free is not None else free_of(total, used), source=SOURCE,
        uuid=text_of(device.get("uuid")), used_bytes=used,
        driver_version=text_of(device.get("driver_version")),
        pci_bus_id=pci_address(device.get("pci_bdf_address")), vendor_index=index,
        pci_device_id=f"0x{int(pci_id.group(1), 16):04x}" if pci_id else None,
        processes=_processes(device),
        utilization_percent=number(device.get("gpu_utilization") or device.get("gpu_utilization_")),
    )  # fmt: skip


def _of_tiles(value: Any) -> Any:
    """The sum of ``Tile 0: 28; Tile 1: 26``; a value for the whole device unchanged."""
    parts = (
        re.findall(r"Tile \d{1,2}: (\d{1,9}(?:\.\d{1,4})?)", value)
        if isinstance(value, str)
        else []
    )
    return sum(map(float, parts)) if parts else value


def _name(device: Device) -> str:
    word = text_of(device.get("device_name")) or "Intel GPU"
    return re.sub(r"\((R|TM|C)\)", "", word).strip()
