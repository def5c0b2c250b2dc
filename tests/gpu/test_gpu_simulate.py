"""--gpu SPEC gives what a probe of that machine would."""

from __future__ import annotations

import pytest

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Link
from modelscan.core.units import GIB, MIB
from modelscan.gpu.inventory import inventory
from modelscan.gpu.simulate import parse_spec, simulate


def test_two_of_a_kind() -> None:
    found = simulate("2x RTX 4090")
    assert found.simulated
    assert [gpu.index for gpu in found.gpus] == [0, 1]
    for gpu in found.gpus:
        assert gpu.name == "NVIDIA GeForce RTX 4090"
        assert gpu.memory_bytes == 24564 * MIB  # as the driver shows it, not 24 GiB
        assert gpu.compute_capability == "8.9"
        assert gpu.memory_bandwidth_bytes_per_s == pytest.approx(1008e9, rel=0.01)
        assert gpu.source == "simulated"
        assert "vllm" in gpu.backends
    assert found.links == (Link(0, 1, "pcie"),)


def test_a_mixed_machine_keeps_the_order() -> None:
    found = simulate("H200,RTX 4090")
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA H200 SXM 141 GB", "NVIDIA GeForce RTX 4090"]
    assert found.gpus[0].memory_bytes == 143771 * MIB


def test_amd_intel_and_apple() -> None:
    (mi300x,) = simulate("MI300X").gpus
    assert (mi300x.vendor, mi300x.gfx_target) == ("amd", "gfx942")
    assert mi300x.memory_bytes == 196592 * MIB
    assert mi300x.free_bytes == (196592 - 284) * MIB
    assert simulate("Arc B580").gpus[0].vendor == "intel"
    (gaudi,) = simulate("Gaudi3").gpus
    assert (gaudi.vendor, gaudi.backends) == ("intel", ())


@pytest.mark.parametrize(
    ("spec", "whole", "usable"),
    [
        ("M4 Max 64GB", 64, 48),
        ("M3 Max 36GB", 36, 27),
        ("M2 16GB", 16, 16 * 2 / 3),
        ("Strix Halo 128GB", 128, 96),
        ("Jetson AGX Orin 64GB", 64, 64),
        ("Thor", 128, 128),
    ],
)
def test_unified_memory_is_the_hosts(spec: str, whole: int, usable: float) -> None:
    found = simulate(spec)
    (gpu,) = found.gpus
    assert gpu.unified_memory
    assert found.host.memory_bytes == whole * GIB
    assert gpu.memory_bytes == pytest.approx(usable * GIB, abs=1)
    assert gpu.free_bytes is not None
    assert found.host.free_bytes is not None
    assert gpu.free_bytes <= found.host.free_bytes < whole * GIB


def test_gb10_shows_what_linux_shows() -> None:
    found = simulate("DGX Spark")
    assert found.gpus[0].name == "NVIDIA GB10"
    assert found.gpus[0].memory_bytes == 124610 * MIB


@pytest.mark.parametrize(
    ("spec", "gib"),
    [
        ("RTX 4090", 64), ("RTX 4090 Laptop", 32), ("none", 32), ("none, 8GB RAM", 8),
        ("RTX 4090, 128GB RAM", 128), ("2x RTX 3090 + 96 GiB RAM", 96), ("M4 Max 64GB", 64),
    ],
)  # fmt: skip
def test_a_simulated_machine_has_a_stated_memory(spec: str, gib: int) -> None:
    """Never that of the machine that simulates it: the answer would change from day to day."""
    assert simulate(spec).host.memory_bytes == gib * GIB


def test_a_simulated_server_has_twice_the_memory_of_its_gpus() -> None:
    gpus, host = (found := simulate("8x H100 80GB")).gpus, found.host
    assert host.memory_bytes == 2 * sum(gpu.memory_bytes or 0 for gpu in gpus)


def test_a_bare_size_says_what_it_assumes() -> None:
    found = simulate("24GiB")
    (gpu,) = found.gpus
    assert gpu.memory_bytes == gpu.free_bytes == 24 * GIB
    assert gpu.compute_capability is None
    assert gpu.memory_bandwidth_bytes_per_s is None
    assert [problem.code for problem in found.problems] == ["assumed_vendor"]


@pytest.mark.parametrize(
    ("spec", "count", "memory_gib"),
    [
        ("4x24GiB", 4, 24), ("4 x 24 GiB", 4, 24), ("24 GB", 1, 24), ("2x24g", 2, 24),
        ("8xH100", 8, None), ("8 H100", 8, None), ("H100 x8", 8, None), ("H100 80GB", 1, 80),
        ("3*A6000", 3, None), ("RTX 3090 x 2", 2, None), ("4090", 1, None), ("12GB", 1, 12),
    ],
)  # fmt: skip
def test_the_grammar(spec: str, count: int, memory_gib: int | None) -> None:
    (item,) = parse_spec(spec)
    assert item.count == count
    assert item.size_bytes == (None if memory_gib is None else memory_gib * GIB)


