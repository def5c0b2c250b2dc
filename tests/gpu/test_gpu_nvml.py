"""NVML: nothing it refuses to tell is an error, and what it tells is told right."""

from __future__ import annotations

from typing import Any

import pytest
from support import fake_pynvml

from modelscan.core.gpu import GpuProcess, Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.nvidia.nvml import read_nvml
from modelscan.gpu.reading import ParseError


def device(number: int = 0, **changes: Any) -> dict[str, Any]:
    base = {
        "name": "NVIDIA GeForce RTX 4090", "uuid": f"GPU-{number}{number}{number}",
        "bus": f"00000000:0{number + 1}:00.0", "pci": 0x268410DE, "capability": [8, 9],
        "memory": {"total": 24564 * MIB, "reserved": 400 * MIB, "used": 2000 * MIB,
                   "free": 22164 * MIB},
        "utilization": 55, "memory_clock": 10501, "bus_width": 384, "mig_mode": [0, 0],
    }  # fmt: skip
    return {**base, **changes}


def test_reserved_is_told_apart_from_used() -> None:
    processes = [{"pid": 9, "usedGpuMemory": 1500 * MIB}]
    nvml = fake_pynvml.build(
        devices=[device(processes=processes, graphics=[{"pid": 8, "usedGpuMemory": None}])],
        process_names={"9": "python"},
    )
    reading = read_nvml(nvml)
    (gpu,) = reading.gpus
    assert (gpu.memory_bytes, gpu.reserved_bytes) == (24564 * MIB, 400 * MIB)
    assert (gpu.used_bytes, gpu.free_bytes) == (2000 * MIB, 22164 * MIB)
    assert gpu.compute_capability == "8.9"
    assert gpu.pci_device_id == "0x2684"
    assert gpu.pci_bus_id == "0000:01:00.0"
    assert gpu.driver_version == "575.51"
    assert gpu.memory_bandwidth_bytes_per_s == 1_008_096_000_000  # clock x 2 x 384 bits
    assert gpu.processes == (GpuProcess(9, "python", 1500 * MIB), GpuProcess(8, None, None))
    assert gpu.source == "nvml"


def test_version_one_counts_reserved_as_used() -> None:
    nvml = fake_pynvml.build(devices=[device(v1_only=True)])
    (gpu,) = read_nvml(nvml).gpus
    assert (gpu.used_bytes, gpu.reserved_bytes) == (2400 * MIB, None)
    assert gpu.free_bytes == 22164 * MIB


def test_everything_but_the_name_may_be_unsupported() -> None:
    nvml = fake_pynvml.build(devices=[{"name": "NVIDIA Something"}])
    (gpu,) = read_nvml(nvml).gpus
    assert gpu.name == "NVIDIA Something"
    assert gpu.unified_memory  # no memory of its own: the driver says NotSupported
    assert gpu.uuid is None
    assert gpu.compute_capability is None


def test_gb10_is_unified() -> None:
    nvml = fake_pynvml.build(devices=[device(name="NVIDIA GB10", memory="NotSupported")])
    (gpu,) = read_nvml(nvml).gpus
    assert gpu.unified_memory
    assert gpu.memory_bytes is None


def test_success_with_garbage_is_not_believed() -> None:
    memory = {"total": 1 << 60, "reserved": 0, "used": 5, "free": 7}
    nvml = fake_pynvml.build(devices=[device(name="Orin (nvgpu)", memory=memory)])
    (gpu,) = read_nvml(nvml).gpus
    assert gpu.memory_bytes is None
    assert gpu.unified_memory


def test_a_lost_gpu_among_good_ones() -> None:
    nvml = fake_pynvml.build(devices=[device(0), device(1, error="GpuIsLost"), device(2)])
    reading = read_nvml(nvml)
    assert [gpu.index for gpu in reading.gpus] == [0, 2]
    assert [problem.code for problem in reading.problems] == ["broken_gpu"]


def test_a_gpu_lost_when_asked_for_memory() -> None:
    nvml = fake_pynvml.build(devices=[device(memory="GpuIsLost"), device(1)])
    reading = read_nvml(nvml)
    assert [gpu.index for gpu in reading.gpus] == [1]
    assert reading.problems[0].code == "broken_gpu"


def test_a_gpu_of_somebody_else() -> None:
    nvml = fake_pynvml.build(devices=[device(error="NoPermission"), device(1)])
    assert [p.code for p in read_nvml(nvml).problems] == ["no_permission"]


def test_mig_instances_with_their_own_memory() -> None:
    memory = {"total": 9984 * MIB, "reserved": 0, "used": 9 * MIB, "free": 9975 * MIB}
    parts = [
        {"name": "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "uuid": f"MIG-{i}", "memory": memory,
         "gi": 9 + i, "ci": 0, "sms": 16}
        for i in range(2)
    ]  # fmt: skip
    card = device(name="NVIDIA H100 80GB HBM3", capability=[9, 0], mig_mode=[1, 1], mig=parts)
    reading = read_nvml(fake_pynvml.build(devices=[card]))
    assert [(g.index, g.uuid, g.mig) for g in reading.gpus] == [
        (0, "MIG-0", "1g.10gb"),
        (1, "MIG-1", "1g.10gb"),
    ]
    assert all(gpu.memory_bytes == 9984 * MIB for gpu in reading.gpus)
    assert all(gpu.parent_uuid == card["uuid"] for gpu in reading.gpus)
    assert all(gpu.memory_bandwidth_bytes_per_s is None for gpu in reading.gpus)


def test_links_between_cards() -> None:
    first = device(0, nvlink=["GPU-111"])
    nvml = fake_pynvml.build(devices=[first, device(1), device(2, numa=1)])
    assert read_nvml(nvml).links == (
        Link(0, 1, "nvlink"),
        Link(0, 2, "system"),
        Link(1, 2, "system"),
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [("LibraryNotFound", "driver_not_running"), ("LibRmVersionMismatch", "driver_mismatch"),
     ("NoPermission", "no_permission"), ("NotSupported", "nvml_failed")],
)  # fmt: skip
def test_a_library_that_does_not_start(error: str, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        read_nvml(fake_pynvml.build(devices=[], init_error=error))
    assert caught.value.code == code


def test_names_may_be_bytes() -> None:
    nvml = fake_pynvml.build(devices=[device(name=b"Tesla T4", memory={"total": 15 * GIB,
                                      "used": 0, "free": 15 * GIB, "reserved": 0})])  # fmt: skip
    assert read_nvml(nvml).gpus[0].name == "Tesla T4"
