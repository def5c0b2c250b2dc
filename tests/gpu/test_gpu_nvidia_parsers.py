"""nvidia-smi's XML, CSV, -q, table and list tell the same devices."""

from __future__ import annotations

import pytest
from support.gpu_texts import (
    Board,
    nvidia_csv,
    nvidia_list,
    nvidia_query,
    nvidia_table,
    nvidia_xml,
)

from modelscan.core.gpu import GpuProcess, Link
from modelscan.core.units import MIB
from modelscan.gpu.nvidia.build import mig_profile
from modelscan.gpu.nvidia.csv import parse_apps, parse_csv, parse_list
from modelscan.gpu.nvidia.probe import with_mig_uuids
from modelscan.gpu.nvidia.table import complaint, parse_nvlink, parse_table, parse_topology
from modelscan.gpu.nvidia.text import parse_query
from modelscan.gpu.nvidia.xml import parse_xml
from modelscan.gpu.reading import ParseError

PROCESS = (4711, "/usr/bin/llama-server", "512 MiB")
SLICED = Board(
    "NVIDIA A100-SXM4-80GB", bus="00000000:07:00.0", total=81920, reserved=869, used=50,
    slices=[("3g.40gb", 42, 40192, 37), ("1g.10gb", 14, 9728, 12)],
)  # fmt: skip


@pytest.mark.parametrize("form", ["xml", "csv", "query"])
def test_every_form_tells_total_reserved_used_and_free(form: str) -> None:
    board = Board(processes=[PROCESS])
    parse, text = {
        "xml": (parse_xml, nvidia_xml([board])),
        "csv": (parse_csv, nvidia_csv([board])),
        "query": (parse_query, nvidia_query(board)),
    }[form]
    (gpu,) = parse(text).gpus
    assert (gpu.name, gpu.uuid) == (board.name, board.uuid)
    assert gpu.pci_bus_id == "0000:41:00.0"
    assert gpu.memory_bytes == 49140 * MIB
    assert gpu.reserved_bytes == 611 * MIB
    assert gpu.used_bytes == 1024 * MIB
    assert gpu.free_bytes == (49140 - 611 - 1024) * MIB
    assert gpu.driver_version == "570.10.01"
    assert gpu.utilization_percent == 7
    assert not gpu.unified_memory
    if form != "csv":
        assert gpu.processes == (GpuProcess(4711, "/usr/bin/llama-server", 512 * MIB),)
        assert gpu.pci_device_id == "0x2230"
    else:
        assert gpu.compute_capability == "8.6"


@pytest.mark.parametrize("dtd", ["v10", "v11", "v12", "v13", "v99"])
def test_xml_is_read_by_tag_whatever_its_version(dtd: str) -> None:
    old = Board("GeForce GTX 1080 Ti", reserved=None, total=11264, used=100)
    (gpu,) = parse_xml(nvidia_xml([old], dtd=dtd)).gpus
    assert gpu.free_bytes == 11164 * MIB
    assert gpu.reserved_bytes is None


@pytest.mark.parametrize("form", ["xml", "query"])
def test_mig_instances_are_the_devices_and_the_card_is_not(form: str) -> None:
    text = nvidia_xml([SLICED]) if form == "xml" else nvidia_query(SLICED)
    reading = parse_xml(text) if form == "xml" else parse_query(text)
    assert [gpu.mig for gpu in reading.gpus] == ["3g.40gb", "1g.10gb"]
    assert [gpu.memory_bytes for gpu in reading.gpus] == [40192 * MIB, 9728 * MIB]
    assert [gpu.index for gpu in reading.gpus] == [0, 1]
    assert {gpu.parent_uuid for gpu in reading.gpus} == {SLICED.uuid}
    named = with_mig_uuids(reading.gpus, nvidia_list([SLICED]))
    assert [gpu.uuid for gpu in named] == [
        "MIG-0aaaaaaa-0000-1111-2222-333333333333",
        "MIG-1aaaaaaa-0000-1111-2222-333333333333",
    ]


def test_a_process_belongs_to_its_mig_instance() -> None:
    board = Board(slices=SLICED.slices, total=81920, processes=[PROCESS])
    first, second = parse_xml(nvidia_xml([board])).gpus
    assert [process.pid for process in first.processes] == [4711]
    assert second.processes == ()


def test_devices_go_on_counting_after_a_sliced_card() -> None:
    reading = parse_xml(nvidia_xml([SLICED, Board("NVIDIA L4", total=23034)]))
    assert [(gpu.index, gpu.vendor_index) for gpu in reading.gpus] == [(0, 0), (1, 0), (2, 1)]


def test_csv_leaves_a_sliced_card_out_and_says_so() -> None:
    reading = parse_csv(nvidia_csv([SLICED, Board()]))
    assert [gpu.index for gpu in reading.gpus] == [1]
    assert [problem.code for problem in reading.problems] == ["mig_not_listed"]


def test_mig_mode_without_instances_is_a_problem() -> None:
    text = nvidia_xml([Board()]).replace("Disabled", "Enabled")
    reading = parse_xml(text)
    assert reading.gpus == ()
    assert reading.problems[0].code == "mig_without_instances"
    assert "nvidia-smi mig" in (reading.problems[0].hint or "")


