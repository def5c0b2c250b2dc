"""Intel, Ascend, Apple, Jetson and the PCI bus."""

from __future__ import annotations

import json

import pytest

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.apple import apple_gpu, parse_system_profiler
from modelscan.gpu.ascend import npu_smi
from modelscan.gpu.intel import xpu_smi
from modelscan.gpu.nvidia.tegrastats import parse_tegrastats
from modelscan.gpu.pci import parse_lspci
from modelscan.gpu.reading import ParseError

DEVICE = {
    "device_id": 1, "device_name": "Intel(R) Data Center GPU Max 1550", "uuid": "0-0-1",
    "driver_version": "I915_24", "memory_physical_size_byte": str(128 * GIB),
    "memory_free_size_byte": str(120 * GIB), "pci_bdf_address": "0000:29:00.0",
    "pci_device_id": "0xbd5",
}  # fmt: skip


def test_one_intel_device_tells_memory_as_a_string() -> None:
    (gpu,) = xpu_smi.parse_json(json.dumps(DEVICE)).gpus
    assert gpu.name == "Intel Data Center GPU Max 1550"
    assert (gpu.index, gpu.memory_bytes, gpu.free_bytes) == (1, 128 * GIB, 120 * GIB)
    assert gpu.pci_device_id == "0x0bd5"


def test_the_intel_list_has_no_memory_and_says_so() -> None:
    listed = {"device_list": [{"device_id": 0, "device_name": "Intel(R) Arc(TM) B580 Graphics"}]}
    reading = xpu_smi.parse_json(json.dumps(listed))
    assert reading.gpus[0].memory_bytes is None
    assert reading.problems[0].code == "no_memory"


def test_intel_statistics_by_device() -> None:
    level = [{"metrics_type": "XPUM_STATS_MEMORY_USED", "value": 2048.0}]
    (gpu,) = xpu_smi.parse_json(json.dumps({"device_id": 0, "device_level": level})).gpus
    assert gpu.used_bytes == 2048 * MIB


def test_intel_tables_and_dumps() -> None:
    table = (
        "+----+-----+\n| Device ID | Device Information |\n+====+=====+\n"
        "| 0 | Device Name: Intel(R) Arc(TM) Pro B60 Graphics |\n"
        "|   | Memory Physical Size: 24480.00 MiB |\n+----+\n"
        "| 1 | Device Name: Intel(R) Arc(TM) A770 Graphics |\n"
    )
    first, second = xpu_smi.parse_text(table).gpus
    assert (first.name, first.memory_bytes) == ("Intel Arc Pro B60 Graphics", 24480 * MIB)
    assert second.index == 1
    dump = "Timestamp, DeviceId, GPU Memory Used (MiB)\n10:00:00, 0, 12.5\n10:00:01, 0, 100\n"
    assert xpu_smi.parse_text(dump).gpus[0].used_bytes == 100 * MIB


def test_intel_topology_between_cards() -> None:
    text = (
        "         GPU 0/0 GPU 0/1 GPU 1/0 CPU Affinity\nGPU 0/0 S MDF XL16 0-23\n"
        "GPU 0/1 MDF S SYS 0-23\nGPU 1/0 XL16 SYS S 24-47\n"
    )
    reading = xpu_smi.parse_text(text)
    assert reading.links == (Link(0, 1, "xelink"),)


def test_intel_refusals() -> None:
    for text, code in (
        ("xpu-smi topology\n\nUsage: xpu-smi topology [Options]\n", "help_text"),
        ("Error: Level Zero Initialization Error", "no_devices"),
        ("permission denied", "no_permission"),
    ):
        with pytest.raises(ParseError) as caught:
            xpu_smi.parse_text(text)
        assert caught.value.code == code


def npu(rows: list[str]) -> str:
    head = [
        "| npu-smi 24.1.rc2             Version: 24.1.rc2                              |",
        "| NPU   Name         | Health        | Power(W)  Temp(C)    Hugepages-Usage   |",
        "| Chip               | Bus-Id        | AICore(%) Memory-Usage(MB) HBM-Usage(MB)|",
    ]
    return "\n".join(["+---+", *head, "+===+", *rows, "+===+"])


def test_ascend_with_hbm_and_processes() -> None:
    text = npu([
        "| 4     910B3        | OK            | 93.1      47         0    / 0          |",
        "| 0                  | 0000:C1:00.0  | 0         0    / 0   3353 / 65536      |",
        "+===+",
        "| NPU     Chip       | Process id    | Process name       | Process memory(MB) |",
        "| 4       0          | 991           | python3            | 3021               |",
    ])  # fmt: skip
    (gpu,) = npu_smi.parse_info(text).gpus
    assert (gpu.index, gpu.name, gpu.vendor) == (0, "Ascend 910B3", "ascend")
    assert (gpu.memory_bytes, gpu.used_bytes) == (65536 * MIB, 3353 * MIB)
    assert gpu.driver_version == "24.1.rc2"
    assert [(p.pid, p.memory_bytes) for p in gpu.processes] == [(991, 3021 * MIB)]


