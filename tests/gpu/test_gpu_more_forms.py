"""Forms of the tools that versions and options print, through the dispatcher that recognises them."""

from __future__ import annotations

import json

import pytest
from support.gpu_texts import (
    Board,
    nvidia_csv,
    nvidia_list,
    nvidia_query,
    nvidia_table,
    nvidia_xml,
)

from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.detect_format import detect_format
from modelscan.gpu.reading import ParseError
from tests.support.gpu_samples import parse_sample


def test_amd_smi_without_options() -> None:
    text = """\
+------------------------------------------------------------------------------+
| AMD-SMI 26.1.0+abc           amdgpu version: 6.14.14  ROCm version: 7.1.0    |
|-------------------------------------+----------------------------------------|
| BDF                        GPU-Name | Mem-Uti   Temp   UEC       Power-Usage |
| GPU  HIP-ID  OAM-ID  Partition-Mode | GFX-Uti    Fan               Mem-Usage |
|=====================================+========================================|
| 0000:0c:00.0    AMD Instinct MI300X | 0 %      41 °C   0          138/750 W  |
|   0       0       7        SPX/NPS1 | 0 %        N/A           283/196592 MB |
|-------------------------------------+----------------------------------------|
| 0000:22:00.0    AMD Instinct MI300X | 0 %      40 °C   0          137/750 W  |
|   1       1       6        SPX/NPS1 | 0 %        N/A         10000/196592 MB |
+-------------------------------------+----------------------------------------+
| Processes:                                                                   |
|  GPU        PID  Process Name          GTT_MEM  VRAM_MEM  MEM_USAGE     CU % |
|==============================================================================|
|    1      90210  vllm                   2.0 MB    9.5 GB     9.6 GB   0.0 %  |
+------------------------------------------------------------------------------+
"""
    first, second = parse_sample(text).gpus
    assert (first.memory_bytes, first.free_bytes) == (196592 * MIB, 196309 * MIB)
    assert (first.gfx_target, first.driver_version) == ("gfx942", "6.14.14")
    assert second.used_bytes == 10000 * MIB
    assert [(p.pid, p.name, p.memory_bytes) for p in second.processes] == [
        (90210, "vllm", round(9.5 * GIB))
    ]


def test_amd_smi_topology_in_both_forms() -> None:
    text = (
        "LINK TYPE TABLE:\n             0000:01:00.0 0000:02:00.0 0000:41:00.0\n"
        "0000:01:00.0 SELF         XGMI         PCIE\n0000:02:00.0 XGMI         SELF         PCIE\n"
        "0000:41:00.0 PCIE         PCIE         SELF\n"
    )
    reading = parse_sample(text)
    assert len(reading.gpus) == 3
    assert reading.links == (Link(0, 1, "xgmi"), Link(0, 2, "pcie"), Link(1, 2, "pcie"))
    document = [{"gpu": 0, "bdf": "0000:01:00.0", "links": [{"gpu": 0, "link_type": "SELF"},
                 {"gpu": 1, "link_type": "XGMI"}]}, {"gpu": 1, "links": []}]  # fmt: skip
    assert parse_sample(json.dumps(document)).links == (Link(0, 1, "xgmi"),)