@pytest.mark.parametrize("name", ["NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor"])
@pytest.mark.parametrize("said", ["N/A", "[N/A]"])
def test_a_chip_without_memory_of_its_own_is_unified(name: str, said: str) -> None:
    (gpu,) = parse_xml(nvidia_xml([Board(name, total=said, used=said, reserved=None)])).gpus
    assert gpu.unified_memory
    assert gpu.memory_bytes is None
    assert gpu.free_bytes is None


def test_a_lost_card_does_not_take_the_good_ones_with_it() -> None:
    boards = [Board(), Board(total="GPU is lost", used="GPU is lost"), Board(name="NVIDIA L4")]
    reading = parse_xml(nvidia_xml(boards))
    assert [gpu.index for gpu in reading.gpus] == [0, 2]
    assert reading.problems[0].code == "broken_gpu"
    assert "GPU 1" in reading.problems[0].message


def test_the_table_tells_memory_processes_and_a_unified_chip() -> None:
    boards = [Board(processes=[PROCESS]), Board("NVIDIA GB10", total="N/A", used="N/A")]
    reading = parse_table(nvidia_table(boards))
    assert reading.driver_version == "570.10.01"
    assert reading.gpus[0].memory_bytes == 49140 * MIB
    assert reading.gpus[0].used_bytes == 1024 * MIB
    assert reading.gpus[0].processes == (GpuProcess(4711, "/usr/bin/llama-server", 512 * MIB),)
    assert reading.gpus[1].unified_memory


def test_processes_by_gpu_from_the_apps_table() -> None:
    text = (
        "gpu_uuid, pid, process_name, used_gpu_memory [MiB]\n"
        "GPU-a, 10, python, 300 MiB\nGPU-b, 11, python, [N/A]\n"
    )
    apps = parse_apps(text)
    assert apps["GPU-a"] == (GpuProcess(10, "python", 300 * MIB),)
    assert apps["GPU-b"][0].memory_bytes is None


def test_csv_columns_are_found_by_name_not_by_place() -> None:
    text = "name, memory.used [MiB], index, memory.total [MiB], uuid\nX, 5 MiB, 3, 100 MiB, GPU-x\n"
    (gpu,) = parse_csv(text).gpus
    assert (gpu.index, gpu.memory_bytes, gpu.used_bytes) == (3, 100 * MIB, 5 * MIB)


def test_the_list_names_cards_and_instances() -> None:
    reading = parse_list(nvidia_list([SLICED, Board()]))
    assert [gpu.mig for gpu in reading.gpus] == ["3g.40gb", "1g.10gb", None]


def test_nvlink_speeds_are_summed_over_active_links() -> None:
    lines = ["GPU 0: NVIDIA A100 (UUID: GPU-a)"]
    lines += [f"\t Link {i}: 25 GB/s" for i in range(11)] + ["\t Link 11: <inactive>"]
    assert parse_nvlink("\n".join(lines)).fabric_bytes_per_s == {0: 275_000_000_000}


def test_the_topology_matrix_gives_a_link_per_pair() -> None:
    text = (
        "\tGPU0\tGPU1\tGPU2\tmlx5_0\tCPU Affinity\tNUMA Affinity\n"
        "GPU0\t X \tNV12\tSYS\tPIX\t0-31\t0\nGPU1\tNV12\t X \tPHB\tSYS\t0-31\t0\n"
        "GPU2\tSYS\tPHB\t X \tSYS\t32-63\t1\nmlx5_0\tPIX\tSYS\tSYS\t X\n"
    )
    assert parse_topology(text) == (
        Link(0, 1, "nvlink"),
        Link(0, 2, "system"),
        Link(1, 2, "pcie"),
    )


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", "driver_mismatch"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
         "driver_not_running"),
        ("Failed to initialize NVML: Insufficient Permissions", "no_permission"),
        ("No devices were found", "no_devices"),
        ("Unable to determine the device handle for GPU0000:02:00.0: GPU is lost.", "broken_gpu"),
        ("Failed to initialize NVML: Unknown Error", "container_lost_device"),
        ("Failed to initialize NVML: GPU access blocked by the operating system", "wsl_blocked"),
    ],
)  # fmt: skip
def test_complaints_have_names_and_hints(said: str, code: str) -> None:
    refusal = complaint(said)
    assert refusal is not None
    assert refusal.code == code
    assert refusal.hint
    with pytest.raises(ParseError) as caught:
        parse_table(said)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("sms", "total", "board", "profile"),
    [(14, 9728, 81920, "1g.10gb"), (28, 19968, 81920, "2g.20gb"), (14, 4864, 40960, "1g.5gb"),
     (60, 40448, 81559, "3g.40gb"), (132, 80896, 81559, "7g.80gb"), (16, 18176, 143771, "1g.18gb"),
     (9, 5000, 81920, "unknown")],
)  # fmt: skip
def test_mig_profiles_from_their_parts(sms: int, total: int, board: int, profile: str) -> None:
    assert mig_profile(sms, total * MIB, board * MIB) == profile


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_xml"),
        ("<nvidia_smi_log><gpu>", "garbled"),
        ("<nvidia_smi_log></nvidia_smi_log>", "no_devices"),
        ("<?xml version='1.0'?><html></html>", "not_nvidia_smi"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><nvidia_smi_log>&a;</nvidia_smi_log>', "garbled"),
    ],
)
def test_bad_xml_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_xml(text)
    assert caught.value.code == code
