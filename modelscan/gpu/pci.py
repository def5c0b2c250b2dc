"""The PCI bus: accelerators no tool answered for, named, so that nothing is silently missing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelscan.core.gpu import Gpu
from modelscan.gpu.machine import Machine
from modelscan.gpu.reading import MAX_DEVICES, ParseError, Reading, lines_of, pci_address, text_of

# Vendors of accelerators by PCI id (the PCI ID database); displays of servers are not among them.
VENDORS = {
    0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel", 0x1DA3: "intel", 0x19E5: "ascend",
    0xCABC: "cambricon", 0x1D94: "hygon", 0x1E3E: "iluvatar", 0x9999: "metax",
    0x1ED5: "moorethreads", 0x1EE0: "biren", 0x1E36: "enflame", 0x1D22: "kunlunxin",
    0x1E52: "tenstorrent", 0x1EFF: "rebellions", 0x1ED2: "furiosa", 0x1AE0: "google",
    0x1D0F: "aws", 0x17CB: "qualcomm",
}  # fmt: skip
_NAMES = {
    "nvidia": "NVIDIA GPU", "amd": "AMD GPU", "intel": "Intel GPU", "ascend": "Ascend NPU",
    "cambricon": "Cambricon MLU", "hygon": "Hygon DCU", "iluvatar": "Iluvatar GPU",
    "metax": "MetaX GPU", "moorethreads": "Moore Threads GPU", "biren": "Biren GPU",
    "enflame": "Enflame GCU", "kunlunxin": "Kunlunxin XPU", "tenstorrent": "Tenstorrent card",
    "rebellions": "Rebellions NPU", "furiosa": "Furiosa NPU", "google": "Google TPU",
    "aws": "AWS Neuron device", "qualcomm": "Qualcomm Cloud AI",
}  # fmt: skip
_DISPLAY = (0x0300, 0x0302, 0x0380)
_ACCELERATOR = (0x1200, 0x0B40)
_LINE = re.compile(
    r"^([0-9a-f:.]{7,13}) (.{1,120}?) \[([0-9a-f]{4})\]: "
    r"(.{0,300}?) ?\[([0-9a-f]{4}):([0-9a-f]{4})\]"
)


# The same without -nn: no ids, so the vendor is taken from its name.
_PLAIN = re.compile(
    r"^([0-9a-f:.]{7,13}) "
    r"(VGA compatible controller|3D controller|Display controller|Processing accelerators): "
    r"(.{1,300})$"
)
_VENDOR_WORDS = (("NVIDIA", 0x10DE), ("AMD/ATI", 0x1002), ("Intel", 0x8086), ("Habana", 0x1DA3),
                 ("Huawei", 0x19E5), ("Cambricon", 0xCABC))  # fmt: skip


@dataclass(frozen=True, slots=True)
class PciDevice:
    """``bus`` address, ids, and a name where lspci's database has one."""

    bus: str
    kind: int  # class and subclass, 0x0302
    vendor: int
    device: int
    name: str | None = None


def is_accelerator(found: PciDevice) -> bool:
    """A graphics or processing accelerator of a vendor we know."""
    if found.vendor not in VENDORS:
        return False
    if found.vendor == 0x1D0F:  # Neuron devices; Amazon's network and disk have other ids
        return found.device in (0x7064, 0x7164, 0x7264, 0x7364)
    if found.vendor in (0x1AE0, 0x17CB, 0x19E5) and found.kind not in _ACCELERATOR:
        return False
    return found.kind in _DISPLAY + _ACCELERATOR


def run_pci(machine: Machine) -> tuple[PciDevice, ...]:
    """Accelerators in /sys/bus/pci."""
    found = []
    for path in machine.glob("/sys/bus/pci/devices/*/vendor")[:4096]:
        folder = f"/sys/bus/pci/devices/{path.parent.name}"
        vendor = machine.read_int(f"{folder}/vendor")
        if vendor not in VENDORS:
            continue
        kind, device = machine.read_int(f"{folder}/class"), machine.read_int(f"{folder}/device")
        one = PciDevice(path.parent.name, (kind or 0) >> 8, vendor or 0, device or 0)
        if is_accelerator(one):
            found.append(one)
    return tuple(found)


def parse_lspci(text: str) -> Reading:
    """``lspci -nn``: accelerators with their names, no memory; raises ParseError."""
    devices = [device for line in lines_of(text) if (device := _parse_line(line))]
    if not devices:
        raise ParseError("not_lspci", "the text has no line of lspci -nn")
    found = [device for device in devices if is_accelerator(device)]
    if not found:
        raise ParseError("no_devices", "no accelerator is on the PCI bus")
    return Reading("lspci", tuple(gpu(d, i) for i, d in enumerate(found[:MAX_DEVICES])))


def _parse_line(line: str) -> PciDevice | None:
    match = _LINE.match(line)
    bus = pci_address(match.group(1)) if match else None
    if match is None or bus is None:
        return _parse_plain(line)
    _, _, kind, name, vendor, device = match.groups()
    return PciDevice(bus, int(kind, 16), int(vendor, 16), int(device, 16), _product(name))


def _parse_plain(line: str) -> PciDevice | None:
    match = _PLAIN.match(line)
    bus = pci_address(match.group(1)) if match else None
    if match is None or bus is None:
        return None
    name = re.sub(r" \((rev|prog-if) [^)]{1,40}\)", "", match.group(3))
    vendor = next((number for word, number in _VENDOR_WORDS if word in name), 0)
    kind = 0x1200 if match.group(2).startswith("Processing") else 0x0300
    return PciDevice(bus, kind, vendor, 0, _product(name))


def _product(name: str) -> str | None:
    """``NVIDIA Corporation GA102GL [A10]`` -> ``A10``; without a bracket, less the vendor."""
    inside = re.search(r"\[([^\]/]{1,100})\]\s*$", name)
    if inside and inside.group(1) != "AMD":
        return text_of(inside.group(1))
    plain = re.sub(r"^.{1,60}?(Corporation|Inc\.|Ltd\.)\s*(\[AMD/ATI\]\s*)?", "", name)
    return None if plain.startswith("Device") else text_of(plain)


def gpu(found: PciDevice, index: int) -> Gpu:
    """A device known by its PCI ids alone."""
    from modelscan.gpu.amd.names import name_by_id, plain_name

    vendor = VENDORS[found.vendor]
    by_id = plain_name(name_by_id(f"{found.device:04x}")) if vendor == "amd" else None
    return Gpu(
        index=index, name=found.name or by_id or f"{_NAMES[vendor]} [{found.device:04x}]",
        vendor=vendor, memory_bytes=None, free_bytes=None, source="pci", pci_bus_id=found.bus,
        pci_device_id=f"0x{found.device:04x}" if found.device else None,
    )  # fmt: skip
