"""The pure parsers that are fuzzed, the good inputs to damage, and the errors they may raise."""

from __future__ import annotations

import functools
import gzip
import json
import random
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import ModelscanError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.units import GIB
from modelscan.core.workload import Backend, Workload
from modelscan.engines.estimate import estimate
from modelscan.formats import gguf, safetensors
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.amd.sysfs import run_sysfs
from modelscan.gpu.ascend import npu_smi
from modelscan.gpu.detect_format import parse_output
from modelscan.gpu.enrich import enrich
from modelscan.gpu.host import run_host
from modelscan.gpu.intel import xpu_smi
from modelscan.gpu.intel.probe import run_intel
from modelscan.gpu.nvidia import csv as nvidia_csv
from modelscan.gpu.nvidia import table as nvidia_table
from modelscan.gpu.nvidia import text as nvidia_text
from modelscan.gpu.nvidia import xml as nvidia_xml
from modelscan.gpu.nvidia.tegrastats import parse_tegrastats
from modelscan.gpu.probe_host import ProbeHost
from modelscan.gpu.reading import ParseError, Reading
from modelscan.memory.architecture.harmless_keys import HARMLESS
from modelscan.memory.shape import from_config, from_gguf
from scripts.fuzz_mutate import bytes_of, document_of, text_of
from scripts.sparse_gguf import header
from scripts.sparse_models import MODELS
from tests.support import gpu_texts

OWN = (ModelscanError, ParseError)  # the errors that a parser may raise
_LONGEST_HEADER = 25_000
CATALOGS = Path(__file__).resolve().parents[1] / "catalogs"
CARD = Inventory(
    (Gpu(0, "NVIDIA H100", "nvidia", 80 * GIB, 79 * GIB, "simulated", compute_capability="9.0"),),
    Host(16, 128 * GIB, 100 * GIB), source="simulated",
)  # fmt: skip


class Target(NamedTuple):
    """``make`` an input from a seeded generator, ``run`` it: any error but OWN is a fault.

    ``weight``: its share of the runs.
    """

    make: Callable[[random.Random], Any]
    run: Callable[[Any], object]
    weight: int


@functools.cache
def _configs() -> tuple[Sequence[Any], Sequence[str]]:
    """Bundled config.json files, and the names of all their keys."""
    text = gzip.decompress((CATALOGS / "snapshots" / "configs.json.gz").read_bytes())
    found = list(_tables(json.loads(text)["records"]))
    keys = sorted({key for config in found for key in config} | set(sorted(HARMLESS)[:200]))
    return found, keys


def _tables(records: Any) -> Sequence[Any]:
    found = [record.get("architecture") for record in records]
    return [config for config in found if config and "model_type" in config]


def bundled_configs() -> Sequence[Any]:
    """The config.json files of the bundled catalog."""
    return _configs()[0]


def make_config(rng: random.Random) -> Any:
    """A damaged config.json."""
    seeds, keys = _configs()
    return document_of(rng, seeds, keys)


def run_config(config: Any) -> None:
    """Its shape as safetensors and as GGUF, and an estimate of each engine."""
    if not isinstance(config, dict):
        return
    shape = from_config(config)
    assert shape.weights.total_bytes >= 0
    _estimates(shape, ("vllm", "sglang"))
    _estimates(from_config(config, format="gguf", quantization="Q4_K_M"), ("llama.cpp",))


def _estimates(shape: ModelShape, backends: tuple[Backend, ...]) -> None:
    for backend in backends:
        try:
            found = estimate(shape, Workload(), CARD, model="m", backend=backend)
        except OWN:
            continue
        assert found.total_bytes >= 0, found.total_bytes
        json.dumps(to_json(found), allow_nan=False)  # infinities and NaN are no JSON


@functools.cache
def _headers() -> list[bytes]:
    """GGUF headers of the smaller ones of the real shapes: one of each kind of graph."""
    heads = sorted((header(make())[0] for make in MODELS.values()), key=len)
    return [head for head in heads if len(head) < _LONGEST_HEADER]


