"""Parser of ``amd-smi`` static, metric, list and monitor: JSON (a list, or ``gpu_data``), text,
tables.
"""

from __future__ import annotations

import csv
import re
from dataclasses import fields, replace
from typing import Any

from modelscan.core.gpu import Gpu, GpuProcess, Link, Problem
from modelscan.gpu.amd import amd_smi_box
from modelscan.gpu.amd.names import is_apu, is_tiny, product_name
from modelscan.gpu.amd.partitions import partitioned
from modelscan.gpu.amd.rocm_smi import complaint, with_preamble
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    as_dict,
    dicts,
    free_of,
    index_of,
    is_nothing,
    json_in,
    lines_of,
    number,
    pci_address,
    size_bytes,
    text_of,
)

SOURCE = "amd-smi"
Device = dict[str, Any]


def parse_json(text: str) -> Reading:
    """Parse ``amd-smi … --json`` output about devices. Raises ParseError."""
    try:
        document = json_in(text, SOURCE)
    except ParseError as refusal:
        raise complaint(text) or refusal from None
    if isinstance(document, dict):
        message = text_of(document.get("error"))
        if message is not None:
            raise complaint(message) or ParseError("tool_failed", f"amd-smi reports: {message}")
        lists = [value for value in document.values() if isinstance(value, list)]
        document = document.get("gpu_data", document.get("gpus", lists[0] if lists else document))
    devices = [d for d in dicts(document) if {"gpu", "gpu_id", "asic", "mem_usage"} & set(d)]
    return with_preamble(_reading(devices), text)


def parse_text(text: str) -> Reading:
    """Parse output without ``--json``: ``GPU: 0``, then indented ``KEY: value``; or a table."""
    devices: list[Device] = []
    stack: list[tuple[int, Device]] = []
    for line in lines_of(text):
        head = re.match(r"^GPU:\s{0,8}(\d{1,3})\s*$", line)
        if head:
            if len(devices) >= MAX_DEVICES:
                break
            devices.append({"gpu": int(head.group(1))})
            stack = [(0, devices[-1])]
            continue
        pair = re.match(r"^(\s{1,64})([A-Za-z][A-Za-z0-9_ ./-]{0,60}):\s*(.*)$", line)
        if not pair or not stack:
            continue
        indent, key, value = len(pair.group(1)), pair.group(2).strip().lower(), pair.group(3)
        while len(stack) > 1 and stack[-1][0] >= indent:
            stack.pop()
        if value.strip():
            stack[-1][1].setdefault(key, value.strip())
        elif len(stack) < 16:
            child: Device = {}
            if key == "process_info":
                stack[-1][1].setdefault("process_list", []).append(child)
            stack[-1][1].setdefault(key, child)
            stack.append((indent, child))
    return _reading(devices) if devices else parse_tables(text)


def parse_tables(text: str) -> Reading:
    """Parse formats without ``GPU: N`` blocks: CSV, the default box, matrices, plain tables."""
    if re.search(r"^gpu,", text[:20_000], re.MULTILINE):
        return parse_csv(text)
    if re.search(r"^\| AMD-SMI|^\| BDF\s{1,40}GPU-Name", text[:20_000], re.MULTILINE):
        return amd_smi_box.parse_box(text)
    if re.search(r"^[A-Z ]{3,40} TABLE:", text[:20_000], re.MULTILINE):
        return amd_smi_box.parse_matrix(text)
    return parse_table(text)


def parse_csv(text: str) -> Reading:
    """Parse ``amd-smi … --csv``: sections are flat, sizes are in MB without a unit.

    Raises ParseError.
    """
    header: list[str] = []
    devices: dict[int, Device] = {}
    for line in lines_of(text):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if cells and cells[0].lower() == "gpu":
            header = [cell.lower() for cell in cells]
        elif header and len(cells) == len(header) and cells[0].isdecimal():
            row = dict(zip(header, cells, strict=True))
            if len(devices) < MAX_DEVICES:
                flat = {**row, "asic": row, "vram": row, "usage": row, "gpu": int(cells[0])}
                devices.setdefault(int(cells[0]), flat)
    if not devices:
        raise complaint(text) or ParseError("no_devices", "amd-smi lists no device")
    return _reading(list(devices.values()))


