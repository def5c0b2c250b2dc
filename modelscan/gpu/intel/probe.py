"""Probes Intel GPUs: the kernel's files (xe, i915), xpu-smi, and hl-smi for Gaudi."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, Problem
from modelscan.gpu.amd.amd_smi import fill
from modelscan.gpu.detect_format import parse_with_fallback
from modelscan.gpu.intel import xpu_smi
from modelscan.gpu.nvidia.table import parse_gaudi
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError, Reading
from modelscan.gpu.tools import parse_tool_output, tool_failure

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

_INTEL = "0x8086"
# PCI ids of Intel's cards (Mesa's and the kernel's lists); other cards have no name.
_CARDS = {
    0x56A0: "Arc A770", 0x56A1: "Arc A750", 0x56A2: "Arc A580", 0x56A5: "Arc A380",
    0x56A6: "Arc A310", 0x5690: "Arc A770M", 0xE20B: "Arc B580", 0xE20C: "Arc B570",
    0xE212: "Arc Pro B50", 0xE211: "Arc Pro B60", 0xE222: "Arc Pro B65", 0xE223: "Arc Pro B70",
    0x56C0: "Data Center GPU Flex 170",
    0x56C1: "Data Center GPU Flex 140", 0x0BD5: "Data Center GPU Max 1550",
    0x0BDA: "Data Center GPU Max 1100",
}  # fmt: skip


def run_intel(machine: ProbeHost, *, on_pci: bool = False) -> ProbeResult:
    """Cards, integrated GPUs and Gaudis; empty without any sign of an Intel GPU."""
    if machine.system == "darwin":
        return ProbeResult()
    kernel = _sysfs(machine) if machine.system == "linux" else ()
    problems: list[Problem] = []
    gpus = kernel
    tool = machine.tool("xpu-smi")
    if tool is not None and (not kernel or any(not g.integrated for g in kernel)):
        gpus = _joined(kernel, _xpu_smi(machine, tool, problems))
    gaudi = machine.tool("hl-smi")
    if gaudi is not None:
        gpus = (*gpus, *_hl_smi(machine, gaudi, problems))
    gpus = tuple(replace(gpu, vendor_index=i, index=i) for i, gpu in enumerate(gpus))
    return ProbeResult(gpus, tuple(problems if gpus or on_pci else problems[:1]))


def _sysfs(machine: ProbeHost) -> tuple[Gpu, ...]:
    gpus: list[Gpu] = []
    for path in machine.glob("/sys/class/drm/card*/device/vendor")[:256]:
        card = path.parent.parent.name
        if not re.match(r"^card\d+$", card):
            continue
        folder = f"/sys/class/drm/{card}/device"
        if (machine.read(f"{folder}/vendor", 16) or "").strip() == _INTEL:
            gpus.append(_gpu(machine, card, len(gpus)))
    return tuple(gpus)


def _gpu(machine: ProbeHost, card: str, index: int) -> Gpu:
    folder = f"/sys/class/drm/{card}/device"
    device = machine.read_int(f"{folder}/device") or 0
    total = _memory(machine, card)
    product = _CARDS.get(device)
    slot = re.search(r"^PCI_SLOT_NAME=(\S{1,32})$", machine.read(f"{folder}/uevent") or "", re.M)
    bus = slot.group(1).lower() if slot else None
    # An integrated GPU is device 2 on the first bus; the kernel does not always report a card's
    # memory.
    integrated = product is None and total is None and bus in (None, "0000:00:02.0")
    return Gpu(
        index=index, name=f"Intel {product}" if product else f"Intel graphics [{device:04x}]",
        vendor="intel", memory_bytes=total, free_bytes=None, source="sysfs",
        unified_memory=integrated, integrated=integrated, pci_device_id=f"0x{device:04x}",
        pci_bus_id=bus,
    )  # fmt: skip


def _memory(machine: ProbeHost, card: str) -> int | None:
    """Bytes of a card's own memory, of all its tiles; None if the kernel does not report it.

    xe has a folder per tile, i915 one file of the DRM card, which is in ``/sys/class/drm`` (on a
    real machine ``device`` is a link to the PCI folder) or in its own tile folders.
    """
    drm = f"/sys/class/drm/{card}"
    for name in ("physical_vram_size_bytes", "addr_range", "lmem_total_bytes"):
        for folder in (f"{drm}/device", drm):
            tiles = machine.glob(f"{folder}/tile*/{name}")
            sizes = [machine.read_int(f"{folder}/{tile.parent.name}/{name}") for tile in tiles]
            if any(sizes):
                return sum(size or 0 for size in sizes)
    for folder in (drm, f"{drm}/device/drm/{card}", f"{drm}/device", f"{drm}/device/drm"):
        total = machine.read_int(f"{folder}/lmem_total_bytes")
        if total:
            return total
    return None


def _xpu_smi(machine: ProbeHost, tool: str, problems: list[Problem]) -> tuple[Gpu, ...]:
    """The list, then each device separately, because only that output has the memory size."""
    try:
        listed = _run(machine, tool, "discovery", "-j").gpus
        gpus = []
        for gpu in listed[:32]:
            for command in ("discovery", "stats"):
                try:
                    more = _run(machine, tool, command, "-d", str(gpu.index), "-j").gpus[0]
                except ParseError:  # keep the device without this detail
                    continue
                gpu = fill(gpu, replace(more, index=gpu.index, vendor_index=gpu.index))
            gpus.append(gpu)
    except ParseError as refusal:
        problems.append(refusal.problem())
        return ()
    return tuple(gpus)


def _run(machine: ProbeHost, tool: str, *arguments: str) -> Reading:
    output = machine.run([tool, *arguments], timeout_s=machine.timeout_s)
    failure = tool_failure("xpu-smi", output, machine.timeout_s)
    if failure is not None and (output.failure is not None or not output.stdout.strip()):
        raise failure
    return parse_with_fallback(xpu_smi.parse_json, output.stdout, "xpu-smi " + " ".join(arguments))


def _joined(kernel: tuple[Gpu, ...], reported: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    by_bus = {gpu.pci_bus_id: gpu for gpu in kernel if gpu.pci_bus_id}
    if not reported:
        return kernel
    gpus = []
    for gpu in reported:
        other = by_bus.pop(gpu.pci_bus_id or "", None)
        if other is not None:
            gpu = fill(gpu, other)
            generic = re.search(r"\[0x[0-9a-f]+\]", gpu.name)
            gpu = replace(gpu, name=other.name) if generic and "Arc" in other.name else gpu
        gpus.append(gpu)
    return (*gpus, *by_bus.values())


def _hl_smi(machine: ProbeHost, tool: str, problems: list[Problem]) -> tuple[Gpu, ...]:
    output = machine.run([tool], timeout_s=machine.timeout_s)
    try:
        return parse_tool_output("hl-smi", output, machine.timeout_s, parse_gaudi).gpus
    except ParseError as refusal:
        problems.append(refusal.problem())
        return ()
