"""The table of GPU facts: complete, consistent, and found by the names people and drivers use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from modelscan.core.errors import UsageError
from modelscan.core.gpu import GpuFacts
from modelscan.core.units import GIB, MIB
from modelscan.gpu.facts import all_facts, lookup, suggest, variants
from modelscan.gpu.known import matching_facts
from modelscan.gpu.names import bracketed, parse_name
from modelscan.gpu.support import backends_for
from modelscan.state.bundled import bundled_dir

REPOSITORY = Path(__file__).resolve().parents[2]
FORMATS = {"native", "weight_only", "slow", "no", None}


def test_enough_rows_of_every_vendor() -> None:
    vendors = [row.vendor for row in all_facts()]
    assert len(vendors) >= 400
    for vendor, least in (("nvidia", 250), ("amd", 80), ("intel", 20), ("apple", 18)):
        assert vendors.count(vendor) >= least


def test_rows_are_filtered_and_paged() -> None:
    hopper = matching_facts("NVIDIA hopper")
    assert hopper.total == len(hopper.facts) > 10
    assert {row.architecture for row in hopper.facts} == {"Hopper"}
    page = matching_facts("hopper", limit=3, offset=2)
    assert (page.facts, page.total) == (hopper.facts[2:5], hopper.total)
    assert matching_facts("h100 pcie").facts[0].name.startswith("H100 PCIe")
    with pytest.raises(UsageError, match="contains 'voodoo'"):
        matching_facts("voodoo")


def test_names_are_unique_and_each_row_finds_itself() -> None:
    rows = all_facts()
    assert len({row.name for row in rows}) == len(rows)
    lost = [row.name for row in rows if lookup(row.name) not in (row, _twin(row))]
    assert lost == []


def _twin(row: GpuFacts) -> GpuFacts | None:
    """Rows that differ only in a word no driver says (Rev. 2, chip names) may stand in."""
    found = lookup(row.name)
    if found is None:
        return None
    same = (found.memory_bytes, found.memory_bandwidth_bytes_per_s, found.compute_capability)
    mine = (row.memory_bytes, row.memory_bandwidth_bytes_per_s, row.compute_capability)
    return found if same == mine else None


@pytest.mark.parametrize("row", all_facts(), ids=lambda row: row.name)
def test_no_impossible_value(row: GpuFacts) -> None:
    assert row.source
    assert row.vendor in ("nvidia", "amd", "intel", "apple")
    if row.memory_bytes is not None:
        assert 0.25 * GIB <= row.memory_bytes <= 512 * GIB
        if row.reported_bytes is not None:
            assert 0.75 <= row.reported_bytes / row.memory_bytes <= 1.025
            assert (row.reserved_bytes or 0) < row.reported_bytes / 10
    if row.memory_bandwidth_bytes_per_s is not None:
        assert 5e9 <= row.memory_bandwidth_bytes_per_s <= 8.2e12
    if row.fp16_tflops is not None:
        assert 0.05 <= row.fp16_tflops <= 2600
    assert {row.fp16, row.bf16, row.int8, row.fp8, row.fp4} <= FORMATS
    if row.vendor == "nvidia":
        assert re.match(r"^\d{1,2}\.\d$", row.compute_capability or "")
    else:
        assert row.compute_capability is None
    if row.gfx_target is not None:
        assert row.vendor == "amd"
        assert re.match(r"^gfx[0-9a-f]{3,4}$", row.gfx_target)
    assert row.tdp_watts is None or 1 <= row.tdp_watts <= 2500


@pytest.mark.parametrize(
    ("name", "memory_gib", "bandwidth", "capability", "fp16"),
    [
        ("NVIDIA GeForce RTX 4090", 24, 1008, "8.9", 165),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16, 576, "8.9", None),
        ("NVIDIA GeForce RTX 5090", 32, 1792, "12.0", 209.5),
        ("NVIDIA A100-SXM4-80GB", 80, 2039, "8.0", 312),
        ("NVIDIA A100-PCIE-40GB", 40, 1555, "8.0", 312),
        ("NVIDIA H100 80GB HBM3", 80, 3350, "9.0", 989),
        ("NVIDIA H100 PCIe", 80, 2039, "9.0", 756.5),
        ("NVIDIA H200", 141, 4800, "9.0", 989),
        ("NVIDIA GH200 480GB", 96, 4000, "9.0", 989),
        ("NVIDIA H20", 96, 4000, "9.0", 148),
        ("NVIDIA B200", 180, 8000, "10.0", 2250),
        ("NVIDIA GB200", 185, 8000, "10.0", 2500),
        ("NVIDIA GB300", 277.5, 8000, "10.3", 2500),
        ("NVIDIA L40S", 48, 864, "8.9", 362),
        ("Tesla T4", 16, 320, "7.5", 65),
        ("Tesla V100-SXM2-16GB", 16, 900, "7.0", 130),
        ("NVIDIA RTX A1000", 8, 192, "8.6", None),  # not an A100
        ("NVIDIA RTX 6000 Ada Generation", 48, 960, "8.9", 364),
        ("Quadro RTX 6000", 24, 672, "7.5", 130),
        ("NVIDIA GB10", 128, 273, "12.1", 125),
        ("NVIDIA Thor", 128, 273, "11.0", 258.8),
        ("NVIDIA Jetson AGX Orin Developer Kit", 64, 204.8, "8.7", 42.6),
        ("Radeon RX 9070 XT", 16, 644.6, None, 194.6),
        ("AMD Instinct MI300X", 192, 5300, None, 1307),
        ("AMD Instinct MI325X", 256, 6000, None, 1307),
        ("Radeon RX 7900 XTX", 24, 960, None, 122.8),
        ("Intel(R) Arc(TM) B580 Graphics", 12, 456, None, None),
        ("W7900", 48, 864, None, 122.6),
        ("Intel Arc B60", 24, 456, None, 98.3),
        ("Gaudi3", 128, 3700, None, 1835),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 96, 1792, "12.0", 503.8),
    ],
)
def test_known_cards(
    name: str, memory_gib: float, bandwidth: float, capability: str | None, fp16: float | None
) -> None:
    row = lookup(name)
    assert row is not None
    assert row.memory_bytes == pytest.approx(memory_gib * GIB, rel=0.001)
    assert row.memory_bandwidth_bytes_per_s == pytest.approx(bandwidth * 1e9, rel=0.01)
    assert row.compute_capability == capability
    if fp16 is not None:
        assert row.fp16_tflops == pytest.approx(fp16, rel=0.03)


def test_unified_chips_have_bandwidth_and_no_size() -> None:
    for name, bandwidth in (("Apple M4 Max", 546), ("Strix Halo", 256), ("M1", 68.25)):
        row = lookup(name)
        assert row is not None
        assert row.unified_memory
        assert row.memory_bytes is None
        assert row.memory_bandwidth_bytes_per_s == bandwidth * 1e9


def test_formats_follow_the_generation() -> None:
    def of(name: str) -> GpuFacts:
        row = lookup(name)
        assert row is not None
        return row

    assert (of("RTX 3090").fp8, of("RTX 4090").fp8, of("V100").fp8) == (
        "weight_only",
        "native",
        "no",
    )
    assert (of("H100").fp4, of("RTX 5090").fp4) == ("weight_only", "native")
    assert of("MI300X").fp8 == "native"
    assert of("MI250X").fp8 == "no"
    assert of("MI355X").fp4 == "native"
    assert of("RX 9070 XT").fp8 == "native"
    assert (of("T4").bf16, of("A10").bf16) == ("no", "native")


def test_memory_chooses_between_variants() -> None:
    small, large = lookup("RTX 4060 Ti", 8188 * MIB), lookup("RTX 4060 Ti", 16380 * MIB)
    assert small is not None
    assert large is not None
    assert (small.name, large.name) == ("GeForce RTX 4060 Ti 8 GB", "GeForce RTX 4060 Ti 16 GB")
    navi = "Navi 22 [Radeon RX 6700/6700 XT / 6800M]"
    found = lookup(navi, 12272 * MIB)
    assert found is not None
    assert found.name == "Radeon RX 6700 XT"
    assert lookup(navi) is None  # three products that differ
    assert len(variants("H100")) > 1


@pytest.mark.parametrize(("clock", "bandwidth"), [(4001, 128), (6001, 192), (None, 128)])
def test_the_memory_clock_tells_two_cards_of_one_name_apart(
    clock: int | None, bandwidth: float
) -> None:
    row = lookup("NVIDIA GeForce GTX 1650", 4096 * MIB, clock)
    assert row is not None
    assert row.memory_bandwidth_bytes_per_s == pytest.approx(bandwidth * 1e9, rel=0.01)


@pytest.mark.parametrize(
    "name", ["", "   ", "GPU", "NVIDIA", "RTX", "9999", "Voodoo 5", "A", "x" * 5000]
)
def test_what_names_no_chip_is_none(name: str) -> None:
    assert lookup(name) is None


def test_suggestions() -> None:
    assert "GeForce RTX 4090" in suggest("RTX 4900")
    assert "Instinct MI300X" in suggest("MI3000X")
    assert suggest("zzzzzzzzzzzz") == ()


def test_every_change_has_a_reason() -> None:
    rules = yaml.safe_load((REPOSITORY / "scripts/gpu_corrections.yaml").read_text())
    names = {row.name: row for row in all_facts()}
    for change in rules["corrections"]:
        assert len(change["reason"]) > 20
        note = names[change["name"]].note
        assert note is not None
        assert change["reason"] in note
    for name in [*rules["reported"], *rules["aliases"]]:
        assert name in names


def test_the_built_keys_are_those_of_the_parser() -> None:
    """The table's index column is made by names.py: rebuild it (make catalogs) when that changes."""
    for line in (bundled_dir() / "gpus.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        cells = line.split("\t")
        names = [cells[1], *(cells[-2].split("|") if cells[-2] else [])]
        assert set(cells[-1].split("|")) == {parse_name(name).core for name in names}


def test_a_lookup_parses_only_the_rows_of_its_name() -> None:
    from modelscan.gpu import facts

    facts._lines.cache_clear()
    facts._parse.cache_clear()
    assert lookup("RTX 4090") is not None
    assert facts._parse.cache_info().currsize <= 8  # of hundreds


def test_brackets() -> None:
    assert bracketed("Navi 33 [Radeon RX 7600/7600 XT/7600M XT]") == [
        "Radeon RX 7600",
        "Radeon RX 7600 XT",
        "Radeon RX 7600M XT",
    ]
    assert bracketed("AMD Instinct MI210") == ["AMD Instinct MI210"]
    assert bracketed("[]") == ["[]"]


def test_which_engines() -> None:
    from modelscan.gpu.simulate import simulate

    def engines(spec: str) -> set[str]:
        return set(backends_for(simulate(spec).gpus[0]))

    assert engines("RTX 4090") == {"llama.cpp", "vllm", "sglang", "ollama"}
    assert engines("Tesla P40") == {"llama.cpp", "ollama"}
    assert engines("M4 Max") == {"llama.cpp", "ollama"}
    assert "vllm" in engines("MI300X")
    assert engines("Gaudi2") == set()


@pytest.mark.parametrize(
    ("driver_name", "row"),
    [
        ("AMD Instinct MI300X VF", "Instinct MI300X"),
        ("NVIDIA B300 SXM6 AC", "B300"),
        ("HL-325L", "Gaudi3 (HL-325)"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
         "Jetson Orin Nano Super"),
        ("NVIDIA A800 40GB Active", "A800 PCIe 40 GB"),
        ("Tesla K80", "Tesla K80"),
    ],
)  # fmt: skip
def test_what_drivers_call_it(driver_name: str, row: str) -> None:
    found = lookup(driver_name)
    assert found is not None
    assert found.name == row


def test_no_memory_is_no_variant() -> None:
    assert lookup("RTX 4090 0GB") is None


@pytest.mark.parametrize(
    ("name", "mib", "row"),
    [
        ("NVIDIA A100-SXM...", 40536, "A100 SXM4 40 GB"),
        ("A100-PCI...", 81920, "A100 PCIe 80 GB"),
        ("Tesla V100-SXM2...", 32510, "Tesla V100 SXM2 32 GB"),
        ("NVIDIA RTX A500...", 24564, None),  # of A500 and A5000 neither is sure
    ],
)
def test_names_that_a_table_cut_off(name: str, mib: int, row: str | None) -> None:
    found = lookup(name, mib << 20)
    assert (found and found.name) == row
