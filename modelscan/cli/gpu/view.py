"""The documents of ``modelscan gpu`` and ``gpu facts``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.cli.document import Bar, Block, Document, Fields, Note, Table
from modelscan.core.gpu import Gpu, GpuFacts, Inventory, Link
from modelscan.core.units import GIB, format_bytes

if TYPE_CHECKING:
    from modelscan.gpu.known import GpuFactsAnswer


def inventory_document(inventory: Inventory, *, processes: bool = False) -> Document[Inventory]:
    """The document of ``modelscan gpu``."""
    warnings = [
        p.message if p.hint is None else f"{p.message} ({p.hint})" for p in inventory.problems
    ]
    ids = [str(gpu.index) for gpu in inventory.gpus]
    return Document("gpu", inventory, _blocks(inventory, processes), ids, warnings)


def _blocks(inventory: Inventory, processes: bool) -> list[Block]:
    blocks: list[Block] = [_devices(inventory), *_bars(inventory)]
    if inventory.hidden:
        names = ", ".join(f"{gpu.index} {gpu.name}" for gpu in inventory.hidden)
        blocks.append(Note(f"hidden by the environment: {names}"))
    if processes or any(gpu.processes for gpu in inventory.gpus):
        blocks.append(_processes(inventory.gpus))
    if inventory.links:
        blocks.append(Note("links: " + describe_links(inventory.links)))
    blocks.append(_host(inventory))
    return blocks


def _devices(inventory: Inventory) -> Table:
    return Table(
        ("GPU", "NAME", "MEMORY", "FREE", "BANDWIDTH", "CAPABILITY", "DRIVER", "BACKENDS"),
        [_row(gpu) for gpu in inventory.gpus],
        ("MEMORY", "FREE", "BANDWIDTH"),
        "this machine has no GPU, so models run on the CPU; simulate one with --gpu 'RTX 4090'",
        optional=("CAPABILITY", "BANDWIDTH", "DRIVER"),
        whole=("NAME",),
        folded=("BACKENDS",),
    )


def _bars(inventory: Inventory) -> list[Bar]:
    """Used memory of each device whose free memory is known and where some is used."""
    return [
        Bar(f"GPU {gpu.index}", [("used", gpu.memory_bytes - gpu.free_bytes)], gpu.memory_bytes)
        for gpu in inventory.gpus
        if gpu.memory_bytes is not None
        and gpu.free_bytes is not None
        and gpu.free_bytes < gpu.memory_bytes
    ]


def _row(gpu: Gpu) -> tuple[object, ...]:
    name = gpu.name + (" (shared memory)" if gpu.unified_memory else "")
    if gpu.worker:
        name += f" on {gpu.worker}"
    backends = gpu.backends or "no engine supports it"
    return (
        gpu.index, name, format_bytes(gpu.memory_bytes), format_bytes(gpu.free_bytes),
        format_bandwidth(gpu.memory_bandwidth_bytes_per_s),
        gpu.compute_capability or gpu.gfx_target, gpu.driver_version, backends,
    )  # fmt: skip


def _processes(gpus: Sequence[Gpu]) -> Table:
    rows = [
        (process.pid, gpu.index, format_bytes(process.memory_bytes), process.name)
        for gpu in gpus
        for process in gpu.processes
    ]
    empty = "no process uses GPU memory"
    return Table(("PID", "GPU", "MEMORY", "PROCESS"), rows, ("MEMORY",), empty)


def _host(inventory: Inventory) -> Fields:
    host = inventory.host
    memory = f"{format_bytes(host.memory_bytes)}, {format_bytes(host.free_bytes)} free"
    cpu = f"{host.cpus or '-'} x {host.cpu_name}" if host.cpu_name else host.cpus
    return Fields([("cpu", cpu), ("memory", memory)])


def describe_links(links: Sequence[Link]) -> str:
    """The kind of all links, or the pairs of each kind."""
    kinds = {link.kind for link in links}
    words = {"nvlink": "NVLink", "xgmi": "Infinity Fabric (xgmi)", "pcie": "PCIe",
             "system": "across processors (system)", "xelink": "Xe Link"}  # fmt: skip
    if len(kinds) == 1:
        kind = links[0].kind
        return f"{words.get(kind, kind)} between every two GPUs"
    by_kind = (
        f"{words.get(kind, kind)}: "
        + " ".join(f"{link.first}-{link.second}" for link in links if link.kind == kind)
        for kind in sorted(kinds)
    )
    return "; ".join(by_kind)


def format_bandwidth(value: int | None) -> str | None:
    """Bytes per second as GB/s or TB/s, decimal as in vendors' data sheets."""
    if value is None:
        return None
    gigabytes = value / 1e9
    return f"{gigabytes / 1000:.3g} TB/s" if gigabytes >= 1000 else f"{gigabytes:.4g} GB/s"