def test_amd_smi_processes_partitions_and_usage_columns() -> None:
    text = (
        "GPU: 0\n    PROCESS_INFO:\n        NAME: python3\n        PID: 11\n"
        "        MEMORY_USAGE:\n            VRAM_MEM: 1.5 GB\n"
        "    PROCESS_INFO:\n        NAME: rvs\n        PID: 12\n"
        "        MEMORY_USAGE:\n            VRAM_MEM: 0.0 B\n"
    )
    (gpu,) = parse_sample(text).gpus
    assert [(p.pid, p.name, p.memory_bytes) for p in gpu.processes] == [
        (11, "python3", round(1.5 * GIB)),
        (12, "rvs", 0),
    ]
    table = (
        "GPU_ID  MEMORY  ACCELERATOR_TYPE  PARTITION_ID\n0       NPS1    SPX  0\n1  NPS1  SPX  0\n"
    )
    assert [gpu.index for gpu in parse_sample(table).gpus] == [0, 1]
    monitor = "GPU  XCP  POWER  GPU_T  VRAM_USAGE\n  0    0  140 W  42 °C  0.5/192.0 GB\n"
    (gpu,) = parse_sample(monitor).gpus
    assert (gpu.memory_bytes, gpu.used_bytes) == (192 * GIB, GIB // 2)


def test_rocm_smi_concise_tables() -> None:
    old = (
        "========== ROCm System Management Interface ==========\n=== Concise Info ===\n"
        "GPU  Temp   AvgPwr  SCLK    MCLK    Fan   Perf  PwrCap  VRAM%  GPU%\n"
        "0    31.0c  17.0W   800Mhz  96Mhz   0.0%  auto  300.0W    0%   7%\n"
        "1    30.0c  17.0W   800Mhz  96Mhz   0.0%  auto  300.0W    0%   0%\n======\n"
    )
    reading = parse_sample(old)
    assert [gpu.utilization_percent for gpu in reading.gpus] == [7, 0]
    assert reading.problems[0].code == "no_memory"
    new = (
        "=== ROCm System Management Interface ===\n==== Concise Info ====\n"
        "Device  Node  IDs              Temp    Power  VRAM%  GPU%\n"
        "              (DID,     GUID)  (Edge)  (Avg)\n"
        "0       1     0x74a1,   28851  35.0°C  141.0W  0%     0%\n"
    )
    (gpu,) = parse_sample(new).gpus
    assert gpu.name == "Instinct MI300X"


def test_xpu_smi_processes_settings_and_csv() -> None:
    text = (
        "PID       Command             DeviceID       SHR            MEM\n71  python  0  0  2048\n"
    )
    (gpu,) = parse_sample(text).gpus
    assert [(p.pid, p.memory_bytes) for p in gpu.processes] == [(71, 2 * MIB)]
    document = {"device_util_by_proc_list": [{"device_id": 1, "process_id": 5, "mem_size": 1024,
                                              "process_name": "a"}]}  # fmt: skip
    (gpu,) = parse_sample(json.dumps(document)).gpus
    assert (gpu.index, gpu.processes[0].memory_bytes) == (1, MIB)
    table = (
        "| Device Type | Device ID/Tile ID | Configuration |\n"
        "| GPU         | 3                 | Power Limit (w): 300.0 |\n"
    )
    assert parse_sample(table).gpus[0].index == 3
    csv = 'Device ID,Device Name,Memory Physical Size\n"2","Intel(R) Arc(TM) A770",15473.80 MiB\n'
    (gpu,) = parse_sample(csv).gpus
    assert (gpu.index, gpu.name) == (2, "Intel Arc A770")
    assert gpu.memory_bytes == round(15473.80 * MIB)


def test_lspci_without_numbers() -> None:
    text = (
        "00:02.0 VGA compatible controller: Intel Corporation Alder Lake-S GT1 [UHD 770] (rev 0c)\n"
        "01:00.0 VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)\n"
        "01:00.1 Audio device: NVIDIA Corporation GA102 High Definition Audio (rev a1)\n"
        "03:00.0 VGA compatible controller: ASPEED Technology, Inc. ASPEED Graphics Family\n"
    )
    gpus = parse_sample(text).gpus
    assert [(gpu.vendor, gpu.name) for gpu in gpus] == [
        ("intel", "UHD 770"),
        ("nvidia", "GeForce RTX 3090"),
    ]


def test_csv_without_a_header_is_read_by_its_command() -> None:
    command = "nvidia-smi --query-gpu=name,memory.total,memory.free --format=csv,noheader"
    (gpu,) = parse_sample("NVIDIA GeForce RTX 3060, 12288 MiB, 11000 MiB\n", command).gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (12288 * MIB, 11000 * MIB)
    with pytest.raises(ParseError):
        parse_sample("NVIDIA GeForce RTX 3060, 12288 MiB, 11000 MiB\n")


def test_gaudi_by_its_own_table() -> None:
    text = """\
+-----------------------------------------------------------------------------+
| HL-SMI Version:                              hl-1.21.0-fw-59.2.1.0          |
| Driver Version:                                     1.21.0-ac952db          |
|-------------------------------+----------------------+----------------------+
| AIP  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncor-Events|
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | AIP-Util  Compute M. |
|===============================+======================+======================|
|   0  HL-225              N/A  | 0000:33:00.0     N/A |                   0  |
| N/A   27C   P0   92W /  600W  |    768MiB /  98304MiB |     0%           E  |
+-------------------------------+----------------------+----------------------+
"""
    (gpu,) = parse_sample(text).gpus
    assert (gpu.name, gpu.vendor, gpu.memory_bytes) == ("HL-225", "intel", 98304 * MIB)
    assert gpu.memory_bandwidth_bytes_per_s == 2_450_000_000_000
    assert gpu.backends == ()


def test_a_capture_of_several_commands() -> None:
    board = Board(
        "NVIDIA H100 80GB HBM3", total=81559, reserved=479, used=59, capability="9.0",
        slices=[("3g.40gb", 60, 40448, 26), ("1g.10gb", 16, 9984, 9)],
    )  # fmt: skip
    bar = "#" * 80
    parts = {
        "nvidia-smi --help-query-gpu": "List of valid properties\nname, memory.total\n",
        "nvidia-smi -L": nvidia_list([board]),
        "nvidia-smi -q": nvidia_query(board),
        "nvidia-smi --query-gpu=name --format=csv": nvidia_csv([board]),
    }
    text = f"{bar}\n# capture\n{bar}\n# about\n\n" + "".join(
        f"{bar}\n# part\n# $ {command}\n{bar}\n{output}\n\n" for command, output in parts.items()
    )
    gpus = parse_sample(text).gpus
    assert [gpu.mig for gpu in gpus] == ["3g.40gb", "1g.10gb"]
    assert gpus[1].uuid == "MIG-1aaaaaaa-0000-1111-2222-333333333333"
    assert {gpu.compute_capability for gpu in gpus} == {"9.0"}
    assert gpus[0].free_bytes == (40448 - 26) * MIB


@pytest.mark.parametrize(
    ("text", "parser"),
    [
        (nvidia_xml([Board()]), "nvidia-smi XML"),
        (nvidia_query(Board()), "nvidia-smi -q"),
        (nvidia_csv([Board()]), "nvidia-smi CSV"),
        (nvidia_list([Board()]), "nvidia-smi -L"),
        (nvidia_table([Board()]), "nvidia-smi table"),
        ("RAM 1/2MB (lfb 1x4MB)", "tegrastats"),
        ("Hello", None),
    ],
)
def test_recognition(text: str, parser: str | None) -> None:
    assert detect_format(text) == parser


def test_the_unknown_is_refused_by_name() -> None:
    for text, code in (
        ("", "empty"), ("{}", "no_devices"), ("[1, 2]", "unknown_output"),
        ("bash: nvidia-smi: command not found", "not_installed"),
        ("Traceback (most recent call last):\n  KeyError: 'card0'", "tool_failed"),
        ("| CNMON v5.10.13     Driver v5.10.13 |", "unsupported_device"),
    ):  # fmt: skip
        with pytest.raises(ParseError) as caught:
            parse_sample(text)
        assert caught.value.code == code


def test_a_vgpu_is_a_share_of_its_card() -> None:
    text = (
        "index, name, memory.total [MiB]\n0, NVIDIA A40-48Q, 49152 MiB\n1, GRID T4-8C, 8192 MiB\n"
    )
    first, second = parse_sample(text).gpus
    assert (first.compute_capability, second.compute_capability) == ("8.6", "7.5")
    assert first.memory_bytes == 49152 * MIB
    assert first.memory_bandwidth_bytes_per_s is None


def test_strix_halo_by_rocm_smi() -> None:
    card = {"Card Series": "AMD Radeon Graphics", "GFX Version": "gfx1151",
            "VRAM Total Memory (B)": str(512 * MIB), "VRAM Total Used Memory (B)": "0",
            "GTT Total Memory (B)": str(62 * GIB)}  # fmt: skip
    (gpu,) = parse_sample(json.dumps({"card0": card})).gpus
    assert gpu.unified_memory
    assert gpu.memory_bytes == 62 * GIB
    assert (gpu.dedicated_bytes, gpu.shared_bytes) == (512 * MIB, 62 * GIB)
    assert gpu.free_bytes is None  # which only the machine around it can tell


def test_tables_of_old_drivers_and_of_jetsons() -> None:
    text = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 418.43       Driver Version: 418.43       CUDA Version: 10.1     |
|-------------------------------+----------------------+----------------------+
|   0  Tesla P40           Off  | 00000000:02:00.0 Off |                    0 |
| N/A   38C    P8    9W / 250W  |    120MiB / 22919MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+
|   1  Orin (nvgpu)        N/A  | N/A              N/A |                  N/A |
| N/A   N/A  N/A    N/A /  N/A  | Not Supported        |     N/A          N/A |
+-----------------------------------------------------------------------------+
| Processes:                                                       GPU Memory |
|  GPU       PID   Type   Process name                             Usage      |
|    0      4321    C+G   python                                        20MiB |
+-----------------------------------------------------------------------------+
"""
    first, second = parse_sample(text).gpus
    assert (first.memory_bytes, first.driver_version) == (22919 * MIB, "418.43")
    assert first.processes[0].pid == 4321
    assert second.unified_memory
