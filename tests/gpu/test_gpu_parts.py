"""Cards that are several devices or several memories, and chips without memory of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu, Host
from modelscan.core.units import GIB, MIB
from modelscan.gpu.amd import amd_smi
from modelscan.gpu.amd.probe import run_amd
from modelscan.gpu.enrich import enrich
from modelscan.gpu.facts import all_facts, lookup
from modelscan.gpu.host import run_host
from modelscan.gpu.intel.probe import run_intel
from modelscan.gpu.nvidia.xml import parse_xml
from modelscan.gpu.simulate import simulate
from modelscan.gpu.unified import with_host_memory
from tests.support.gpu_machine import FakeMachine

BUS = "0000:05:00.0"


def partitions(tmp_path: Path, count: int, bank: int | None, whole: int) -> tuple[Gpu, ...]:
    fake = FakeMachine(tmp_path)
    fake.memory(64_000_000, 60_000_000)
    fake.amd_card(1, BUS, 0x74A1, vram=whole, used=8 * GIB)
    fake.kfd_node(0, 0, 0, 0)
    for number in range(1, count + 1):
        fake.kfd_node(number, 1000 + number, 90402, 0x0500)
        folder = f"/sys/class/kfd/kfd/topology/nodes/{number}/mem_banks/0"
        if bank is not None:
            fake.write(f"{folder}/properties", f"heap_type 1\nsize_in_bytes {bank}\nflags 0\n")
    machine = fake.machine
    return run_amd(machine, run_host(machine)).gpus


@pytest.mark.parametrize(("count", "bank"), [(2, 96), (4, 48), (8, 24), (8, 192), (8, None)])
def test_each_partition_is_a_device_with_its_own_memory(
    count: int, bank: int | None, tmp_path: Path
):
    gpus = partitions(tmp_path, count, None if bank is None else bank * GIB, 192 * GIB)
    assert [gpu.index for gpu in gpus] == list(range(count))
    assert {gpu.memory_bytes for gpu in gpus} == {192 * GIB // count}
    assert len({gpu.name for gpu in gpus}) == count
    assert all(gpu.free_bytes == (192 - 8) * GIB // count for gpu in gpus)
    card = lookup("Instinct MI300X")
    rich = enrich(gpus[-1])
    assert card is not None
    assert card.memory_bandwidth_bytes_per_s is not None
    assert rich.memory_bandwidth_bytes_per_s == card.memory_bandwidth_bytes_per_s // count
    assert "vllm" in rich.backends


def test_a_card_with_one_node_is_whole(tmp_path: Path):
    (gpu,) = partitions(tmp_path, 1, 24 * GIB, 192 * GIB)
    assert gpu.memory_bytes == 192 * GIB
    assert "partition" not in gpu.name


def smi(sizes: list[int | None], mode: str) -> tuple[Gpu, ...]:
    rows = [
        {"gpu": i, "asic": {"market_name": "AMD Instinct MI300X" if i == 0 else "N/A"},
         "partition": {"compute_partition": mode, "memory_partition": "NPS4"},
         "bus": {"bdf": f"0000:05:00.{i}"},
         "vram": {"size": {"value": size, "unit": "MB"} if size else "N/A"}}
        for i, size in enumerate(sizes)
    ]  # fmt: skip
    return amd_smi.parse_json(json.dumps({"gpu_data": rows})).gpus


@pytest.mark.parametrize(
    "sizes", [[196592] * 8, [24574] * 8, [24574, *[None] * 7], [196592, *[None] * 7]]
)
def test_amd_smi_lists_a_partition_as_what_it_is(sizes: list[int | None]):
    gpus = smi(sizes, "CPX")
    assert [gpu.memory_bytes for gpu in gpus] == [24574 * MIB] * 8
    assert gpus[3].name == "AMD Instinct MI300X partition 4 of 8"
    assert smi([196592, 196592], "SPX")[1].memory_bytes == 196592 * MIB


def intel(root: Path, device: int, files: dict[str, str]) -> Gpu:
    """A card as in a real /sys: ``device`` and the class folder are links."""
    pci = root / "sys/devices/pci0000:00/0000:00:01.0/0000:03:00.0"
    drm = pci / "drm/card1"
    drm.mkdir(parents=True)
    for name, text in {"vendor": "0x8086", "device": f"0x{device:04x}", "class": "0x030000",
                       "uevent": "PCI_SLOT_NAME=0000:03:00.0", **files}.items():  # fmt: skip
        path = pci / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (drm / "device").symlink_to("../..")
    (root / "sys/class/drm").mkdir(parents=True)
    (root / "sys/class/drm/card1").symlink_to(
        "../../devices/pci0000:00/0000:00:01.0/0000:03:00.0/drm/card1"
    )
    (gpu,) = run_intel(FakeMachine(root).machine).gpus
    return gpu


@pytest.mark.parametrize(
    ("device", "files", "memory"),
    [
        (0x56A0, {"drm/card1/lmem_total_bytes": "17079205888"}, 17079205888),
        (0x0BD5, {"tile0/physical_vram_size_bytes": str(64 * GIB),
                  "tile1/physical_vram_size_bytes": str(64 * GIB)}, 128 * GIB),
        (0x0BD5, {f"tile{i}/addr_range": hex(32 * GIB) for i in range(3)}, 96 * GIB),
        (0x0BD5, {f"drm/card1/tile{i}/lmem_total_bytes": str(GIB) for i in range(2)}, 2 * GIB),
        (0xE223, {"tile0/physical_vram_size_bytes": str(32 * GIB)}, 32 * GIB),
    ],
)  # fmt: skip
def test_an_intel_card_has_the_memory_of_all_its_tiles(
    device: int, files: dict[str, str], memory: int, tmp_path: Path
):
    assert intel(tmp_path, device, files).memory_bytes == memory


XML = """<?xml version="1.0" ?><nvidia_smi_log><driver_version>596.10</driver_version>
<gpu id="00000000:01:00.0"><product_name>{name}</product_name>{more}<fb_memory_usage>
<total>{total}</total><used>199 MiB</used></fb_memory_usage></gpu></nvidia_smi_log>"""


def nvidia(name: str, total: str, more: str = "") -> Gpu:
    return parse_xml(XML.format(name=name, total=total, more=more)).gpus[0]


@pytest.mark.parametrize(
    ("name", "total", "more", "unified"),
    [("NVIDIA RTX Spark N1X", "8128 MiB", "", True), ("NVIDIA N1", "4064 MiB", "", True),
     ("NVIDIA GB10", "8192 MiB", "", True), ("NVIDIA Thor", "N/A", "", True),
     ("Orin (nvgpu)", "16384 MiB", "", True),
     ("NVIDIA XY-9", "8128 MiB", "<addressing_mode>ATS</addressing_mode>", True),
     ("NVIDIA XY-9", "8128 MiB", "<addressing_mode>HMM</addressing_mode>", False),
     ("NVIDIA GH200 480GB", "97871 MiB", "<addressing_mode>ATS</addressing_mode>", False),
     ("NVIDIA GeForce RTX 4090", "24564 MiB", "<addressing_mode>HMM</addressing_mode>", False)],
)  # fmt: skip
def test_chips_without_memory_of_their_own_are_told_from_cards(
    name: str, total: str, more: str, unified: bool
):
    gpu = nvidia(name, total, more)
    assert gpu.unified_memory is unified
    assert (gpu.memory_bytes is None) is unified


@pytest.mark.parametrize(
    ("spec", "total_gib", "free_gib"),
    [("RTX 4090", 23.99, 23.52), ("RTX 4090 24GB", 23.99, 23.52), ("RTX 5090", 31.84, 31.36),
     ("RTX PRO 6000", 95.59, 94.97), ("RTX 4090 23.52GiB", 23.52, 23.52),
     ("RTX 4090 24084MiB", 23.52, 23.52), ("RTX 4090 23.99GiB", 23.99, 23.52),
     ("RTX 4090 48GB", 48.0, 47.53), ("B200 192GB", 179.06, 178.03), ("RTX 3090", 24.0, 23.56),
     ("Arc Pro B70", 32.0, 31.81), ("Arc A770", 15.91, 15.91), ("R9700", 31.86, 31.86)],
)  # fmt: skip
def test_a_name_promises_what_its_driver_offers_and_a_stated_size_is_kept(
    spec: str, total_gib: float, free_gib: float
):
    (gpu,) = simulate(spec).gpus
    assert gpu.memory_bytes is not None
    assert gpu.free_bytes is not None
    assert abs(gpu.memory_bytes / GIB - total_gib) < 0.006
    assert abs(gpu.free_bytes / GIB - free_gib) < 0.006
    assert gpu.memory_bytes - (gpu.reserved_bytes or 0) == gpu.free_bytes


def test_every_nvidia_card_with_memory_has_a_figure_for_what_its_driver_keeps():
    cards = [f for f in all_facts() if f.vendor == "nvidia" and not f.unified_memory]
    assert len(cards) > 400
    assert not [f.name for f in cards if f.memory_bytes and not f.reserved_bytes]
    by_rule = [f for f in cards if "reserved_mib by rule" in (f.source or "")]
    assert len(by_rule) > 400


@pytest.mark.parametrize("name", ["Arc Pro B40", "B50", "B60", "B65", "Intel Arc Pro B70 Graphics"])
def test_arc_pro_cards_are_known(name: str):
    assert simulate(name).gpus[0].memory_bytes


def test_an_rtx_spark_has_the_machines_memory():
    inventory = simulate("RTX Spark N1X 64GB")
    assert inventory.gpus[0].unified_memory
    assert inventory.host.memory_bytes == 64 * GIB
    assert inventory.gpus[0].memory_bytes == pytest.approx(45.39 * GIB, rel=0.001)  # CUDA's total


def test_cuda_offers_a_part_of_an_rtx_sparks_memory_and_all_of_a_gb10s():
    host = Host(20, 56_832_000 << 10, 50 * GIB)
    spark, grace = (with_host_memory(nvidia(name, "8128 MiB"), host)
                    for name in ("NVIDIA N1X", "NVIDIA GB10"))  # fmt: skip
    assert spark.memory_bytes == pytest.approx(46_477 * MIB, rel=0.001)
    assert spark.free_bytes == spark.memory_bytes
    assert (grace.memory_bytes, grace.free_bytes) == (host.memory_bytes, host.free_bytes)


@pytest.mark.parametrize(
    ("spec", "name", "gib"),
    [
        ("DGX Spark GB10 121.69GiB", "NVIDIA GB10", 121.69),
        ("DGX Spark (GB10)", "NVIDIA GB10", 121.69),
        ("Ryzen AI Max+ 395 / Radeon 8060S 96GB", "AMD Radeon 8060S", 72),
    ],
)
def test_a_machine_and_its_chip_are_one_device(spec: str, name: str, gib: float):
    (gpu,) = simulate(spec).gpus
    assert gpu.name == name
    assert gpu.memory_bytes == pytest.approx(gib * GIB, rel=0.001)


@pytest.mark.parametrize("spec", ["RTX 4090 RTX 5090", "RTX 4090 RTX 4090", "Strix Halo GB10"])
def test_two_devices_without_a_separator_are_refused(spec: str):
    with pytest.raises(UsageError):
        simulate(spec)
