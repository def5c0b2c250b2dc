"""AMD devices from the kernel: /sys/class/drm for memory; KFD for targets, order and processes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, GpuProcess
from modelscan.gpu.amd.names import gfx_name, is_apu, is_tiny, local_name, product_name
from modelscan.gpu.amd.rocm_smi import rocr_uuid
from modelscan.gpu.reading import MAX_DEVICES, free_of

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

SOURCE = "sysfs"
_AMD = "0x1002"
_MOST_PARTITIONS = 16


@dataclass(frozen=True, slots=True)
class Node:
    """A GPU node of KFD's topology. Node order is ROCm's device order. ``memory_bytes``: its
    banks of device memory, a partition's own share of the card's.
    """

    number: int
    gpu_id: int
    gfx: str | None
    bus: str | None
    peers: frozenset[int] = frozenset()  # numbers of the nodes connected by XGMI
    memory_bytes: int | None = None


def run_sysfs(machine: ProbeHost) -> tuple[Gpu, ...]:
    """All amdgpu devices, in ROCm's order if KFD lists them; one for each partition of a card."""
    nodes = kfd_nodes(machine)
    by_bus: dict[str, list[tuple[int, Node]]] = {}
    for order, node in enumerate(nodes):
        by_bus.setdefault(_slot(node.bus), []).append((order, node))
    devices: list[tuple[int, Gpu]] = []
    for folder in _amd_folders(machine)[:MAX_DEVICES]:
        bus = _bus(machine, folder)
        here = by_bus.get(_slot(bus), []) if bus else []
        if len(here) < 2:
            order, one = here[0] if here else (len(nodes) + len(devices), None)
            devices.append((order, _gpu(machine, folder, bus, one)))
            continue
        for position, (order, one) in enumerate(here[:_MOST_PARTITIONS]):
            card = _gpu(machine, folder, bus, one)
            devices.append((order, _partition(card, one, position, len(here))))
    ordered = [gpu for _, gpu in sorted(devices, key=lambda pair: pair[0])]
    return tuple(_numbered(gpu, index) for index, gpu in enumerate(ordered))


def _slot(bus: str | None) -> str:
    """The address without its function: partitions of a card may have functions of their own."""
    return (bus or "").rpartition(".")[0]


