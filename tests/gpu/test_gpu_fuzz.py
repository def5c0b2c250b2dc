"""Any text, and any damage to a good one: a Reading or a ParseError, nothing else, in bounded time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.gpu_texts import (
    Board,
    amd_list,
    nvidia_list,
    nvidia_query,
    rocm_json,
)
from support.gpu_texts import (
    nvidia_csv as csv_text,
)
from support.gpu_texts import (
    nvidia_table as table_text,
)
from support.gpu_texts import (
    nvidia_xml as xml_text,
)

from modelscan.core.errors import UsageError
from modelscan.gpu import apple, pci
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.ascend import npu_smi
from modelscan.gpu.bundle import split_bundle
from modelscan.gpu.cgroup import parse_cgroup_limit
from modelscan.gpu.facts import lookup, suggest, variants
from modelscan.gpu.host import parse_cpu_name, parse_meminfo, parse_vm_stat
from modelscan.gpu.intel import xpu_smi
from modelscan.gpu.names import parse_name
from modelscan.gpu.nvidia import csv as nvidia_csv
from modelscan.gpu.nvidia import table as nvidia_table
from modelscan.gpu.nvidia import text as nvidia_text
from modelscan.gpu.nvidia import xml as nvidia_xml
from modelscan.gpu.nvidia.tegrastats import parse_tegrastats
from modelscan.gpu.reading import ParseError, Reading, number, size_bytes
from modelscan.gpu.simulate import simulate
from tests.support.gpu_samples import parse_sample

BOARD = Board(slices=[("1g.10gb", 14, 9728, 3)], processes=[(1, "python", "5 MiB")])
PLAIN = Board(processes=[(1, "python", "5 MiB")])
NPU = "| npu-smi 24 Version: 24 |\n| 0 910B | OK | 9 |\n| 0 | 0000:C1:00.0 | 0 3/ 65536 |\n"
XPU = '{"device_list": [{"device_id": 0, "memory_physical_size_byte": "5", "device_name": "x"}]}'
XPU_TEXT = (
    "| Device ID | Device Information |\n| 0 | Device Name: x |\n| | Memory Physical Size: 3 |\n"
)
ROCM = rocm_json([{"VRAM Total Memory (B)": "5", "Card Series": "x"}], **{"Driver version": "6"})
AMD = amd_list([{"gpu": 0, "mem_usage": {"total_vram": {"value": 1, "unit": "MB"}}}], wrapped=True)
PARSERS: dict[str, tuple[Callable[[str], Reading], str]] = {
    "xml": (nvidia_xml.parse_xml, xml_text([BOARD])),
    "query": (nvidia_text.parse_query, nvidia_query(BOARD)),
    "csv": (nvidia_csv.parse_csv, csv_text([PLAIN])),
    "list": (nvidia_csv.parse_list, nvidia_list([BOARD])),
    "table": (nvidia_table.parse_table, table_text([PLAIN])),
    "nvlink": (nvidia_table.parse_nvlink, nvidia_list([PLAIN]) + "\t Link 0: 25 GB/s\n"),
    "rocm": (rocm_smi.parse_json, ROCM),
    "rocm-csv": (rocm_smi.parse_csv, "device,VRAM Total Memory (B)\ncard0,5\n"),
    "rocm-text": (rocm_smi.parse_text, "GPU[0]\t: VRAM Total Memory (B): 5\n"),
    "amd": (amd_smi.parse_json, AMD),
    "amd-text": (amd_smi.parse_text, "GPU: 0\n    ASIC:\n        MARKET_NAME: x\n"),
    "xpu": (xpu_smi.parse_json, XPU),
    "xpu-text": (xpu_smi.parse_text, XPU_TEXT),
    "npu": (npu_smi.parse_info, NPU),
    "lspci": (pci.parse_lspci, "41:00.0 3D controller [0302]: NVIDIA Corporation X [10de:26b9]\n"),
    "mac": (apple.parse_system_profiler, "      Chipset Model: Apple M1\n    Memory: 8 GB\n"),
    "jetson": (parse_tegrastats, "RAM 1/2MB\n"),
    "any": (parse_sample, xml_text([BOARD])),
}
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
SNIPPETS = st.sampled_from(
    ["N/A", "[N/A]", "-1", "9" * 400, "1e999", "\x00", "\x1b[31m", "MiB", "ERR!", "GPU is lost", "null",
     "{", "}", "[", "<gpu>", "</gpu>", "|", ",", ":", "\n", "\t", "é漢", "0x", "card0", '"', "NaN"]
)  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_the_good_text_is_read(name: str) -> None:
    parse, text = PARSERS[name]
    assert parse(text).gpus


@pytest.mark.parametrize("name", PARSERS)
@QUICK
@given(data=st.data())
def test_a_damaged_text_is_read_or_refused(name: str, data: st.DataObject) -> None:
    parse, text = PARSERS[name]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 40))
        text = text[:at] + data.draw(SNIPPETS) + text[at + cut :]
    check(parse, text)


@pytest.mark.parametrize("name", PARSERS)
@QUICK
@given(text=st.text(max_size=300))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    check(PARSERS[name][0], text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["gpu", "asic", "mem_usage", "total_vram", "value", "unit", "card0", "system",
                         "device_list", "device_id", "vram", "size", "gpu_data", "process_list",
                         "device_level", "SPDisplaysDataType"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("name", ["rocm", "amd", "xpu", "mac", "any"])
@QUICK
@given(document=JSON)
def test_any_json_is_read_or_refused(name: str, document: object) -> None:
    check(PARSERS[name][0], json.dumps(document))


def check(parse: Callable[[str], Reading], text: str) -> None:
    try:
        reading = parse(text)
    except ParseError as refusal:
        assert refusal.code
        assert refusal.message
    else:
        assert isinstance(reading, Reading)
        for gpu in reading.gpus:
            assert gpu.name
            assert gpu.memory_bytes is None or gpu.memory_bytes >= 0
            assert gpu.free_bytes is None or gpu.free_bytes >= 0


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("unit", ["|", " ", "GPU 0: ", "[", "{", '{"a":', "<gpu>", "\n", "0", "a,", "-",
                                  "| 1 2 3 4 5 ", "GPU[0]", "\t"])  # fmt: skip
@pytest.mark.timeout(120)  # a pattern that goes back over its text would need hours
def test_long_texts_are_read_or_refused(name: str, unit: str) -> None:
    text = (unit * (1_000_000 // len(unit)))[:1_000_000]
    try:
        PARSERS[name][0](text)
    except ParseError as refusal:
        assert refusal.code


@QUICK
@example(text="²")  # a digit to ``isdigit``, not to ``int``
@given(text=st.text(max_size=200))
def test_small_readers_never_raise(text: str) -> None:
    parse_meminfo(text)
    parse_cgroup_limit(text)
    parse_cpu_name(text)
    parse_vm_stat(text)
    parse_name(text)
    lookup(text)
    variants(text)
    number(text)
    size_bytes(text)
    split_bundle(text)
    nvidia_csv.parse_apps(text)
    nvidia_table.parse_topology(text)
    nvidia_table.complaint(text)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(alphabet="0123456789xX *,;GBiHRT aMp+.-", max_size=24) | st.text(max_size=12))
def test_a_specification_is_simulated_or_a_usage_error(text: str) -> None:
    try:
        found = simulate(text)
    except UsageError as error:
        assert error.message
    else:
        assert found.simulated
        assert found.gpus or text.strip().lower() in ("none", "cpu", "no gpu")


@QUICK
@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
       | st.dictionaries(st.sampled_from(["value", "unit"]), st.integers() | st.text(max_size=5)))  # fmt: skip
def test_quantities(value: object) -> None:
    size = size_bytes(value)
    assert size is None or 0 <= size < 1 << 50
    number(value)


@pytest.mark.timeout(60)
def test_a_name_of_no_device_has_no_suggestions_without_end() -> None:
    assert len(suggest("RTX " + "4" * 200)) <= 3