def test_ascend_310p_has_one_memory_column_and_a3_two_chips() -> None:
    text = npu([
        "| 0     310P3        | OK            | NA        48         15   / 15         |",
        "| 0     0            | 0000:01:00.0  | 0         1708 / 21527                 |",
        "| 1     Ascend910    | OK            | -         40         0    / 0          |",
        "| 0     2            | 0000:9D:00.0  | 0         0    / 0   2867/ 65536       |",
        "| 1     Ascend910    | OK            | -         40         0    / 0          |",
        "| 1     3            | 0000:9F:00.0  | 0         0    / 0   2867/ 65536       |",
        "| 2     910B1        | Alarm         | 90        40         0    / 0          |",
        "| 0                  | 0000:A1:00.0  | 0         0    / 0   10  / 65536       |",
    ])  # fmt: skip
    reading = npu_smi.parse_info(text)
    assert [gpu.memory_bytes // MIB for gpu in reading.gpus] == [21527, 65536, 65536, 65536]
    names = ["Ascend 310P3", "Ascend910", "Ascend910", "Ascend 910B1"]
    assert [gpu.name for gpu in reading.gpus] == names
    assert [problem.code for problem in reading.problems] == ["unhealthy_gpu"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_mac_has_its_working_set(as_json: bool) -> None:
    document = {
        "SPHardwareDataType": [{"chip_type": "Apple M4 Max", "physical_memory": "64 GB"}],
        "SPDisplaysDataType": [{"_name": "Apple M4 Max", "sppci_model": "Apple M4 Max"}],
    }
    text = "    Memory: 64 GB\n\n      Chipset Model: Apple M4 Max\n      Type: GPU\n"
    reading = parse_system_profiler(json.dumps(document) if as_json else text)
    (gpu,) = reading.gpus
    assert (gpu.name, gpu.memory_bytes) == ("Apple M4 Max", 48 * GIB)
    assert gpu.unified_memory


def test_a_mac_with_a_raised_limit_and_little_free() -> None:
    gpu = apple_gpu("Apple M2 Max", 96 * GIB, 20 * GIB, 90 * GIB)
    assert (gpu.memory_bytes, gpu.free_bytes) == (90 * GIB, 20 * GIB)
    with pytest.raises(ParseError):
        parse_system_profiler("      Chipset Model: AMD Radeon Pro 5500M\n")


def test_a_jetson_counts_no_swap() -> None:
    text = "03-10-2026 12:00:00 RAM 3000/7620MB (lfb 1x4MB) SWAP 100/3810MB CPU [1%@729]\n"
    (gpu,) = parse_tegrastats(text).gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (7620 * MIB, 4620 * MIB)


def test_the_pci_bus_names_accelerators_and_nothing_else() -> None:
    text = (
        "00:02.0 VGA compatible controller [0300]: Red Hat, Inc. Virtio GPU [1af4:1050]\n"
        "03:00.0 VGA compatible controller [0300]: ASPEED Technology, Inc. X [1a03:2000]\n"
        "41:00.0 3D controller [0302]: NVIDIA Corporation AD102GL [L40S] [10de:26b9] (rev a1)\n"
        "42:00.0 Bridge [0680]: NVIDIA Corporation GA100 [A100 NVSwitch] [10de:1af1] (rev a1)\n"
        "81:00.0 Processing accelerators [1200]: Advanced Micro Devices, Inc. [AMD/ATI] "
        "Aqua Vanjaram [Instinct MI300X] [1002:74a1]\n"
        "0000:c1:00.0 Processing accelerators [1200]: Huawei Technologies Co., Ltd. "
        "Device [19e5:d802] (rev 20)\n"
        "d1:00.0 Processing accelerators [1200]: Habana Labs Ltd. HL-2000 AI Training "
        "Accelerator [Gaudi] [1da3:1000]\n"
    )
    gpus = parse_lspci(text).gpus
    assert [(gpu.vendor, gpu.name) for gpu in gpus] == [
        ("nvidia", "L40S"),
        ("amd", "Instinct MI300X"),
        ("ascend", "Ascend NPU [d802]"),
        ("intel", "Gaudi"),
    ]
    assert all(gpu.memory_bytes is None for gpu in gpus)
    for text, code in (("00:1f.0 ISA bridge [0601]: Intel X [8086:2918]", "no_devices"),
                       ("hello", "not_lspci")):  # fmt: skip
        with pytest.raises(ParseError) as caught:
            parse_lspci(text)
        assert caught.value.code == code