def parse_table(text: str) -> Reading:
    """Parse ``amd-smi monitor`` and ``partition``: a header row with GPU, then one row per
    device.
    """
    header: list[str] = []
    devices: list[Device] = []
    for line in lines_of(text):
        words = line.split()
        if not header and {"GPU", "GPU_ID"} & set(words) and len(words) > 1:
            header = [word.lower() for word in words]
        elif header and words and words[0].isdecimal() and len(devices) < MAX_DEVICES:
            devices.append(_row(header, line))
    if not devices:
        raise complaint(text) or ParseError("no_devices", "amd-smi lists no device")
    return _reading(devices)


def _row(header: list[str], line: str) -> Device:
    """A device from a row: cells are values with a unit (``0 %``, ``196592 MB``) or N/A."""
    cells = re.findall(r"N/A|\d[\d./]*(?:\s?(?:%|°?[A-Za-z]{1,3}\b))?", line)
    device: Device = {"gpu": cells[0] if cells else None}
    if len(cells) == len(header):
        row = dict(zip(header, cells, strict=True))
        total, used = row.get("vram_total"), row.get("vram_used")
        usage = re.match(r"^([\d.]{1,12})/([\d.]{1,12} ?[KMGT]B)$", row.get("vram_usage", ""))
        if usage:  # 0.3/191.7 GB
            used, total = f"{usage.group(1)} {usage.group(2)[-2:]}", usage.group(2)
        device["mem_usage"] = {"total_vram": total, "used_vram": used}
        device["usage"] = {"gfx_activity": row.get("gfx%", row.get("gfx"))}
    return device


def _reading(devices: list[Device]) -> Reading:
    if not devices:
        raise ParseError("no_devices", "amd-smi lists no device")
    gpus = partitioned(
        [_gpu(device, position) for position, device in enumerate(devices[:MAX_DEVICES])],
        [_mode(device) for device in devices[:MAX_DEVICES]],
    )
    problems: tuple[Problem, ...] = ()
    if all(gpu.memory_bytes is None for gpu in gpus):
        message = "this amd-smi output does not contain the memory size"
        problems = (Problem("no_memory", message, "amd-smi metric --mem-usage --json"),)
    return Reading(SOURCE, gpus, problems, _links(devices), gpus[0].driver_version)


def _links(devices: list[Device]) -> tuple[Link, ...]:
    """The links in ``amd-smi topology --json``: each device has ``links`` with an index and a
    type.
    """
    kinds: dict[tuple[int, int], str] = {}
    for position, device in enumerate(devices[:MAX_DEVICES]):
        first = index_of(device.get("gpu"), position)
        for link in dicts(device.get("links") or []):
            second, kind = index_of(link.get("gpu"), -1), text_of(link.get("link_type"))
            if first < second and kind is not None and len(kinds) < MAX_DEVICES * 8:
                kinds[first, second] = "xgmi" if kind.upper() == "XGMI" else "pcie"
    return tuple(Link(first, second, kind) for (first, second), kind in kinds.items())


def _gpu(device: Device, position: int) -> Gpu:
    asic, (total, used) = as_dict(device.get("asic")), _sizes(device)
    device_id = _device_id(asic.get("device_id"))
    gfx = text_of(asic.get("target_graphics_version"))
    name = _name(device, asic, device_id)
    index = index_of(device.get("gpu", device.get("gpu_id")), position)
    apu = is_apu(gfx, device_id, name)
    return Gpu(
        index=index, name=name, vendor="amd", memory_bytes=total, free_bytes=free_of(total, used),
        source=SOURCE, uuid=text_of(device.get("uuid")), used_bytes=used,
        gfx_target=gfx if gfx and gfx.startswith("gfx") else None,
        driver_version=_driver(as_dict(device.get("driver"))),
        memory_bandwidth_bytes_per_s=_bandwidth(as_dict(device.get("vram"))),
        unified_memory=apu, integrated=is_tiny(gfx, device_id),
        pci_bus_id=pci_address(device.get("bdf") or as_dict(device.get("bus")).get("bdf")),
        vendor_index=index_of(device.get("hip_id"), index), pci_device_id=device_id,
        dedicated_bytes=total if apu else None,
        shared_bytes=_size(device, "total_gtt", "gtt_total") if apu else None,
        utilization_percent=number(as_dict(device.get("usage")).get("gfx_activity")),
        processes=_processes(device.get("process_list") or device.get("process_info")),
    )  # fmt: skip


