"""Forms of output that people publish: older and newer versions, broken cards, copied pages."""

from __future__ import annotations

import json

import pytest
from support.gpu_texts import Board, nvidia_xml

from modelscan.core.units import MIB
from modelscan.gpu.ascend.npu_smi import parse_info
from modelscan.gpu.detect_format import detect_format
from modelscan.gpu.nvidia.csv import parse_csv, parse_list
from modelscan.gpu.nvidia.table import parse_table
from modelscan.gpu.nvidia.xml import parse_xml
from modelscan.gpu.reading import ParseError
from tests.support.gpu_samples import parse_sample

HEAD = "| NVIDIA-SMI 525.125.06   Driver Version: 525.125.06   CUDA Version: 12.0     |\n"
GOOD = (
    "|   1  NVIDIA A40          On   | 00000000:1A:00.0 Off |                    0 |\n"
    "|  0%   26C    P8    12W / 300W |      0MiB / 46068MiB |      0%      Default |\n"
    "|                               |                      |                  N/A |\n"
    "+-------------------------------+----------------------+----------------------+\n"
)


def _row(name: str, memory: str, mode: str = "N/A") -> str:
    return (
        f"|   0  {name:<20} On   | 00000000:19:00.0 Off |                 ERR! |\n"
        f"|ERR!  ERR! ERR!    ERR! / ERR! | {memory:>20} |    ERR!      Default |\n"
        f"|                               |                      | {mode:>20} |\n"
        "+-------------------------------+----------------------+----------------------+\n"
    )


@pytest.mark.parametrize(
    ("name", "memory"),
    [("ERR!", "0MiB / 46068MiB"), ("NVIDIA A40", "GPU is lost"), ("NVIDIA A40", "ERR!/ERR!"),
     ("Unknown Error", "N/A")],
)  # fmt: skip
def test_a_broken_card_in_the_table_is_said_and_the_good_one_listed(name: str, memory: str) -> None:
    reading = parse_table(HEAD + _row(name, memory) + GOOD)
    assert [(gpu.index, gpu.memory_bytes) for gpu in reading.gpus] == [(1, 46068 * MIB)]
    assert [problem.code for problem in reading.problems] == ["broken_gpu"]


def test_a_failed_fan_does_not_make_a_card_broken() -> None:
    (gpu,) = parse_table(HEAD + GOOD.replace("|  0%   26C", "|ERR!   68C")).gpus
    assert gpu.memory_bytes == 46068 * MIB


def test_a_card_in_mig_mode_without_memory_is_no_unified_chip() -> None:
    text = HEAD + _row("NVIDIA A100 80G...", "N/A", "Enabled")
    reading = parse_table(text.replace("ERR!", "N/A"))
    assert reading.gpus == ()
    assert [problem.code for problem in reading.problems] == ["mig_without_instances"]


def test_a_card_known_to_have_memory_is_not_given_the_hosts() -> None:
    (gpu,) = parse_csv("index, name, memory.total [MiB]\n0, NVIDIA L40S, [N/A]\n").gpus
    assert not gpu.unified_memory
    (chip,) = parse_csv("index, name, memory.total [MiB]\n0, NVIDIA GB10, [N/A]\n").gpus
    assert chip.unified_memory


def test_old_tables_have_megabytes() -> None:
    table = HEAD + GOOD.replace("MiB", "MB")
    assert parse_table(table).gpus[0].memory_bytes == 46068 * MIB


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffindex, name, memory.total [MiB]\r\n0, NVIDIA L4, 23034 MiB\r\n",
        '"index","name","memory.total [MiB]"\n"0","NVIDIA L4","23034 MiB"\n',
        "gpu_name, gpu_uuid, memory.total [MiB]\nNVIDIA L4, GPU-1, 23034 MiB\n",
        "count, name, memory.total [MiB]\n1, NVIDIA L4, 23034 MiB\n",
    ],
)
def test_spellings_of_the_csv(text: str) -> None:
    assert detect_format(text) == "nvidia-smi CSV"
    (gpu,) = parse_sample(text).gpus
    assert (gpu.name, gpu.memory_bytes) == ("NVIDIA L4", 23034 * MIB)