def facts_document(answer: GpuFactsAnswer, offset: int = 0) -> Document[GpuFactsAnswer]:
    """The document of ``gpu facts``: rows from ``offset`` on, or one GPU and its variants."""
    ids = [row.name for row in answer.facts]
    if answer.query is None:
        blocks: list[Block] = [_facts_table(answer.facts)]
        if len(answer.facts) < answer.total:
            last = offset + len(answer.facts)
            more = f"; more: --offset {last}" if offset < last < answer.total else ""
            shown = f"rows {offset + 1} to {last}" if answer.facts else f"no row after {offset}"
            blocks.append(Note(f"{shown} of {answer.total}{more}, --filter TEXT or --limit 0"))
        return Document("gpu.facts", answer, blocks, ids)
    blocks = [Fields(_facts_fields(answer.facts[0]))]
    if answer.variants:
        blocks.append(Note("also: " + ", ".join(answer.variants[:8])))
    return Document("gpu.facts", answer, blocks, ids)


def _facts_table(rows: Sequence[GpuFacts]) -> Table:
    return Table(
        ("NAME", "VENDOR", "MEMORY", "BANDWIDTH", "CAPABILITY", "FP16", "FP8", "FP4", "LINK"),
        [
            (
                row.name, row.vendor, _size(row),
                format_bandwidth(row.memory_bandwidth_bytes_per_s),
                row.compute_capability or row.gfx_target, _tflops(row), row.fp8, row.fp4,
                row.interconnect,
            )
            for row in rows
        ],
        ("MEMORY", "BANDWIDTH", "FP16"),
        optional=("VENDOR", "LINK", "FP4", "FP8", "FP16"),
    )  # fmt: skip


def _size(row: GpuFacts) -> str | None:
    if row.memory_bytes is None:
        return "shared" if row.unified_memory else None
    return f"{row.memory_bytes / GIB:g} GiB"


def _tflops(row: GpuFacts) -> str | None:
    return None if row.fp16_tflops is None else f"{row.fp16_tflops:g} TFLOP/s"


def _facts_fields(row: GpuFacts) -> list[tuple[str, object]]:
    return [
        ("name", row.name), ("vendor", row.vendor), ("architecture", row.architecture),
        ("memory", _size(row)), ("shown by the driver", format_bytes(row.reported_bytes)),
        ("reserved when idle", format_bytes(row.reserved_bytes)),
        ("bandwidth", format_bandwidth(row.memory_bandwidth_bytes_per_s)),
        ("compute capability", row.compute_capability), ("gfx target", row.gfx_target),
        ("fp16", row.fp16), ("bf16", row.bf16), ("int8", row.int8), ("fp8", row.fp8),
        ("fp4", row.fp4), ("fp16 dense", _tflops(row)), ("interconnect", row.interconnect),
        ("power", None if row.tdp_watts is None else f"{row.tdp_watts} W"),
        ("shared memory", row.unified_memory), ("laptop", row.mobile), ("note", row.note),
        ("source", row.source), ("also called", row.aliases),
    ]  # fmt: skip
