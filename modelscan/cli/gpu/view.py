"""How an inventory and the table of GPU facts are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu, GpuFacts, Inventory, Link
from modelscan.core.jsonform import to_json
from modelscan.core.units import GIB, format_bytes


def inventory_document(found: Inventory, *, processes: bool = False) -> Document:
    """The document of ``modelscan gpu``."""
    body: dict[str, Any] = {
        "gpus": [to_json(gpu) for gpu in found.gpus],
        "host": to_json(found.host),
        "hidden": [to_json(gpu) for gpu in found.hidden],
        "links": [to_json(link) for link in found.links],
        "problems": [to_json(problem) for problem in found.problems],
        "source": found.source,
    }
    warnings = [p.message if p.hint is None else f"{p.message} ({p.hint})" for p in found.problems]
    return Document(
        "gpu", body, _blocks(found, processes), [str(gpu.index) for gpu in found.gpus], warnings
    )


def _blocks(found: Inventory, processes: bool) -> list[Block]:
    blocks: list[Block] = [_devices(found)]
    if found.hidden:
        names = ", ".join(f"{gpu.index} {gpu.name}" for gpu in found.hidden)
        blocks.append(Note(f"hidden by the environment: {names}"))
    if processes or any(gpu.processes for gpu in found.gpus):
        blocks.append(_processes(found.gpus))
    if found.links:
        blocks.append(Note("links: " + describe_links(found.links)))
    blocks.append(_host(found))
    return blocks


def _devices(found: Inventory) -> Table:
    return Table(
        ("GPU", "NAME", "MEMORY", "FREE", "BANDWIDTH", "CAPABILITY", "DRIVER", "BACKENDS"),
        [_row(gpu) for gpu in found.gpus],
        ("MEMORY", "FREE", "BANDWIDTH"),
        "no GPU here: models run on the processor; simulate one with --gpu 'RTX 4090'",
    )


def _row(gpu: Gpu) -> tuple[object, ...]:
    name = gpu.name + (" (shared memory)" if gpu.unified_memory else "")
    if gpu.worker:
        name += f" on {gpu.worker}"
    backends = ",".join(gpu.backends) or "no backend here supports it"
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
    empty = "no process holds GPU memory"
    return Table(("PID", "GPU", "MEMORY", "PROCESS"), rows, ("MEMORY",), empty)


def _host(found: Inventory) -> Fields:
    host = found.host
    memory = f"{format_bytes(host.memory_bytes)}, {format_bytes(host.free_bytes)} free"
    cpu = f"{host.cpus or '-'} x {host.cpu_name}" if host.cpu_name else host.cpus
    return Fields([("cpu", cpu), ("memory", memory)])


def describe_links(links: Sequence[Link]) -> str:
    """One kind for all, or each pair by its kind."""
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
    """GB/s or TB/s, decimal as vendors state it."""
    if value is None:
        return None
    gigabytes = value / 1e9
    return f"{gigabytes / 1000:.3g} TB/s" if gigabytes >= 1000 else f"{gigabytes:.4g} GB/s"


def facts_document(name: str | None) -> Document:
    """The document of ``gpu facts``: every row, or the one a name means and its variants."""
    from modelscan.gpu.facts import all_facts

    body: dict[str, Any]
    if name is None:
        rows = all_facts()
        body = {"query": None, "facts": [to_json(row) for row in rows], "variants": []}
        return Document("gpu.facts", body, [_facts_table(rows)], [row.name for row in rows])
    row, others = _one(name)
    body = {"query": name, "facts": [to_json(row)], "variants": [other.name for other in others]}
    blocks: list[Block] = [Fields(_facts_fields(row))]
    if others:
        blocks.append(Note("also: " + ", ".join(other.name for other in others[:8])))
    return Document("gpu.facts", body, blocks, [row.name])


def _one(name: str) -> tuple[GpuFacts, list[GpuFacts]]:
    from modelscan.gpu.facts import known_as, lookup, suggest, variants

    row = lookup(known_as(name))
    if row is None:
        near = suggest(name)
        hint = f"modelscan gpu facts '{near[0]}'" if near else "modelscan gpu facts"
        raise UsageError(
            f"no GPU is called '{name}'", hint=hint, code="unknown_gpu",
            details={"suggestions": list(near)},
        )  # fmt: skip
    return row, [other for other in variants(known_as(name)) if other != row]


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
