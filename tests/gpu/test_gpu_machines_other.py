"""Machines with AMD, Intel, Apple and other devices: files and tools together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.gpu_machine import FakeMachine
from support.gpu_texts import amd_list, rocm_json

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.amd.rocm_smi import ARGUMENTS
from modelscan.gpu.inventory import inventory
from modelscan.gpu.nvidia.csv import APPS, OLD_QUERY, QUERY
from modelscan.gpu.tools import ToolOutput

KB = 1024
CSV = f"nvidia-smi --query-gpu={QUERY} --format=csv"
OLD_CSV = f"nvidia-smi --query-gpu={OLD_QUERY} --format=csv"


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    fake = FakeMachine(tmp_path)
    fake.memory(64 * GIB // KB, 48 * GIB // KB)
    return fake


def test_amd_from_the_kernel_alone(fake: FakeMachine) -> None:
    fake.amd_card(1, "0000:43:00.0", 0x74A1, vram=192 * GIB, used=GIB,
                  product="AMD Instinct MI300X OAM")  # fmt: skip
    fake.amd_card(0, "0000:03:00.0", 0x74A1, vram=192 * GIB, product="AMD Instinct MI300X OAM")
    fake.kfd_node(0, 0, 0, 0)
    fake.kfd_node(1, 501, 90402, 0x4300, peers=[2])
    fake.kfd_node(2, 502, 90402, 0x0300, peers=[1])
    fake.write("/sys/class/kfd/kfd/proc/991/vram_501", f"{GIB // 2}\n")
    fake.write("/proc/991/comm", "vllm\n")
    found = inventory(machine=fake.machine)
    assert [gpu.pci_bus_id for gpu in found.gpus] == ["0000:43:00.0", "0000:03:00.0"]  # ROCm's
    first = found.gpus[0]
    assert (first.gfx_target, first.free_bytes) == ("gfx942", 191 * GIB)
    assert first.memory_bandwidth_bytes_per_s == 5_300_000_000_000
    assert [(p.pid, p.name, p.memory_bytes) for p in first.processes] == [(991, "vllm", GIB // 2)]
    assert found.links == (Link(0, 1, "xgmi"),)
    assert fake.asked == []


def test_strix_halo_uses_gtt_and_never_the_sum(fake: FakeMachine) -> None:
    fake.memory(128 * GIB // KB, 120 * GIB // KB)
    fake.amd_card(0, "0000:c4:00.0", 0x1586, vram=512 * MIB, used=100 * MIB, gtt=64 * GIB)
    fake.kfd_node(1, 7, 110501, 0xC400)
    (gpu,) = inventory(machine=fake.machine).gpus
    assert (gpu.name, gpu.gfx_target) == ("Radeon 8060S", "gfx1151")
    assert gpu.unified_memory
    assert not gpu.integrated  # it is the GPU of this machine
    assert gpu.memory_bytes == 64 * GIB
    assert (gpu.dedicated_bytes, gpu.shared_bytes) == (512 * MIB, 64 * GIB)
    assert gpu.backends


def test_strix_halo_with_a_carve_out_and_absurd_gtt(fake: FakeMachine) -> None:
    fake.memory(30 * GIB // KB, 24 * GIB // KB)
    fake.amd_card(0, "0000:c4:00.0", 0x1586, vram=96 * GIB, used=GIB, gtt=15 * GIB)
    (gpu,) = inventory(machine=fake.machine).gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (96 * GIB, 95 * GIB)
    fake.amd_card(0, "0000:c4:00.0", 0x1586, vram=512 * MIB, gtt=132 * GIB)
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.memory_bytes == 30 * GIB  # capped by what the machine has
    assert gpu.free_bytes == 24 * GIB


def test_a_processors_graphics_beside_a_card_is_told_apart(fake: FakeMachine) -> None:
    fake.amd_card(0, "0000:0f:00.0", 0x164E, vram=512 * MIB, gtt=32 * GIB)
    fake.amd_card(1, "0000:03:00.0", 0x744C, vram=24 * GIB, revision=0xC8)
    fake.kfd_node(1, 11, 110000, 0x0300)
    fake.kfd_node(2, 12, 100306, 0x0F00)
    card, graphics = inventory(machine=fake.machine).gpus
    assert (card.integrated, card.memory_bytes, card.gfx_target) == (False, 24 * GIB, "gfx1100")
    assert "llama.cpp" in card.backends
    assert graphics.integrated
    assert graphics.backends == ()  # named, not offered


def test_two_compute_units_are_no_gpu_to_run_models_on(fake: FakeMachine) -> None:
    fake.amd_card(0, "0000:0f:00.0", 0x164E, vram=512 * MIB, gtt=32 * GIB)
    (graphics,) = inventory(machine=fake.machine).gpus
    assert graphics.integrated
    assert graphics.backends == ()


def test_amd_smi_and_rocm_smi_where_the_kernel_is_silent(fake: FakeMachine) -> None:
    static = {"gpu": 0, "asic": {"market_name": "AMD Instinct MI210",
                                 "target_graphics_version": "gfx90a"}}  # fmt: skip
    metric = {"gpu": 0, "mem_usage": {"total_vram": {"value": 65520, "unit": "MB"},
                                      "used_vram": {"value": 20, "unit": "MB"}}}  # fmt: skip
    fake.tool("amd-smi static --json", amd_list([static], wrapped=True))
    fake.tool("amd-smi metric --json", amd_list([metric], wrapped=True))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (65520 * MIB, 65500 * MIB)
    assert gpu.source == "amd-smi"
    fake.tool("amd-smi static --json", ToolOutput("", "AMDSMI_STATUS_NOT_INIT", 1))
    card = {"VRAM Total Memory (B)": str(8 * GIB), "VRAM Total Used Memory (B)": "0",
            "Device ID": "0x73ff"}  # fmt: skip
    fake.tool(" ".join(["rocm-smi", *ARGUMENTS]), rocm_json([card]))
    found = inventory(machine=fake.machine)
    assert found.gpus[0].source == "rocm-smi"
    assert found.problems == ()


def test_hidden_amd_devices(fake: FakeMachine) -> None:
    fake.amd_card(0, "0000:03:00.0", 0x744C, vram=24 * GIB)
    fake.amd_card(1, "0000:04:00.0", 0x744C, vram=24 * GIB)
    fake.environ["HIP_VISIBLE_DEVICES"] = "1"
    found = inventory(machine=fake.machine)
    assert [gpu.index for gpu in found.gpus] == [1]
    assert [gpu.index for gpu in found.hidden] == [0]


def test_intel_card_and_graphics(fake: FakeMachine) -> None:
    fake.pci("0000:03:00.0", 0x8086, 0xE20B)
    for number, device, bus in ((0, 0x7D55, "0000:00:02.0"), (1, 0xE20B, "0000:03:00.0")):
        folder = f"/sys/class/drm/card{number}/device"
        fake.write(f"{folder}/vendor", "0x8086\n")
        fake.write(f"{folder}/device", f"0x{device:04x}\n")
        fake.write(f"{folder}/uevent", f"PCI_SLOT_NAME={bus}\n")
    fake.tool("xpu-smi discovery -j", '{"device_list": [{"device_id": 0, "device_name": '
              '"Intel(R) Graphics [0xe20b]", "pci_bdf_address": "0000:03:00.0"}]}')  # fmt: skip
    fake.tool("xpu-smi discovery -d 0 -j", '{"device_id": 0, "pci_bdf_address": "0000:03:00.0", '
              f'"memory_physical_size_byte": "{12 * GIB}"}}')  # fmt: skip
    card, graphics = inventory(machine=fake.machine).gpus
    assert (card.name, card.memory_bytes) == ("Intel Arc B580", 12 * GIB)
    assert card.memory_bandwidth_bytes_per_s == 456_000_000_000
    assert card.backends == ("llama.cpp", "vllm")
    assert graphics.integrated


def test_an_unknown_intel_card_is_a_card_and_the_processors_part_is_not(fake: FakeMachine) -> None:
    for number, bus in ((0, "0000:00:02.0"), (1, "0000:03:00.0")):
        folder = f"/sys/class/drm/card{number}/device"
        fake.write(f"{folder}/vendor", "0x8086\n")
        fake.write(f"{folder}/device", "0xe2ff\n")
        fake.write(f"{folder}/uevent", f"PCI_SLOT_NAME={bus}\n")
    fake.pci("0000:03:00.0", 0x8086, 0xE2FF)
    graphics, card = inventory(machine=fake.machine).gpus
    assert (graphics.integrated, card.integrated) == (True, False)
    listed = [{"device_id": i, "device_name": "Intel(R) Graphics", "pci_bdf_address": bus}
              for i, bus in enumerate(("0000:00:02.0", "0000:03:00.0"))]  # fmt: skip
    fake.tool("xpu-smi discovery -j", json.dumps({"device_list": listed}))
    for i, one in enumerate(listed):
        told = {**one, "memory_physical_size_byte": str(16 * GIB)}
        fake.tool(f"xpu-smi discovery -d {i} -j", json.dumps(told))
    graphics, card = inventory(machine=fake.machine).gpus
    assert (graphics.integrated, graphics.backends) == (True, ())
    assert (card.integrated, card.memory_bytes) == (False, 16 * GIB)


def test_devices_nobody_supports_are_named(fake: FakeMachine) -> None:
    fake.pci("0000:c1:00.0", 0x1ED5, 0x0222, 0x030000)
    found = inventory(machine=fake.machine)
    assert [problem.code for problem in found.problems] == ["unsupported_device"]
    assert "Moore Threads" in found.problems[0].message
    fake.tool("npu-smi info", (
        "| npu-smi 24.1   Version: 24.1 |\n| 0  910B3 | OK | 9 | \n"
        "| 0 | 0000:C2:00.0 | 0 0 / 0 3000/ 65536 |\n"
    ))  # fmt: skip
    (npu,) = inventory(machine=fake.machine).gpus
    assert (npu.vendor, npu.backends) == ("ascend", ())


def test_a_mac_asks_sysctl_alone(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path)
    fake.said = {
        "sysctl -n hw.memsize machdep.cpu.brand_string": ToolOutput(f"{64 * GIB}\nApple M4 Max\n"),
        "vm_stat": ToolOutput(
            "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
            "Pages free:                  100000.\nPages active:                500000.\n"
            "Pages inactive:             2000000.\nPages speculative:              100.\n"
            "Pages purgeable:               5000.\n"
        ),
        "sysctl -n iogpu.wired_limit_mb": ToolOutput("0\n"),
    }
    mac = replace(fake.machine, system="darwin")
    found = inventory(machine=mac)
    (gpu,) = found.gpus
    assert (gpu.name, gpu.memory_bytes) == ("Apple M4 Max", 48 * GIB)
    assert found.host.free_bytes == 2_105_100 * 16384
    assert gpu.free_bytes == 2_105_100 * 16384
    assert gpu.memory_bandwidth_bytes_per_s == 546_000_000_000
    assert gpu.backends == ("llama.cpp", "ollama")
    fake.said["sysctl -n iogpu.wired_limit_mb"] = ToolOutput("57344\n")
    assert inventory(machine=mac).gpus[0].memory_bytes == 56 * GIB


def test_an_intel_mac_has_no_gpu_here(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path)
    said = ToolOutput(f"{16 * GIB}\nIntel(R) Core(TM) i7\n")
    fake.said = {"sysctl -n hw.memsize machdep.cpu.brand_string": said}
    found = inventory(machine=replace(fake.machine, system="darwin"))
    assert found.gpus == ()
    assert found.host.memory_bytes == 16 * GIB


def test_amd_smi_whose_static_fails_still_tells_memory(fake: FakeMachine) -> None:
    metric = {"gpu": 0, "mem_usage": {"total_vram": "65520 MB", "used_vram": "20 MB"}}
    fake.tool("amd-smi static --json", ToolOutput("", "Traceback", 1))
    fake.tool("amd-smi metric --json", amd_list([metric], wrapped=False))
    found = inventory(machine=fake.machine)
    assert [gpu.free_bytes for gpu in found.gpus] == [65500 * MIB]
    assert found.problems == ()


def test_an_old_rocm_smi_is_asked_for_all_it_knows(fake: FakeMachine) -> None:
    unknown = "rocm-smi: error: unrecognized arguments: --showdriverversion"
    fake.tool(" ".join(["rocm-smi", *ARGUMENTS]), ToolOutput("", unknown, 2))
    card = {"VRAM Total Memory (B)": str(8 * GIB), "GPU ID": "0x73ff"}
    fake.tool("rocm-smi -a --json", rocm_json([card]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert (gpu.memory_bytes, gpu.source) == (8 * GIB, "rocm-smi")


def test_who_holds_memory_is_known_without_the_xml(fake: FakeMachine) -> None:
    fake.tool("nvidia-smi -q -x", ToolOutput("<nvidia_smi_log><gpu id="))
    fake.tool(CSV, ToolOutput("index, name, uuid, memory.total [MiB]\n0, NVIDIA L4, GPU-1, 23034"))
    users = "gpu_uuid, pid, process_name, used_gpu_memory [MiB]\nGPU-1, 77, vllm, 900 MiB\n"
    fake.tool(" ".join(["nvidia-smi", *APPS]), ToolOutput(users))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert [(p.pid, p.name, p.memory_bytes) for p in gpu.processes] == [(77, "vllm", 900 * MIB)]


def test_a_device_of_unknown_memory_is_said(fake: FakeMachine) -> None:
    fake.tool("nvidia-smi -q -x", ToolOutput("GPU 0: NVIDIA L4 (UUID: GPU-1)\n"))
    found = inventory(machine=fake.machine)
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA L4"]
    assert [problem.code for problem in found.problems] == ["no_memory"]
    assert "NVIDIA L4" in (found.problems[0].hint or "")


def test_failures_carry_the_tools_own_name_and_a_hint(fake: FakeMachine) -> None:
    fake.tool("npu-smi info", ToolOutput("x" * 100, "", None, "too_much"))
    fake.tool("amd-smi static --json", ToolOutput(""))
    fake.tool("xpu-smi discovery -j", ToolOutput("xpu-smi topology\nUsage: xpu-smi topology -m\n"
                                                 "  -h,--help  Print this help message\n"))  # fmt: skip
    fake.tool("nvidia-smi -q -x", ToolOutput('{"card0": {"VRAM Total Mem'))
    problems = {p.code: p for p in inventory(machine=fake.machine).problems}
    assert set(problems) == {"too_much", "empty", "help_text", "not_xml"}
    assert "amd-smi" in problems["empty"].message
    assert "nvidia-smi" in problems["not_xml"].message
    assert all(problem.hint for problem in problems.values())
