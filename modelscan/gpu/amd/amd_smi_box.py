"""Parser of ``amd-smi`` without options (ROCm 7) and of the matrices of ``amd-smi topology``."""

from __future__ import annotations

import re
from dataclasses import replace

from modelscan.core.gpu import Gpu, GpuProcess, Link, Problem
from modelscan.gpu.amd.names import is_apu, plain_name
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    free_of,
    lines_of,
    pci_address,
    size_bytes,
    text_of,
)

SOURCE = "amd-smi"
_BDF = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_NAME = re.compile(rf"^\|\s{{0,8}}({_BDF})\s{{1,20}}(\S.{{0,80}}?)\s{{0,60}}\|")
_USAGE = re.compile(r"^\|\s{0,8}(\d{1,3})\s.*?\|.*?(\d{1,9})/(\d{1,9}) MB\s{0,8}\|")
_PROCESS = re.compile(
    r"^\|\s{0,8}(\d{1,3})\s{1,12}(\d{1,10})\s{1,12}(\S.{0,80}?)\s{2,60}(\S.{0,80}?)\s{0,60}\|"
)


def parse_box(text: str) -> Reading:
    """Parse two lines per device: address and name, then index and ``used/total MB``."""
    gpus: list[Gpu] = []
    heading: tuple[str, str] | None = None
    driver = None
    for line in lines_of(text):
        version = re.search(r"amdgpu version: (\d[\w.]{1,30})", line)
        driver = version.group(1) if version else driver
        head, usage = _NAME.match(line), _USAGE.match(line)
        if head:
            heading = head.group(1), head.group(2)
        elif usage and heading and len(gpus) < MAX_DEVICES:
            gpus.append(_gpu(heading, int(usage[1]), usage[2], usage[3], driver))
            heading = None
        else:
            _add_process(line, gpus)
    if not gpus:
        raise ParseError("no_devices", "amd-smi lists no device")
    return Reading(SOURCE, tuple(gpus), driver_version=driver)


def _gpu(heading: tuple[str, str], index: int, used: str, total: str, driver: str | None) -> Gpu:
    name = plain_name(text_of(heading[1])) or "AMD GPU"
    total_bytes, used_bytes = size_bytes(total, "MB"), size_bytes(used, "MB")
    apu = is_apu(None, None, name)
    return Gpu(
        index=index, name=name, vendor="amd", memory_bytes=total_bytes,
        free_bytes=free_of(total_bytes, used_bytes), source=SOURCE, used_bytes=used_bytes,
        driver_version=driver,
        pci_bus_id=pci_address(heading[0]), vendor_index=index, unified_memory=apu,
        dedicated_bytes=total_bytes if apu else None,
    )  # fmt: skip


def _add_process(line: str, gpus: list[Gpu]) -> None:
    """Add a process row; in ``
    0   1234   python   2.0 MB   1.5 GB   1.6 GB   0 %
    `` the second size is VRAM.
    """
    match = _PROCESS.match(line)
    if not match:
        return
    sizes = re.findall(r"\d{1,9}(?:\.\d{1,6})? [KMGT]?B", match.group(4))
    process = GpuProcess(
        int(match.group(2)),
        text_of(match.group(3)),
        size_bytes(sizes[1]) if len(sizes) > 1 else None,
    )
    for position, gpu in enumerate(gpus):
        if gpu.index == int(match.group(1)):
            gpus[position] = replace(gpu, processes=(*gpu.processes, process))


def parse_matrix(text: str) -> Reading:
    """Parse ``amd-smi topology``: tables by PCI address; links come from the LINK TYPE table."""
    buses: list[str] = []
    links: list[Link] = []
    table = ""
    for line in lines_of(text):
        title = re.match(r"^([A-Z ]{3,40}) TABLE:", line.strip())
        table = title.group(1) if title else table
        addresses = re.findall(_BDF, line.lower())
        if len(addresses) > 1 or (addresses and not buses):
            buses = buses or addresses[:MAX_DEVICES]
        elif addresses and addresses[0] in buses and table == "LINK TYPE":
            first = buses.index(addresses[0])
            for second, cell in enumerate(line.split()[1 : len(buses) + 1]):
                if first < second and len(links) < MAX_DEVICES * 8:
                    links.append(Link(first, second, "xgmi" if cell == "XGMI" else "pcie"))
    if not buses:
        raise ParseError("no_devices", "the topology lists no device")
    gpus = tuple(
        Gpu(i, "AMD GPU", "amd", None, None, SOURCE, pci_bus_id=pci_address(bus), vendor_index=i)
        for i, bus in enumerate(buses)
    )
    return Reading(
        SOURCE,
        gpus,
        (Problem("no_memory", "a topology does not contain memory sizes"),),
        tuple(links),
    )
