"""Whole machines: what the probe makes of their files and tools together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import fake_pynvml
from support.gpu_machine import FakeMachine
from support.gpu_texts import Board, amd_list, nvidia_csv, nvidia_list, nvidia_xml, rocm_json

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu import nvml as nvml_module
from modelscan.gpu.inventory import inventory, select
from modelscan.gpu.nvidia_csv import OLD_QUERY, QUERY
from modelscan.gpu.reading import Refusal
from modelscan.gpu.rocm_smi import ARGUMENTS
from modelscan.gpu.tools import ToolOutput

KB = 1024
CSV = f"nvidia-smi --query-gpu={QUERY} --format=csv"
OLD_CSV = f"nvidia-smi --query-gpu={OLD_QUERY} --format=csv"


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    fake = FakeMachine(tmp_path)
    fake.memory(64 * GIB // KB, 48 * GIB // KB)
    return fake


def test_no_gpu_asks_no_program(fake: FakeMachine) -> None:
    found = inventory(machine=fake.machine)
    assert found.gpus == ()
    assert found.problems == ()
    assert (found.host.memory_bytes, found.host.free_bytes) == (64 * GIB, 48 * GIB)  # no swap
    assert fake.asked == []


def test_a_container_limit_is_the_memory(fake: FakeMachine) -> None:
    fake.write("/sys/fs/cgroup/memory.max", f"{8 * GIB}\n")
    fake.write("/sys/fs/cgroup/memory.current", f"{3 * GIB}\n")
    host = inventory(machine=fake.machine).host
    assert (host.memory_bytes, host.free_bytes) == (8 * GIB, 5 * GIB)


def test_nvidia_smi_stands_in_for_nvml(fake: FakeMachine) -> None:
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board(), Board(uuid="GPU-2")]))
    fake.tool("nvidia-smi topo -m", "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n")
    found = inventory(machine=fake.machine)
    assert [gpu.source for gpu in found.gpus] == ["nvidia-smi"] * 2
    assert found.links == (Link(0, 1, "nvlink"),)
    first = found.gpus[0]
    assert first.compute_capability == "8.6"  # XML does not tell it: from the table of facts
    assert first.memory_bandwidth_bytes_per_s == 768_000_000_000
    assert first.memory_bytes == 49140 * MIB  # the probe's reading, not the table's
    assert set(first.backends) == {"llama.cpp", "vllm", "sglang", "ollama"}


def test_the_probe_beats_the_table(fake: FakeMachine) -> None:
    refitted = Board("NVIDIA GeForce RTX 4090", total=49140, reserved=500, used=0)
    fake.tool("nvidia-smi -q -x", nvidia_xml([refitted]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.memory_bytes == 49140 * MIB
    assert gpu.compute_capability == "8.9"


def test_broken_xml_falls_back_to_csv_and_old_csv(fake: FakeMachine) -> None:
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board()])[:300])
    fake.tool(CSV, nvidia_csv([Board()]))
    assert len(inventory(machine=fake.machine).gpus) == 1
    fake.tool(CSV, ToolOutput('Field "memory.reserved" is not a valid field to query.', "", 2))
    fake.tool(OLD_CSV, "index, name, uuid, memory.total [MiB]\n0, Tesla K80, GPU-9, 11441 MiB\n")
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.memory_bytes == 11441 * MIB


def test_mig_uuids_come_from_the_list(fake: FakeMachine) -> None:
    board = Board("NVIDIA A100-SXM4-80GB", total=81920, slices=[("1g.10gb", 14, 9728, 12)])
    fake.tool("nvidia-smi -q -x", nvidia_xml([board]))
    fake.tool("nvidia-smi -L", nvidia_list([board]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.uuid == "MIG-0aaaaaaa-0000-1111-2222-333333333333"
    assert gpu.compute_capability == "8.0"
    assert gpu.memory_bandwidth_bytes_per_s is None  # the card's, not the slice's


def test_gb10_has_the_hosts_memory_without_swap(fake: FakeMachine) -> None:
    fake.memory(127_600_748, 120_000_000)
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board("NVIDIA GB10", total="N/A", used="N/A")]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.unified_memory
    assert gpu.memory_bytes == 127_600_748 * KB
    assert gpu.free_bytes == 120_000_000 * KB
    assert gpu.compute_capability == "12.1"
    assert gpu.memory_bandwidth_bytes_per_s == pytest.approx(273e9, rel=0.01)


def test_gb10_whose_driver_tells_memory_is_still_the_hosts(fake: FakeMachine) -> None:
    fake.memory(127_600_748, 120_000_000)
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board("NVIDIA GB10", total=124610, used=4000)]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.unified_memory
    assert gpu.free_bytes == 120_000_000 * KB


def test_a_jetson_is_known_by_its_device_tree(fake: FakeMachine) -> None:
    fake.memory(8_000_000, 6_000_000)
    fake.write("/dev/nvmap", "")
    fake.write("/proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.name.startswith("NVIDIA Jetson Orin Nano")
    assert (gpu.memory_bytes, gpu.unified_memory) == (8_000_000 * KB, True)
    assert gpu.compute_capability == "8.7"


def test_a_lost_gpu_is_left_out_by_name(fake: FakeMachine) -> None:
    said = "Unable to determine the device handle for GPU0000:02:00.0: GPU is lost.\n"
    fake.tool("nvidia-smi -q -x", ToolOutput(said, "", 15))
    fake.tool(CSV, nvidia_csv([Board()]) + said)
    found = inventory(machine=fake.machine)
    assert len(found.gpus) == 1
    assert [problem.code for problem in found.problems] == ["broken_gpu"]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (ToolOutput("Failed to initialize NVML: Driver/library version mismatch\n", "", 18),
         "driver_mismatch"),
        (ToolOutput("", "", None, "timeout"), "timeout"),
        (ToolOutput("x" * 100, "", None, "too_much"), "too_much"),
        (ToolOutput("", "Exec format error", None, "cannot_start"), "cannot_start"),
        (ToolOutput("", "segfault", -11), "tool_failed"),
        (ToolOutput("garbage\x00\xff", "", 0), "not_xml"),
    ],
)  # fmt: skip
def test_a_failing_nvidia_smi_is_one_named_problem(
    fake: FakeMachine, output: ToolOutput, code: str
) -> None:
    for command in ("nvidia-smi -q -x", CSV, OLD_CSV, "nvidia-smi"):
        fake.tool(command, output)
    found = inventory(machine=fake.machine)
    assert found.gpus == ()
    assert [problem.code for problem in found.problems] == [code]
    if code == "timeout":
        assert len(fake.asked) == 1  # not asked four times


def test_a_container_without_the_devices(fake: FakeMachine) -> None:
    fake.pci("0000:41:00.0", 0x10DE, 0x26B9, 0x030200)
    fake.write("/proc/driver/nvidia/version", "NVRM version: 570\n")
    found = inventory(machine=fake.machine)
    assert [problem.code for problem in found.problems] == ["container_without_device"]
    assert "--gpus all" in (found.problems[0].hint or "")


def test_a_card_without_a_driver(fake: FakeMachine) -> None:
    fake.pci("0000:41:00.0", 0x10DE, 0x26B9, 0x030200)
    assert [p.code for p in inventory(machine=fake.machine).problems] == ["driver_missing"]
    other = FakeMachine(fake.root / "amd")
    other.pci("0000:42:00.0", 0x1002, 0x744C)
    assert [p.code for p in inventory(machine=other.machine).problems] == ["driver_missing"]


def test_cuda_visible_devices_limits_and_reorders(fake: FakeMachine) -> None:
    boards = [Board(uuid=f"GPU-{i}", bus=f"00000000:0{i}:00.0") for i in range(1, 4)]
    fake.tool("nvidia-smi -q -x", nvidia_xml(boards))
    fake.environ["CUDA_VISIBLE_DEVICES"] = "2,0"
    found = inventory(machine=fake.machine)
    assert [(gpu.index, gpu.visible_index) for gpu in found.gpus] == [(2, 0), (0, 1)]
    assert [gpu.index for gpu in found.hidden] == [1]
    assert [gpu.uuid for gpu in select(found, [0]).gpus] == ["GPU-1"]


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
    assert card.backends == ("llama.cpp",)
    assert graphics.integrated


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


def test_numbers_go_on_across_vendors(fake: FakeMachine) -> None:
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board()]))
    fake.amd_card(0, "0000:03:00.0", 0x744C, vram=24 * GIB)
    found = inventory(machine=fake.machine)
    assert [(g.index, g.vendor, g.vendor_index) for g in found.gpus] == [
        (0, "nvidia", 0),
        (1, "amd", 0),
    ]


def test_a_hanging_driver_does_not_hang_the_probe(
    fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(nvml_module, "run_nvml", lambda: time.sleep(5))
    (fake.root / "lib").mkdir()
    (fake.root / "lib" / "libnvidia-ml.so.1").touch()
    fake.environ["LD_LIBRARY_PATH"] = str(fake.root / "lib")
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board()]))
    started = time.monotonic()
    found = inventory(machine=replace(fake.machine, timeout_s=0.2))
    assert time.monotonic() - started < 2
    assert [problem.code for problem in found.problems] == ["nvml_hangs"]
    assert fake.asked == []  # nvidia-smi asks the same driver


def test_nvml_is_asked_first(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"total": 15360 * MIB, "reserved": 400 * MIB, "used": 0, "free": 14960 * MIB}
    library = fake_pynvml.build(devices=[{"name": "Tesla T4", "uuid": "GPU-t4", "memory": memory}])
    monkeypatch.setattr(nvml_module, "run_nvml", lambda: nvml_module.read_nvml(library))
    (fake.root / "lib").mkdir()
    (fake.root / "lib" / "libnvidia-ml.so.1").touch()
    fake.environ["LD_LIBRARY_PATH"] = str(fake.root / "lib")
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board()]))
    (gpu,) = inventory(machine=fake.machine).gpus
    assert (gpu.source, gpu.memory_bytes) == ("nvml", 15360 * MIB)
    assert fake.asked == []

    def refuse() -> None:
        raise Refusal("driver_mismatch", "versions differ")

    monkeypatch.setattr(nvml_module, "run_nvml", refuse)
    found = inventory(machine=fake.machine)
    assert found.gpus[0].source == "nvidia-smi"
    assert [problem.code for problem in found.problems] == ["driver_mismatch"]


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


def test_a_slow_driver_is_said(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from modelscan.gpu import nvidia

    library = fake_pynvml.build(devices=[{"name": "Tesla T4", "uuid": "GPU-t4"}])

    def slow() -> object:
        time.sleep(0.05)
        return nvml_module.read_nvml(library)

    monkeypatch.setattr(nvidia, "_SLOW_S", 0.01)
    monkeypatch.setattr(nvml_module, "run_nvml", slow)
    (fake.root / "lib").mkdir()
    (fake.root / "lib" / "libnvidia-ml.so.1").touch()
    fake.environ["LD_LIBRARY_PATH"] = str(fake.root / "lib")
    found = inventory(machine=fake.machine)
    assert [problem.code for problem in found.problems] == ["slow_driver"]
    assert len(found.gpus) == 1
