"""Accelerators on the PCI bus, to list devices for which no vendor tool gave a reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu
from modelscan.gpu.reading import MAX_DEVICES, ParseError, Reading, lines_of, pci_address, text_of

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

# Vendors of accelerators by PCI id (the PCI ID database), without servers' display controllers.
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


# The same without -nn: no ids, so the vendor is determined by its name.
_PLAIN = re.compile(
    r"^([0-9a-f:.]{7,13}) "
    r"(VGA compatible controller|3D controller|Display controller|Processing accelerators): "
    r"(.{1,300})$"
)
_VENDOR_WORDS = (("NVIDIA", 0x10DE), ("AMD/ATI", 0x1002), ("Intel", 0x8086), ("Habana", 0x1DA3),
                 ("Huawei", 0x19E5), ("Cambricon", 0xCABC))  # fmt: skip


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A device on the PCI bus. ``name``: from lspci's database, if it has one."""

    bus: str
    kind: int  # class and subclass, 0x0302
    vendor: int
    device: int
    name: str | None = None


def is_accelerator(device: PciDevice) -> bool:
    """True for a graphics or compute accelerator of a vendor in ``VENDORS``."""
    if device.vendor not in VENDORS:
        return False
    if device.vendor == 0x1D0F:  # Neuron devices; Amazon's network and disk devices have other ids
        return device.device in (0x7064, 0x7164, 0x7264, 0x7364)
    if device.vendor in (0x1AE0, 0x17CB, 0x19E5) and device.kind not in _ACCELERATOR:
        return False
    return device.kind in _DISPLAY + _ACCELERATOR


def run_pci(machine: ProbeHost) -> tuple[PciDevice, ...]:
    """The accelerators in /sys/bus/pci."""
    accelerators = []
    for path in machine.glob("/sys/bus/pci/devices/*/vendor")[:4096]:
        folder = f"/sys/bus/pci/devices/{path.parent.name}"
        vendor = machine.read_int(f"{folder}/vendor")
        if vendor not in VENDORS:
            continue
        kind, device = machine.read_int(f"{folder}/class"), machine.read_int(f"{folder}/device")
        pci_device = PciDevice(path.parent.name, (kind or 0) >> 8, vendor or 0, device or 0)
        if is_accelerator(pci_device):
            accelerators.append(pci_device)
    return tuple(accelerators)


def parse_lspci(text: str) -> Reading:
    """Parse ``lspci -nn``: accelerators with their names, no memory. Raises ParseError."""
    devices = [device for line in lines_of(text) if (device := _parse_line(line))]
    if not devices:
        raise ParseError("not_lspci", "the text has no line of lspci -nn")
    accelerators = [device for device in devices if is_accelerator(device)]
    if not accelerators:
        raise ParseError("no_devices", "the PCI bus has no accelerator")
    return Reading("lspci", tuple(gpu(d, i) for i, d in enumerate(accelerators[:MAX_DEVICES])))


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
    """``NVIDIA Corporation GA102GL [A10]`` -> ``A10``; without brackets, the name without the
    vendor.
    """
    inside = re.search(r"\[([^\]/]{1,100})\]\s*$", name)
    if inside and inside.group(1) != "AMD":
        return text_of(inside.group(1))
    plain = re.sub(r"^.{1,60}?(Corporation|Inc\.|Ltd\.)\s*(\[AMD/ATI\]\s*)?", "", name)
    return None if plain.startswith("Device") else text_of(plain)


def gpu(device: PciDevice, index: int) -> Gpu:
    """A device of which only the PCI ids are known."""
    from modelscan.gpu.amd.names import name_by_id, plain_name

    vendor = VENDORS[device.vendor]
    by_id = plain_name(name_by_id(f"{device.device:04x}")) if vendor == "amd" else None
    return Gpu(
        index=index, name=device.name or by_id or f"{_NAMES[vendor]} [{device.device:04x}]",
        vendor=vendor, memory_bytes=None, free_bytes=None, source="pci", pci_bus_id=device.bus,
        pci_device_id=f"0x{device.device:04x}" if device.device else None,
    )  # fmt: skip
