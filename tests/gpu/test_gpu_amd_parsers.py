"""rocm-smi and amd-smi across versions: drifting names, text before JSON, strings as numbers."""

from __future__ import annotations

import json

import pytest
from support.gpu_texts import amd_list, rocm_json

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.amd.names import gfx_name, is_apu, parse_amdgpu_ids, plain_name
from modelscan.gpu.reading import ParseError

MEMORY = {
    "VRAM Total Memory (B)": str(24 * GIB),
    "VRAM Total Used Memory (B)": str(GIB),
    "VIS_VRAM Total Memory (B)": "268435456",
    "VIS_VRAM Total Used Memory (B)": "1000",
    "GTT Total Memory (B)": str(64 * GIB),
    "PCI Bus": "0000:0C:00.0",
}


@pytest.mark.parametrize(
    ("keys", "name", "device"),
    [
        ({"GPU ID": "0x738c", "Card series": "0x1002", "Card model": "0x1002",
          "Card vendor": "0x1002"}, "Instinct MI100", "0x738c"),  # ROCm 4.3
        ({"GPU ID": "0x740f", "Card series": "Aldebaran/MI200 [Instinct MI210]",
          "Card model": "0x0c34"}, "Instinct MI210", "0x740f"),  # 5.7
        ({"Device ID": "0x744c", "Card series": "1", "Card model": "0x471e"},
         "Navi 31 [Radeon RX 7900 XT/7900 XTX]", "0x744c"),  # 6.0: the series is a number
        ({"Device Name": "AMD Instinct MI300X", "Device ID": "0x74a1", "Card Series": "N/A",
          "Card Model": "0x74a1", "GFX Version": "gfx942"}, "AMD Instinct MI300X", "0x74a1"),
    ],
)  # fmt: skip
def test_names_of_every_rocm(keys: dict[str, str], name: str, device: str) -> None:
    (gpu,) = rocm_smi.parse_json(rocm_json([{**keys, **MEMORY}])).gpus
    assert gpu.name == name
    assert gpu.pci_device_id == device
    assert gpu.memory_bytes == 24 * GIB  # never VIS_VRAM
    assert gpu.free_bytes == 23 * GIB
    assert gpu.pci_bus_id == "0000:0c:00.0"


def test_a_warning_before_the_json_and_other_keys_than_cards() -> None:
    text = "WARNING: AMD GPU device(s) is/are in a low-power state. Check power control\n\n"
    text += rocm_json([MEMORY, MEMORY], **{"Driver version": "6.12.12"})
    reading = rocm_smi.parse_json(text)
    assert len(reading.gpus) == 2
    assert reading.driver_version == "6.12.12"
    assert reading.problems == ()


def test_links_of_the_topology_section() -> None:
    key = "(Topology) Link type between DRM devices 0 and 1"
    assert rocm_smi.parse_json(rocm_json([MEMORY] * 2, **{key: "XGMI"})).links == (
        Link(0, 1, "xgmi"),
    )


def test_csv_is_read_by_its_header() -> None:
    text = (
        "WARNING: low-power state\n"
        "device,VRAM Total Used Memory (B),VRAM Total Memory (B),Card Series,GFX Version\n"
        f"card0,{GIB},{16 * GIB},Radeon RX 7800 XT,gfx1101\n"
    )
    (gpu,) = rocm_smi.parse_csv(text).gpus
    assert (gpu.memory_bytes, gpu.used_bytes) == (16 * GIB, GIB)
    assert (gpu.name, gpu.gfx_target) == ("Radeon RX 7800 XT", "gfx1101")