def _partition(card: Gpu, node: Node, position: int, count: int) -> Gpu:
    """One partition (DPX, QPX, CPX): the kernel reports the whole card's memory and use."""
    total = node.memory_bytes
    whole = card.memory_bytes
    if whole and (not total or total > whole // 2):
        total = whole // count
    used = None if card.used_bytes is None else card.used_bytes // count
    return replace(
        card, name=f"{card.name} partition {position + 1} of {count}", memory_bytes=total,
        used_bytes=used, free_bytes=free_of(total, used),
        uuid=card.uuid if position == 0 else None,
    )  # fmt: skip


def _numbered(gpu: Gpu, index: int) -> Gpu:
    return replace(gpu, index=index, vendor_index=index)


def _amd_folders(machine: ProbeHost) -> list[str]:
    folders = []
    for path in machine.glob("/sys/class/drm/card*/device/vendor"):
        folder = "/" + str(path.parent.relative_to(machine.root))
        card = path.parent.parent.name
        if (
            re.match(r"^card\d+$", card)
            and (machine.read(f"{folder}/vendor") or "").strip() == _AMD
        ):
            folders.append(folder)
    return sorted(folders, key=lambda f: int(re.sub(r"\D", "", f.split("/")[4])))


def _bus(machine: ProbeHost, folder: str) -> str | None:
    match = re.search(r"^PCI_SLOT_NAME=(\S{1,32})$", machine.read(f"{folder}/uevent") or "", re.M)
    if match:
        return match.group(1).lower()
    try:
        return machine.path(folder).resolve().name
    except OSError:
        return None


def _gpu(machine: ProbeHost, folder: str, bus: str | None, node: Node | None) -> Gpu:
    device = (machine.read(f"{folder}/device", 32) or "").strip().lower() or None
    revision = (machine.read(f"{folder}/revision", 32) or "").strip()
    total = machine.read_int(f"{folder}/mem_info_vram_total")
    used = machine.read_int(f"{folder}/mem_info_vram_used")
    gtt = machine.read_int(f"{folder}/mem_info_gtt_total")
    gfx = node.gfx if node else None
    product = (machine.read(f"{folder}/product_name", 256) or "").strip()
    name = product_name(product or local_name(machine, device, revision), device)
    apu = is_apu(gfx, device, name)
    unique = (machine.read(f"{folder}/unique_id", 64) or "").strip()
    busy = machine.read_int(f"{folder}/gpu_busy_percent")
    return Gpu(
        index=0, name=name or f"AMD GPU {device or ''}".strip(), vendor="amd", memory_bytes=total,
        free_bytes=free_of(total, used), source=SOURCE, uuid=rocr_uuid(unique),
        used_bytes=used, gfx_target=gfx, driver_version=_driver(machine), unified_memory=apu,
        integrated=is_tiny(gfx, device), pci_bus_id=bus, pci_device_id=device,
        dedicated_bytes=total if apu else None, shared_bytes=gtt if apu else None,
        utilization_percent=None if busy is None else float(busy),
        processes=_processes(machine, node),
    )  # fmt: skip


def _driver(machine: ProbeHost) -> str | None:
    return (machine.read("/sys/module/amdgpu/version", 64) or "").strip() or None


def kfd_nodes(machine: ProbeHost) -> list[Node]:
    """The GPU nodes of KFD's topology, in order. (CPU nodes have no SIMDs.)"""
    nodes = []
    for path in machine.glob("/sys/class/kfd/kfd/topology/nodes/*/properties"):
        text = _read(path)
        values = dict(re.findall(r"^(\w+) (\d{1,20})$", text, re.MULTILINE))
        if int(values.get("simd_count", 0)) == 0:
            continue
        gfx = gfx_name(int(values.get("gfx_target_version", 0)))
        nodes.append(
            Node(
                _whole(path.parent.name), _whole(_read(path.parent / "gpu_id")), gfx,
                kfd_bus(int(values.get("location_id", 0)), int(values.get("domain", 0))),
                _xgmi_peers(path.parent), _bank_bytes(path.parent),
            )
        )  # fmt: skip
    return sorted(nodes, key=lambda node: node.number)


def kfd_bus(location: int, domain: int) -> str | None:
    """The PCI address for KFD's location id (bus, device, function in 16 bits)."""
    if location <= 0:
        return None
    bus, device, function = location >> 8 & 0xFF, location >> 3 & 0x1F, location & 7
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function}"


def _bank_bytes(folder: Path) -> int | None:
    """Bytes of a node's banks of device memory (heaps 1 and 2, visible and not)."""
    total = 0
    for bank in folder.glob("mem_banks/*/properties"):
        pattern = r"^(heap_type|size_in_bytes) (\d{1,18})$"
        values = dict(re.findall(pattern, _read(bank), re.MULTILINE))
        if values.get("heap_type") in ("1", "2"):
            total += int(values.get("size_in_bytes", 0))
    return total or None


def _xgmi_peers(folder: Path) -> frozenset[int]:
    """Node numbers at the other end of links of type 11 (HSA_IOLINKTYPE_XGMI)."""
    peers = set()
    for link in folder.glob("*_links/*/properties"):
        values = dict(re.findall(r"^(type|node_to) (\d{1,6})$", _read(link), re.MULTILINE))
        if values.get("type") == "11" and "node_to" in values:
            peers.add(int(values["node_to"]))
    return frozenset(peers)


def _processes(machine: ProbeHost, node: Node | None) -> tuple[GpuProcess, ...]:
    """Processes with compute memory on the device: ``/sys/class/kfd/kfd/proc/PID/vram_GPUID``."""
    if node is None or not node.gpu_id:
        return ()
    processes = []
    for path in machine.glob(f"/sys/class/kfd/kfd/proc/*/vram_{node.gpu_id}")[:1024]:
        used, pid = _whole(_read(path)), _whole(path.parent.name)
        if pid and used:
            name = (machine.read(f"/proc/{pid}/comm", 64) or "").strip() or None
            processes.append(GpuProcess(pid, name, used))
    return tuple(processes)


def _whole(text: str) -> int:
    """The number in a kernel's file; 0 for anything else."""
    match = re.fullmatch(r"\s*([0-9]{1,18})\s*", text)
    return int(match.group(1)) if match else 0


def _read(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return handle.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""