def run_gguf(data: bytes) -> None:
    """The header, its shape, and llama.cpp's estimate."""
    found = gguf.parse_header(
        lambda offset, size: data[offset : offset + size], len(data) + (1 << 40)
    )
    _estimates(from_gguf(found), ("llama.cpp",))


@functools.cache
def _safetensors() -> list[bytes]:
    table = {
        f"model.layers.{i}.{name}.weight": {"dtype": "BF16", "shape": [64, 64],
                                           "data_offsets": [i * 8192, (i + 1) * 8192]}
        for i in range(3) for name in ("q_proj", "mlp.experts.0.w1")
    }  # fmt: skip
    texts = [json.dumps({"__metadata__": {"format": "pt"}, **table}), json.dumps(table), "{}"]
    return [text.encode() for text in texts]


def make_safetensors(rng: random.Random) -> bytes:
    """A damaged header: its JSON, or the file with its length."""
    if rng.random() < 0.6:
        text = text_of(rng, [seed.decode() for seed in _safetensors()])
        body = text.encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(body)) + body
    return bytes_of(rng, [struct.pack("<Q", len(seed)) + seed for seed in _safetensors()])


def run_safetensors(data: bytes) -> None:
    """The header and its sums."""
    found = safetensors.read_header(lambda offset, size: data[offset : offset + size])
    safetensors.parameters_by_dtype(found.tensors)


