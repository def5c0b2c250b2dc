"""AMD product names by PCI device id, and which chips are APUs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

# PCI ids of vendor 1002, as the PCI ID database lists them. Several products may share one.
_DEVICES = {
    0x66A0: "Instinct MI50", 0x66A1: "Vega 20 [Radeon Pro VII/Instinct MI50/Instinct MI60]",
    0x66AF: "Radeon VII",
    0x738C: "Instinct MI100", 0x7408: "Instinct MI250X", 0x740C: "Instinct MI250X",
    0x740F: "Instinct MI210", 0x74A0: "Instinct MI300A", 0x74A1: "Instinct MI300X",
    0x74A2: "Instinct MI308X", 0x74A5: "Instinct MI325X", 0x74B5: "Instinct MI300X",
    0x75A0: "Instinct MI350X", 0x75A3: "Instinct MI355X",
    0x67DF: "Ellesmere [Radeon RX 470/480/570/580]",
    0x687F: "Vega 10 [Radeon RX Vega 56/RX Vega 64]",
    0x6861: "Radeon Pro WX 9100", 0x731F: "Navi 10 [Radeon RX 5600/5600 XT/5700/5700 XT]",
    0x73A2: "Radeon PRO W6900X", 0x73A3: "Radeon PRO W6800", 0x73AF: "Radeon RX 6900 XT",
    0x73BF: "Navi 21 [Radeon RX 6800/6800 XT/6900 XT]", 0x73A5: "Radeon RX 6950 XT",
    0x73DF: "Navi 22 [Radeon RX 6700/6700 XT/6800M]", 0x73FF: "Navi 23 [Radeon RX 6600/6600 XT]",
    0x744C: "Navi 31 [Radeon RX 7900 XT/7900 XTX]", 0x7448: "Radeon PRO W7900",
    0x745E: "Radeon PRO W7800", 0x747E: "Navi 32 [Radeon RX 7700 XT/7800 XT]",
    0x7470: "Radeon PRO W7700", 0x7480: "Navi 33 [Radeon RX 7600/7600 XT]",
    0x7550: "Navi 48 [Radeon RX 9070/9070 XT]", 0x7551: "Radeon AI PRO R9700",
    0x7590: "Navi 44 [Radeon RX 9060 XT 8 GB/RX 9060 XT 16 GB]",
    0x1586: "Radeon 8060S", 0x150E: "Radeon 890M", 0x1900: "Radeon 780M", 0x1901: "Radeon 780M",
    0x15BF: "Radeon 780M", 0x15C8: "Radeon 740M", 0x1681: "Radeon 680M", 0x1114: "Radeon 860M",
    0x164E: "Raphael", 0x13C0: "Granite Ridge", 0x1638: "Cezanne", 0x1636: "Renoir",
}  # fmt: skip
# Chips whose GPU has no separate memory (LLVM's AMDGPU processor table).
_APU_TARGETS = {
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037",
    "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153",
}  # fmt: skip
_APU_IDS = {0x1586, 0x150E, 0x1900, 0x1901, 0x15BF, 0x15C8, 0x1681, 0x1114, 0x164E, 0x13C0,
            0x1638, 0x1636}  # fmt: skip
_APU_NAME = re.compile(
    r"strix|phoenix|rembrandt|raphael|granite ridge|cezanne|renoir|\b8[0-9]{2}[05]?S\b"
    r"|radeon (graphics|[678]\d0M|80[456]0S)$|\b80[456]0S\b|krackan|van gogh|mendocino",
    re.IGNORECASE,
)


_BRAND = re.compile(r"radeon|instinct|firepro|firegl", re.IGNORECASE)


def device_number(value: str | None) -> int | None:
    """``0x744c`` or ``744c`` as a number; None for other text."""
    match = re.match(r"^(?:0x)?([0-9a-fA-F]{4})$", (value or "").strip())
    return int(match.group(1), 16) if match else None


def name_by_id(value: str | None) -> str | None:
    """The product name for a PCI device id, or None."""
    number = device_number(value)
    return _DEVICES.get(number) if number is not None else None


def is_apu(gfx: str | None, device_id: str | None, name: str | None) -> bool:
    """True if the GPU uses the machine's memory."""
    return (
        gfx in _APU_TARGETS
        or device_number(device_id) in _APU_IDS
        or bool(name and _APU_NAME.search(name))
    )


def is_tiny(gfx: str | None, device_id: str | None) -> bool:
    """True for a desktop GPU with two compute units (Raphael, Granite Ridge, Mendocino): slower
    than the CPU.
    """
    return gfx in ("gfx1036", "gfx1037") or device_number(device_id) in (0x164E, 0x13C0)


def parse_amdgpu_ids(text: str, device_id: str | None, revision: str | None) -> str | None:
    """The name in libdrm's ``amdgpu.ids``: ``744C,<tab>C8,<tab>AMD Radeon RX 7900 XTX``."""
    device, rev = device_number(device_id), (revision or "").lower().removeprefix("0x")
    if device is None or not rev:
        return None
    pattern = rf"^{device:04X},\s*{re.escape(rev.upper().zfill(2))},\s*(.+)$"
    match = re.search(pattern, text, re.MULTILINE | re.IGNORECASE)
    return match.group(1).strip()[:120] if match else None


def local_name(machine: ProbeHost, device_id: str | None, revision: str | None) -> str | None:
    """The name from this machine's libdrm table, which has revisions; else from our own table."""
    text = machine.read("/usr/share/libdrm/amdgpu.ids") or ""
    return parse_amdgpu_ids(text, device_id, revision) or name_by_id(device_id)


def plain_name(name: str | None) -> str | None:
    """``Arcturus GL-XL [Instinct MI100]`` -> ``Instinct MI100``; a list of products stays
    unchanged.
    """
    match = re.search(r"\[([^\]/]{1,120})\]\s*$", name or "")
    if match and not match.group(1).startswith("AMD/ATI"):
        return match.group(1).strip()
    return name


def product_name(reported: str | None, device_id: str | None) -> str | None:
    """A tool's product name without the chip name; for a code name only (``Vega 20``,
    ``Phoenix1``), the product with this PCI id.
    """
    by_id = plain_name(name_by_id(device_id))
    if reported is None or (by_id is not None and not _BRAND.search(reported)):
        return by_id
    return plain_name(reported)


def gfx_name(version: int | None) -> str | None:
    """The gfx target for KFD's ``gfx_target_version``: 90402 -> gfx942, 110000 -> gfx1100, 90010
    -> gfx90a.
    """
    if not version or not 10000 <= version < 1_000_000:
        return None
    major, minor, step = version // 10000, version // 100 % 100, version % 100
    return f"gfx{major}{minor:x}{step:x}"