def test_text_lines_are_read_too() -> None:
    text = (
        "============ ROCm System Management Interface ============\n"
        f"GPU[0]\t\t: VRAM Total Memory (B): {8 * GIB}\n"
        "GPU[0]\t\t: VRAM Total Used Memory (B): 0\nGPU[0]\t\t: Card series: Radeon RX 6600\n"
    )
    (gpu,) = rocm_smi.parse_text(text).gpus
    assert (gpu.name, gpu.free_bytes) == ("Radeon RX 6600", 8 * GIB)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ERROR:root:Driver not initialized (amdgpu not found in modules)", "driver_not_running"),
        ("Unable to open /dev/kfd: Permission denied", "no_permission"),
        ('{"card0": {"VRAM Total', "garbled"),
        ("{}", "no_devices"),
        ("nothing", "not_json"),
    ],
)
def test_rocm_refusals(text: str, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        rocm_smi.parse_json(text)
    assert caught.value.code == code


STATIC = {
    "gpu": 0, "asic": {"market_name": "AMD Instinct MI325X", "device_id": "0x74a5",
                       "target_graphics_version": "gfx942"},
    "bus": {"bdf": "0000:05:00.0"}, "driver": {"name": "amdgpu", "version": "6.10.5"},
    "vram": {"type": "HBM", "size": {"value": 262128, "unit": "MB"},
             "max_bandwidth": {"value": 6000, "unit": "GB/s"}},
}  # fmt: skip
METRIC = {
    "gpu": 0, "usage": {"gfx_activity": {"value": 12, "unit": "%"}},
    "mem_usage": {"total_vram": {"value": 262128, "unit": "MB"},
                  "used_vram": {"value": 296, "unit": "MB"}},
}  # fmt: skip


@pytest.mark.parametrize("wrapped", [True, False])
def test_static_and_metric_join_by_number(wrapped: bool) -> None:
    static = amd_smi.parse_json(amd_list([STATIC], wrapped=wrapped))
    metric = amd_smi.parse_json(amd_list([METRIC], wrapped=wrapped))
    listed = amd_smi.parse_json(amd_list([{"gpu": 0, "hip_id": 3}], wrapped=wrapped))
    (gpu,) = amd_smi.merge(static, metric, listed).gpus
    assert gpu.name == "AMD Instinct MI325X"
    assert gpu.gfx_target == "gfx942"
    assert gpu.memory_bytes == 262128 * MIB
    assert gpu.free_bytes == (262128 - 296) * MIB
    assert gpu.utilization_percent == 12
    assert gpu.memory_bandwidth_bytes_per_s == 6_000_000_000_000
    assert gpu.driver_version == "6.10.5"
    assert gpu.vendor_index == 3  # HIP's number, which need not be amd-smi's


def test_a_permission_text_before_the_json_is_a_problem_not_an_end() -> None:
    text = "Permission needed to access device node(s):\n  /dev/kfd: Permission denied\n\n"
    reading = amd_smi.parse_json(text + amd_list([STATIC], wrapped=True))
    assert len(reading.gpus) == 1
    assert [problem.code for problem in reading.problems] == ["no_permission"]


def test_na_is_unknown_and_plain_numbers_are_mib() -> None:
    device = {"gpu": 1, "mem_usage": {"total_vram": 16368, "used_vram": "N/A"}, "asic": "N/A"}
    (gpu,) = amd_smi.parse_json(amd_list([device], wrapped=False)).gpus
    assert (gpu.index, gpu.memory_bytes, gpu.free_bytes) == (1, 16368 * MIB, None)


def test_text_blocks_are_the_same_document() -> None:
    text = (
        "GPU: 0\n    ASIC:\n        MARKET_NAME: AMD Radeon PRO W7900\n"
        "        DEVICE_ID: 0x7448\n    MEM_USAGE:\n        TOTAL_VRAM: 49136 MB\n"
        "        USED_VRAM: 27 MB\n\nGPU: 1\n    MEM_USAGE:\n        TOTAL_VRAM: N/A\n"
    )
    first, second = amd_smi.parse_text(text).gpus
    assert (first.name, first.memory_bytes) == ("AMD Radeon PRO W7900", 49136 * MIB)
    assert (second.index, second.memory_bytes) == (1, None)


def test_the_monitor_table() -> None:
    text = "GPU  POWER  GFX%  VRAM_USED  VRAM_TOTAL\n  0  140 W  3 %  284 MB  196592 MB\n"
    (gpu,) = amd_smi.parse_text(text).gpus
    assert (gpu.memory_bytes, gpu.used_bytes) == (196592 * MIB, 284 * MIB)


def test_processes_of_amd_smi() -> None:
    info = {"pid": 77, "name": "vllm", "memory_usage": {"vram_mem": {"value": 5, "unit": "GB"}}}
    device = {**METRIC, "process_list": [{"process_info": info}, {"process_info": "none"}]}
    (gpu,) = amd_smi.parse_json(json.dumps([device])).gpus
    assert [(p.pid, p.name, p.memory_bytes) for p in gpu.processes] == [(77, "vllm", 5 * GIB)]


@pytest.mark.parametrize(
    ("version", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (110000, "gfx1100"), (110501, "gfx1151"),
     (90012, "gfx90c"), (120001, "gfx1201"), (90500, "gfx950"), (0, None), (None, None)],
)  # fmt: skip
def test_kfd_versions(version: int | None, name: str | None) -> None:
    assert gfx_name(version) == name


def test_apus_are_told_by_target_id_or_name() -> None:
    assert is_apu("gfx1151", None, None)
    assert is_apu(None, "0x1586", None)
    assert is_apu(None, None, "AMD Radeon 780M")
    assert not is_apu("gfx1100", "0x744c", "Radeon RX 7900 XTX")
    assert not is_apu(None, None, "Radeon RX 6800S")


def test_libdrm_knows_revisions() -> None:
    table = "744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n"
    assert parse_amdgpu_ids(table, "0x744c", "0xcc") == "AMD Radeon RX 7900 XT"
    assert parse_amdgpu_ids(table, "0x744c", "0xff") is None
    assert plain_name("Vega 20 [Radeon VII]") == "Radeon VII"