def _mode(device: Device) -> str | None:
    """The compute partition: SPX, DPX, TPX, QPX or CPX."""
    nested = as_dict(device.get("partition"))
    mode = nested.get("compute_partition") or device.get("compute_partition")
    return (text_of(mode) or "").upper() or None


def _sizes(device: Device) -> tuple[int | None, int | None]:
    """(total, used) in bytes: the ``metric`` fields of ROCm 5.7 to 7, ``monitor``'s flat values,
    else the installed size from ``static``.
    """
    total = _size(device, "total_vram", "vram_total", "fb_total")
    if total is None:
        total = _size(device, "size", "size_mb", "vram_size", "vram_size_mb")
    return total, _size(device, "used_vram", "vram_used", "fb_used")


def _size(device: Device, *keys: str) -> int | None:
    for section in ("mem_usage", "vram", "fb_usage", "vram_usage", ""):
        values = as_dict(device.get(section)) if section else device
        for key in keys:
            size = size_bytes(values.get(key), "MB")
            if size is not None:
                return size
    return None


def _device_id(value: Any) -> str | None:
    word = (text_of(value) or "").lower()
    return word if re.match(r"^0x[0-9a-f]{4}$", word) else None


def _name(device: Device, asic: Device, device_id: str | None) -> str:
    board = as_dict(device.get("board"))
    for value in (asic.get("market_name"), board.get("product_name")):
        word = text_of(value)
        if word and not re.match(r"^(0x)?[0-9a-fA-F]{4}$", word):
            return product_name(word, device_id) or word
    return product_name(None, device_id) or "AMD GPU"


def _driver(driver: Device) -> str | None:
    """The driver version; not the kernel banner that some builds print in this field."""
    word = text_of(driver.get("version") or driver.get("driver_version"))
    return word if word and re.match(r"^\d[\w.+-]{1,40}$", word) else None


def _bandwidth(vram: Device) -> int | None:
    """Bytes per second from ``max_bandwidth`` in GB/s (ROCm 6.4 and later)."""
    amount = number(vram.get("max_bandwidth"))
    return round(amount * 1e9) if amount and 10 < amount < 100_000 else None


def _processes(value: Any) -> tuple[GpuProcess, ...]:
    processes = []
    for item in dicts(value or []):
        info = as_dict(item.get("process_info")) or item
        pid = number(info.get("pid"))
        if pid is None or is_nothing(info.get("pid")):
            continue
        usage = as_dict(info.get("memory_usage"))
        memory_bytes = size_bytes(
            usage.get("vram_mem") or info.get("mem_usage") or info.get("mem"), "B"
        )
        processes.append(GpuProcess(int(pid), text_of(info.get("name")), memory_bytes))
    return tuple(processes)


def merge(first: Reading, *others: Reading) -> Reading:
    """Merge the readings of several commands about the same devices, matched by amd-smi's index."""
    gpus = {gpu.index: gpu for gpu in first.gpus}
    for reading in others:
        for gpu in reading.gpus:
            existing = gpus.get(gpu.index)
            gpus[gpu.index] = gpu if existing is None else fill(existing, gpu)
    merged = tuple(gpus[index] for index in sorted(gpus))
    return replace(first, gpus=merged, problems=())


def fill(gpu: Gpu, other: Gpu) -> Gpu:
    """``gpu`` with its unknown fields filled from ``other``."""
    changes = {
        f.name: getattr(other, f.name)
        for f in fields(Gpu)
        if getattr(gpu, f.name) in (None, (), False)
        and getattr(other, f.name) not in (None, (), False)
    }
    if gpu.name == "AMD GPU" or gpu.name.startswith("AMD GPU "):
        changes["name"] = other.name
    if other.vendor_index != other.index:  # a HIP index from amd-smi list -e
        changes["vendor_index"] = other.vendor_index
    merged = replace(gpu, **changes)
    if merged.free_bytes is None:
        merged = replace(merged, free_bytes=free_of(merged.memory_bytes, merged.used_bytes))
    return merged