def test_a_csv_that_goes_on_tells_the_last_reading_of_each_card() -> None:
    header = "timestamp, name, pci.bus_id, memory.total [MiB], memory.used [MiB]\n"
    rows = [
        f"2026/01/01 10:00:0{second}.000, NVIDIA L4, 00000000:0{bus}:00.0, 23034 MiB, {used} MiB\n"
        for second, used in ((0, 4), (1, 900)) for bus in (3, 4)
    ]  # fmt: skip
    reading = parse_csv(header + "".join(rows))
    assert [gpu.used_bytes for gpu in reading.gpus] == [900 * MIB, 900 * MIB]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('Field "compute_cap" is not a valid field to query.\n', "unknown_field"),
        ("gpu_uuid, pid, process_name, used_gpu_memory [MiB]\nGPU-1, 7, python, 9 MiB\n",
         "processes_only"),
        ("0, NVIDIA GeForce RTX 3060, 12288 MiB, 345 MiB\n", "no_header"),
        ("rsmi_init() failed\nROCm SMI returned 8: RSMI_STATUS_INIT_ERROR\n", "driver_not_running"),
        ("Error: XPUM Service Status Error\n", "driver_not_running"),
        ("dcmi module initialize failed. ret is -8005\n", "driver_not_running"),
    ],
)  # fmt: skip
def test_answers_that_name_no_device_are_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_sample(text)
    assert caught.value.code == code


def test_a_card_that_the_list_cannot_reach_is_said() -> None:
    lost = "Unable to determine the device handle for gpu 0000:02:00.0: Unknown Error"
    reading = parse_list(f"GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 1: {lost}\n")
    assert [gpu.index for gpu in reading.gpus] == [0]
    assert [problem.code for problem in reading.problems] == ["broken_gpu"]


@pytest.mark.parametrize("mark", ["\x1b[4m", "[4m", ""])
def test_the_topology_is_read_with_its_underlining(mark: str) -> None:
    text = f"\t{mark}GPU0\tGPU1\tCPU Affinity{mark and mark[:-2] + '0m'}\nGPU0\t X \tNV18\t0-31\n"
    reading = parse_sample(text + "GPU1\tNV18\t X \t32-63\n")
    assert [(link.first, link.second, link.kind) for link in reading.links] == [(0, 1, "nvlink")]


@pytest.mark.parametrize(
    "device",
    [
        {"gpu": 0, "vram": {"type": "GDDR6", "size_mb": 24560}, "used_vram": "100 MB"},
        {"gpu": 0, "fb_usage": {"fb_total": {"value": 24560, "unit": "MB"}, "fb_used": "100 MB"}},
        {"gpu": 0, "vram_total": {"value": 24560, "unit": "MB"},
         "vram_used": {"value": 100, "unit": "MB"}},
        {"gpu": 0, "mem_usage": {"total_vram": "24560 MB", "used_vram": "100 MB"}},
    ],
)  # fmt: skip
def test_amd_smi_memory_by_any_versions_keys(device: dict[str, object]) -> None:
    (gpu,) = parse_sample(json.dumps([device])).gpus
    assert (gpu.memory_bytes, gpu.used_bytes) == (24560 * MIB, 100 * MIB)


def test_amd_smi_csv_and_one_document_per_device() -> None:
    text = "gpu,market_name,device_id,size\n0,AMD Instinct MI300X,0x74a1,196592\n"
    (gpu,) = parse_sample(text, "amd-smi static --csv").gpus
    assert (gpu.name, gpu.memory_bytes) == ("AMD Instinct MI300X", 196592 * MIB)
    documents = "".join(
        json.dumps([{"gpu": i, "mem_usage": {"total_vram": "100 MB"}}]) + "\n" for i in range(3)
    )
    assert [gpu.index for gpu in parse_sample(documents).gpus] == [0, 1, 2]


