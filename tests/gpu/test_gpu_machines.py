"""Whole machines: what the probe makes of their files and tools together."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support import fake_pynvml
from support.gpu_machine import FakeMachine
from support.gpu_texts import Board, nvidia_csv, nvidia_list, nvidia_query, nvidia_table, nvidia_xml

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.inventory import inventory, select
from modelscan.gpu.nvidia import nvml as nvml_module
from modelscan.gpu.nvidia.csv import OLD_QUERY, QUERY
from modelscan.gpu.reading import ParseError
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
    released = threading.Event()
    monkeypatch.setattr(nvml_module, "run_nvml", lambda: released.wait())
    (fake.root / "lib").mkdir()
    (fake.root / "lib" / "libnvidia-ml.so.1").touch()
    fake.environ["LD_LIBRARY_PATH"] = str(fake.root / "lib")
    fake.tool("nvidia-smi -q -x", nvidia_xml([Board()]))
    found = inventory(machine=replace(fake.machine, timeout_s=0.2))  # would never return
    released.set()
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
        raise ParseError("driver_mismatch", "versions differ")

    monkeypatch.setattr(nvml_module, "run_nvml", refuse)
    found = inventory(machine=fake.machine)
    assert found.gpus[0].source == "nvidia-smi"
    assert [problem.code for problem in found.problems] == ["driver_mismatch"]


def test_a_slow_driver_is_said(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from modelscan.gpu.nvidia import probe as nvidia

    memory = {"total": 15360 * MIB, "used": 0, "free": 15000 * MIB}
    library = fake_pynvml.build(devices=[{"name": "Tesla T4", "uuid": "GPU-t4", "memory": memory}])

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


@pytest.mark.parametrize(
    "form", [nvidia_query(Board()), nvidia_table([Board()]), nvidia_csv([Board()])]
)
def test_a_tool_that_answers_in_another_form_is_read(fake: FakeMachine, form: str) -> None:
    for command in ("nvidia-smi -q -x", CSV, OLD_CSV, "nvidia-smi"):
        fake.tool(command, form)
    (gpu,) = inventory(machine=fake.machine).gpus
    assert gpu.memory_bytes == 49140 * MIB