_BOARD = gpu_texts.Board(slices=[("1g.10gb", 14, 9728, 3)], processes=[(1, "python", "5 MiB")])
_PLAIN = gpu_texts.Board(processes=[(1, "python", "5 MiB")])
_AMD: list[dict[str, object]] = [
    {"gpu": 0, "asic": {"market_name": "Instinct MI300X", "device_id": "0x74a1"},
     "partition": {"compute_partition": "CPX"}, "bus": {"bdf": "0000:05:00.0"},
     "vram": {"size": {"value": 196592, "unit": "MB"}},
     "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}}, "process_list": []},
    {"gpu": 1, "asic": {"market_name": "N/A"}, "partition": {"compute_partition": "CPX"},
     "vram": {"size": "N/A"}},
]  # fmt: skip
PROBES: dict[str, tuple[Callable[[str], Reading], str]] = {
    "nvidia-xml": (nvidia_xml.parse_xml, gpu_texts.nvidia_xml([_BOARD, _PLAIN])),
    "nvidia-query": (nvidia_text.parse_query, gpu_texts.nvidia_query(_BOARD)),
    "nvidia-csv": (nvidia_csv.parse_csv, gpu_texts.nvidia_csv([_PLAIN])),
    "nvidia-list": (nvidia_csv.parse_list, gpu_texts.nvidia_list([_BOARD])),
    "nvidia-table": (nvidia_table.parse_table, gpu_texts.nvidia_table([_PLAIN])),
    "tegrastats": (parse_tegrastats, "RAM 2500/7772MB (lfb 4x4MB) SWAP 0/3886MB CPU [1%@1190]\n"),
    "rocm-json": (
        rocm_smi.parse_json,
        gpu_texts.rocm_json([{"VRAM Total Memory (B)": "5", "Card Series": "x", "GUID": "7"}]),
    ),
    "rocm-csv": (rocm_smi.parse_csv, "device,VRAM Total Memory (B),Card Series\ncard0,5,MI100\n"),
    "rocm-text": (rocm_smi.parse_text, "GPU[0]\t: VRAM Total Memory (B): 5\nGPU[0]\t: GUID: 7\n"),
    "amd-json": (amd_smi.parse_json, gpu_texts.amd_list(_AMD, wrapped=True)),
    "amd-text": (amd_smi.parse_text, "GPU: 0\n    ASIC:\n        MARKET_NAME: x\n    VRAM:\n"
                 "        SIZE: 5 MB\nGPU: 1\n    ASIC:\n        MARKET_NAME: y\n"),
    "xpu-json": (xpu_smi.parse_json, '{"device_list": [{"device_id": 0, "device_name": "x",'
                 ' "memory_physical_size_byte": "5", "pci_bdf_address": "0000:4d:00.0"}]}'),
    "xpu-text": (xpu_smi.parse_text, "| Device ID | Device Information |\n| 0 | Device Name: x |\n"
                 "| | Memory Physical Size: 3 |\n"),
    "npu": (npu_smi.parse_info, "| npu-smi 24 Version: 24 |\n| 0 910B | OK | 9 |\n"
            "| 0 | 0000:C1:00.0 | 0 3/ 65536 |\n"),
}  # fmt: skip


def make_probe(rng: random.Random) -> tuple[str, str]:
    """The damaged output of a program."""
    name = rng.choice(tuple(PROBES))
    return name, text_of(rng, [PROBES[name][1]])


def run_probe(case: tuple[str, str]) -> None:
    """Its parser, the parser that its format suggests, and the table of facts."""
    name, text = case
    for parse in (PROBES[name][0], lambda shown: parse_output(shown, name)):
        try:
            reading = parse(text)
        except OWN:
            continue
        for gpu in reading.gpus[:4]:
            _check(enrich(gpu))


def _check(gpu: Gpu) -> None:
    """Raises AssertionError for figures that no device has."""
    for size in (gpu.memory_bytes, gpu.free_bytes, gpu.used_bytes):
        assert size is None or 0 <= size < 1 << 62, size
    assert gpu.name
    assert gpu.index >= 0


_TREE = {
    "sys/class/drm/card1/device/vendor": "0x1002\n",
    "sys/class/drm/card1/device/device": "0x74a1\n",
    "sys/class/drm/card1/device/uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:05:00.0\n",
    "sys/class/drm/card1/device/mem_info_vram_total": "206141652992\n",
    "sys/class/drm/card1/device/mem_info_vram_used": "297771008\n",
    "sys/class/drm/card1/device/unique_id": "7b8a1\n",
    "sys/class/drm/card2/device/vendor": "0x8086\n",
    "sys/class/drm/card2/device/device": "0xe223\n",
    "sys/class/drm/card2/device/uevent": "PCI_SLOT_NAME=0000:06:00.0\n",
    "sys/class/drm/card2/device/tile0/physical_vram_size_bytes": "34359738368\n",
    "sys/class/drm/card2/lmem_total_bytes": "17079205888\n",
    "sys/class/kfd/kfd/topology/nodes/1/properties":
        "simd_count 8\ngfx_target_version 90402\nlocation_id 1280\ndomain 0\n",
    "sys/class/kfd/kfd/topology/nodes/1/gpu_id": "1001\n",
    "sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties":
        "heap_type 1\nsize_in_bytes 25767706624\n",
    "sys/class/kfd/kfd/topology/nodes/2/properties":
        "simd_count 8\ngfx_target_version 90402\nlocation_id 1280\ndomain 0\n",
    "sys/class/kfd/kfd/topology/nodes/2/io_links/0/properties": "type 11\nnode_to 1\n",
    "sys/class/kfd/kfd/proc/9/vram_1001": "5\n",
    "proc/meminfo": "MemTotal: 65536000 kB\nMemAvailable: 60000000 kB\n",
}  # fmt: skip


def make_tree(rng: random.Random) -> dict[str, str]:
    """A /sys and /proc with damaged or missing files."""
    tree = dict(_TREE)
    for name in rng.sample(sorted(tree), rng.choice((1, 2, 4))):
        if rng.random() < 0.2:
            del tree[name]
        else:
            tree[name] = text_of(rng, [tree[name]])
    return tree


def run_tree(tree: dict[str, str]) -> None:
    """The kernel's devices and the host of that machine."""
    with tempfile.TemporaryDirectory(prefix="modelscan-fuzz-") as folder:
        for name, text in tree.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        machine = ProbeHost(root=Path(folder), environ={"PATH": ""}, system="linux")
        run_host(machine)
        for gpu in (*run_sysfs(machine), *run_intel(machine).gpus):
            _check(enrich(gpu))


TARGETS: dict[str, Target] = {
    "config": Target(make_config, run_config, 20),
    "gguf": Target(lambda rng: bytes_of(rng, _headers()), run_gguf, 15),
    "safetensors": Target(make_safetensors, run_safetensors, 25),
    "probe": Target(make_probe, run_probe, 39),
    "tree": Target(make_tree, run_tree, 1),
}