@pytest.mark.parametrize(
    ("series", "device", "name", "bandwidth"),
    [
        ("Vega 20", "0x66a1", "Vega 20 [Radeon Pro VII/Instinct MI50/Instinct MI60]", 1024),
        ("Phoenix1", "0x15bf", "Radeon 780M", 89.6),
        ("AMD Radeon Graphics", "0x1586", "AMD Radeon Graphics", 256),
        ("Navi 31 [Radeon RX 7900 XTX]", "0x744c", "Radeon RX 7900 XTX", 960),
    ],
)
def test_a_code_name_is_told_apart_from_a_product(
    series: str, device: str, name: str, bandwidth: float
) -> None:
    card = {"Card series": series, "GPU ID": device, "VRAM Total Memory (B)": str(16 << 30)}
    (gpu,) = parse_sample(json.dumps({"card0": card})).gpus
    assert gpu.name == name
    assert gpu.memory_bandwidth_bytes_per_s == bandwidth * 1e9


def test_npu_smi_26_a_chip_on_no_bus_and_one_with_an_alarm() -> None:
    text = (
        "| npu-smi 26.0.rc1                       Version: 26.0.rc1          |\n"
        "| 0     910B4        | Alarm         | 82.6      32         0    / 0          |\n"
        "| 0                  | 0000:C1:00.0  | 0         0    / 0   2871 / 32768      |\n"
        "| 1     310B4        | OK            | 0.0       52         15   / 15         |\n"
        "| 0     0            | NA            | 0         2180 / 3513                  |\n"
        "| NPU     Chip       | Process id    | Process name  | Process memory(MB) | Id inside |\n"
        "| 0       0          | 1712733       | sglang        | 1954               | NA        |\n"
    )
    reading = parse_info(text)
    assert [gpu.name for gpu in reading.gpus] == ["Ascend 910B4", "Ascend 310B4"]
    assert [gpu.memory_bytes for gpu in reading.gpus] == [32768 * MIB, 3513 * MIB]
    assert [(p.pid, p.memory_bytes) for p in reading.gpus[0].processes] == [(1712733, 1954 * MIB)]
    assert [problem.code for problem in reading.problems] == ["unhealthy_gpu"]


@pytest.mark.parametrize(
    "text",
    [
        "Intel XPU System Management Interface is based on Intel oneAPI Level Zero.\n\n"
        "Usage: xpu-smi [Options]\n  xpu-smi -h\n\nOptions:\n  -h, --help  Print this help\n",
        "$ amd-smi metric --help\nusage: amd-smi metric [-h] [-g GPU [GPU ...]]\n",
    ],
)
def test_a_help_page_is_refused_as_one(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_sample(text)
    assert caught.value.code == "help_text"


def test_xpu_smi_memory_by_tile_what_is_free_and_numbers_of_groups() -> None:
    tiles = "| Device ID | 0 |\n| GPU Memory Used (MiB) | Tile 0: 28; Tile 1: 26 |\n"
    assert parse_sample(tiles).gpus[0].used_bytes == 54 * MIB
    free = "| 0 | Memory Physical Size: 48 MiB |\n|   | Memory Free Size: 40 MiB |\n"
    assert (
        parse_sample("| Device ID | Device Information |\n" + free).gpus[0].free_bytes == 40 * MIB
    )
    with pytest.raises(ParseError):
        parse_sample("xpu-smi group -l\n| Group ID | Group Properties |\n| 1 | Group Name: a |\n")


def test_warnings_around_the_xml_and_a_second_reading() -> None:
    warning = "WARNING: infoROM is corrupted at gpu 0000:41:00.0\n"
    text = nvidia_xml([Board()])
    assert len(parse_xml(warning + text + "\n" + warning).gpus) == 1
    assert len(parse_xml(text + text).gpus) == 1


def test_lspci_names_products_without_the_vendor() -> None:
    amd = "VGA compatible controller: Advanced Micro Devices, Inc. [AMD/ATI]"
    text = (
        f"08:00.0 {amd} Raphael (rev c8)\n"
        f"09:00.0 {amd} Navi 22 [Radeon RX 6700/6700 XT/6800M] (rev c1)\n"
    )
    first, second = parse_sample(text).gpus
    assert first.name == "Raphael"
    assert second.name == "Navi 22 [Radeon RX 6700/6700 XT/6800M]"