def test_an_unusual_size_is_taken_as_asked() -> None:
    (gpu,) = simulate("RTX 4090 48GB").gpus
    assert gpu.memory_bytes == 48 * GIB
    assert gpu.memory_bandwidth_bytes_per_s == pytest.approx(1008e9, rel=0.01)


def test_laptop_and_desktop_parts_differ() -> None:
    desktop, laptop = simulate("RTX 4090, RTX 4090 Laptop").gpus
    assert desktop.memory_bandwidth_bytes_per_s != laptop.memory_bandwidth_bytes_per_s
    assert laptop.memory_bytes == 16 * GIB


def test_nvlink_and_infinity_fabric() -> None:
    assert simulate("8xH100").links[0].kind == "nvlink"
    assert len(simulate("8xH100").links) == 28
    assert simulate("2x MI300X").links == (Link(0, 1, "xgmi"),)
    assert simulate("H100, A100").links == (Link(0, 1, "pcie"),)
    assert simulate("2x RTX 3090").links[0].kind == "pcie"  # a bridge is an option


def test_an_ambiguous_name_says_what_was_taken() -> None:
    found = simulate("RTX 4060 Ti")
    assert found.gpus[0].memory_bytes == 8 * GIB
    assert [problem.code for problem in found.problems] == ["assumed_variant"]
    assert simulate("RTX 4060 Ti 16GB").problems == ()
    assert simulate("H100").problems == ()


def test_mig_slices() -> None:
    (gpu,) = simulate("H100 MIG 1g.10gb").gpus
    assert (gpu.mig, gpu.memory_bytes) == ("1g.10gb", 9984 * MIB)
    with pytest.raises(UsageError):
        simulate("H100 MIG 5g.50gb")


@pytest.mark.parametrize(
    ("spec", "near"),
    [("RTX 4900", "GeForce RTX 4090"), ("MI3000X", "Instinct MI300X"), ("H1000", "H100")],
)
def test_unknown_names_get_suggestions_and_never_the_processor(spec: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        simulate(spec)
    assert caught.value.code == "unknown_gpu"
    assert near in (caught.value.hint or "")


@pytest.mark.parametrize("spec", ["", " , ", "0x RTX 4090", "999x H100", "1 byte", "x", "900000GB"])
def test_nonsense_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError):
        simulate(spec)


def test_none_is_a_machine_without_a_gpu() -> None:
    found = simulate("none")
    assert found.gpus == ()
    assert found.simulated


def test_a_sized_name_is_itself_a_name() -> None:
    """What an inventory calls a device, --gpu takes (reports can be pasted back)."""
    for spec in ("RTX 4090", "H100", "MI300X", "RTX 4090 Laptop", "L40S", "RX 7900 XTX", "T4"):
        (gpu,) = simulate(spec).gpus
        assert simulate(gpu.name).gpus == (gpu,)


def test_indices_pick_real_devices_and_name_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        inventory("97")
    assert "97" in caught.value.message


def test_every_row_of_the_table_can_be_simulated() -> None:
    from modelscan.gpu.facts import all_facts

    for row in all_facts():
        (gpu,) = simulate(row.name).gpus
        assert gpu.memory_bytes is not None, row.name
        assert gpu.free_bytes is not None
        assert 0 < gpu.free_bytes <= gpu.memory_bytes
        assert gpu.vendor == row.vendor
        assert simulate(gpu.name).gpus[0].name == gpu.name


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("4080S", ["NVIDIA GeForce RTX 4080 SUPER"]),
        ("4070TiS", ["NVIDIA GeForce RTX 4070 Ti SUPER"]),
        ("4090D", ["NVIDIA GeForce RTX 4090 D"]),
        ("RTX 4090M", ["NVIDIA GeForce RTX 4090 Laptop GPU"]),
        ("780M", ["AMD Radeon 780M"]),  # not 780 MiB
        ("4090x2", ["NVIDIA GeForce RTX 4090"] * 2),
        ("24GBx2", ["24.0 GiB GPU"] * 2),
        ("3090+4090", ["NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 4090"]),
        ("AI Max+ 395", ["AMD Radeon 8060S"]),
        ("MacBook Pro M4 Max 64GB", ["Apple M4 Max"]),
        ("Mac Studio M3 Ultra 256GB", ["Apple M3 Ultra"]),
        ("A100-40G", ["NVIDIA A100 SXM4 40 GB"]),
        ("A100 MIG 3g.20gb", ["NVIDIA A100 SXM4 40 GB MIG 3g.20gb"]),
        ("M40", ["NVIDIA Tesla M40"]),
    ],
)
def test_as_people_write_it(spec: str, names: list[str]) -> None:
    assert [gpu.name for gpu in simulate(spec).gpus] == names


def test_a_mistyped_number_alone_suggests_the_card_of_that_number() -> None:
    with pytest.raises(UsageError) as caught:
        simulate("4090s")
    assert caught.value.details["suggestions"][0] == "GeForce RTX 4090"
