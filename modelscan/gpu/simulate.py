"""``--gpu SPEC``: the inventory of a machine with the specified GPUs.

    SPEC  = ITEM {"," ITEM} ["," SIZE "RAM"]
    ITEM  = [COUNT "x"] (NAME [SIZE] | SIZE)

``2x RTX 4090`` · ``H200,RTX 4090`` · ``M4 Max 64GB`` · ``24GiB`` · ``H100 MIG 1g.10gb`` ·
``none`` · ``RTX 4090, 128GB RAM``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu, GpuFacts, Host, Inventory, Link, Problem
from modelscan.core.units import GIB, MIB, format_bytes, parse_bytes
from modelscan.gpu.facts import known_as, lookup, suggest, variants
from modelscan.gpu.names import Name, parse_name
from modelscan.gpu.simulated_host import PLATFORM, host_of, simulated_host
from modelscan.gpu.support import backends_for, disable_integrated
from modelscan.gpu.unified import (
    IDLE_SYSTEM_BYTES,
    apple_working_set,
    apu_usable,
    default_unified_memory,
    rtx_spark_usable,
    shares_in_part,
)

MAX_DEVICES = 256
_SOLD_AS = 0.08  # a name's size and the table's differ less than this (B200: 180 and 192 GB)
_COUNT = re.compile(r"^\s*(\d{1,3})\s*(?:[x×*]\s*|\s+)(?=\S)", re.IGNORECASE)
_COUNT_AFTER = re.compile(r"(\s*)[x×*]\s*(\d{1,3})\s*$", re.IGNORECASE)
_BARE_SIZE = re.compile(r"^\d+(\.\d+)?\s*(gib|gb|g|mib|mb|m|tib|tb|t)$", re.IGNORECASE)
_RAM = re.compile(r"\s*[,;+]\s*(\d+(?:\.\d+)?\s*[kmgt]i?b?)\s+RAM\s*$", re.IGNORECASE)
_EMPTY = {"none", "cpu", "no gpu"}
# MIG slices' memory as drivers report it, MiB (NVIDIA MIG user guide, nvidia-smi outputs).
_MIG_MIB = {
    ("A100", 40): {"1g.5gb": 4864, "2g.10gb": 9984, "3g.20gb": 20096, "4g.20gb": 20096,
                   "7g.40gb": 40192},
    ("A100", 80): {"1g.10gb": 9728, "2g.20gb": 19968, "3g.40gb": 40192, "4g.40gb": 40192,
                   "7g.80gb": 80640},
    ("H100", 80): {"1g.10gb": 9984, "2g.20gb": 20096, "3g.40gb": 40448, "4g.40gb": 40448,
                   "7g.80gb": 80896},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of device: count, name, and memory size if specified."""

    count: int
    name: str
    size_bytes: int | None


def simulate(spec: str) -> Inventory:
    """The inventory for ``spec``. Raises UsageError with suggestions for an unknown name.

    Its host memory is that of the spec or the usual one of its class, never this machine's.
    """
    spec, ram_bytes = split_ram(spec)
    if spec.strip().lower() in _EMPTY:
        return Inventory((), simulated_host((), ram_bytes), source="simulated")
    gpus: list[Gpu] = []
    notes: list[Problem] = []
    rows: list[GpuFacts | None] = []
    unified: Host | None = None
    for item in parse_spec(spec):
        gpu, facts, note = _device(item)
        if facts is not None and facts.unified_memory:
            unified = _unified_host(gpu, item, facts)
        notes.extend(n for n in note if n not in notes)
        for _ in range(item.count):
            gpus.append(replace(gpu, index=len(gpus), visible_index=len(gpus)))
            rows.append(facts)
    host = unified if unified and ram_bytes is None else simulated_host(gpus, ram_bytes)
    return Inventory(disable_integrated(gpus), host, tuple(notes), links(rows), "simulated")


def split_ram(spec: str) -> tuple[str, int | None]:
    """(the devices, host memory in bytes): ``RTX 4090, 128GB RAM`` -> (``RTX 4090``, 128 GiB)."""
    match = _RAM.search(spec)
    if match is None:
        return spec, None
    return spec[: match.start()], _size(match.group(1))


def parse_spec(spec: str) -> tuple[Item, ...]:
    """Parse a specification. Raises UsageError if it is empty or invalid."""
    listed = [part.strip() for part in re.split(r"[,;]|\s\+\s", spec) if part.strip()]
    parts = [part for one in listed for part in _joined_by_plus(one)]
    if not parts:
        raise UsageError("--gpu is empty", hint="modelscan gpu --gpu 'RTX 4090'")
    items = tuple(_parse_item(part) for part in parts)
    total = sum(item.count for item in items)
    if total > MAX_DEVICES:
        raise UsageError(
            f"--gpu specifies {total} devices; the maximum is {MAX_DEVICES}",
            hint=f"--gpu '{MAX_DEVICES}x {items[0].name or '24GiB'}'",
        )
    return items


def _parse_item(text: str) -> Item:
    count = 1
    leading, trailing = _COUNT.match(text), _COUNT_AFTER.search(text)
    rest = text[leading.end() :] if leading else ""
    if leading and not _is_size(text) and not re.match(r"(gib|gb|g|mib|mb)\b", rest, re.I):
        count, text = int(leading.group(1)), rest
    elif (
        trailing
        and not _is_row(text)
        and (trailing.group(1) or _is_device(text[: trailing.start()]))
    ):
        count, text = int(trailing.group(2)), text[: trailing.start()]
    if count < 1:
        raise UsageError(f"the count of '{text}' is {count}", hint="write it like 2x RTX 4090")
    text = text.strip()
    if _is_size(text):
        return Item(count, "", _size(text))
    text = known_as(text)
    size = parse_name(text).memory_gib
    return Item(count, text, round(size * GIB) if size else None)


def _joined_by_plus(text: str) -> list[str]:
    """Split at plus signs: ``3090+4090`` is two devices, ``Ryzen AI Max+ 395`` is one."""
    parts = [part.strip() for part in text.split("+")]
    if len(parts) > 1 and not _is_device(text) and all(map(_is_device, parts)):
        return parts
    return [text]


def _is_size(text: str) -> bool:
    """True for ``24GiB``; False for ``780M``, which is a Radeon."""
    return bool(_BARE_SIZE.match(text)) and lookup(text) is None


def _is_device(text: str) -> bool:
    """True if the text alone can be simulated, with or without a count before it."""
    count = _COUNT.match(text)
    name = text[count.end() :] if count else text
    return any(bool(_BARE_SIZE.match(t)) or lookup(known_as(t)) for t in (text, name))


def _is_row(text: str) -> bool:
    """True for a product name that ends like a count: RTX 5000 Embedded Ada Generation X2."""
    facts = lookup(text)
    return facts is not None and text.strip().lower().endswith(facts.name.lower())


def _size(text: str) -> int:
    """A device's memory in bytes. All units are binary: an ``80GB`` card has 80 GiB."""
    size = parse_bytes(re.sub(r"(?i)([kmgt])i?b?$", r"\1iB", text.replace(" ", "")))
    if not 256 * MIB <= size <= 16384 * GIB:
        raise UsageError(
            f"{text} is not a valid memory size of a device", hint="write it like 24GiB"
        )
    return size


def _device(item: Item) -> tuple[Gpu, GpuFacts | None, tuple[Problem, ...]]:
    if not item.name:
        return _sized_device(item)
    facts = lookup(item.name)
    if facts is None:
        raise _unknown(item.name)
    mig = parse_name(item.name).mig
    if mig is not None:
        return _mig_device(item, facts, mig), facts, ()
    total, free, shared = _memory(item, facts)
    gpu = Gpu(
        index=0, name=_driver_name(facts), vendor=facts.vendor, memory_bytes=total, free_bytes=free,
        source="simulated", used_bytes=0, reserved_bytes=_reserved(facts, total, free),
        compute_capability=facts.compute_capability, gfx_target=facts.gfx_target,
        memory_bandwidth_bytes_per_s=facts.memory_bandwidth_bytes_per_s,
        unified_memory=facts.unified_memory, shared_bytes=shared,
        fp16_tflops=facts.fp16_tflops,
    )  # fmt: skip
    return replace(gpu, backends=backends_for(gpu)), facts, _notes(item, facts)


def _driver_name(facts: GpuFacts) -> str:
    prefix = {"nvidia": "NVIDIA ", "amd": "AMD ", "intel": "Intel ", "apple": "Apple "}
    return prefix.get(facts.vendor, "") + facts.name.replace(" Mobile", " Laptop GPU")


def _memory(item: Item, facts: GpuFacts) -> tuple[int | None, int | None, int | None]:
    """(usable, free, mappable system memory) in bytes, on an idle machine."""
    if facts.unified_memory:
        total_memory = _whole(item, facts)
        if facts.vendor == "apple":
            usable = apple_working_set(total_memory)
        elif facts.vendor == "amd" and facts.memory_bytes is None:
            usable = apu_usable(total_memory)
        elif shares_in_part(facts.name):
            usable = rtx_spark_usable(total_memory, reported=False)
        else:
            usable = total_memory
        return usable, min(usable, max(0, total_memory - IDLE_SYSTEM_BYTES)), None
    reported = facts.reported_bytes or facts.memory_bytes
    if item.size_bytes is None or _is_sold_as(item.size_bytes, facts):
        total = reported
    else:
        total = item.size_bytes
    reserved = facts.reserved_bytes or 0
    if total is None or reported is None or total >= reported:
        return total, None if total is None else total - reserved, None
    return total, total - _kept(total, reported, reserved), None


def _reserved(facts: GpuFacts, total: int | None, free: int | None) -> int | None:
    """What the driver keeps of ``total`` on an idle card; None if that is not known."""
    if facts.unified_memory or facts.reserved_bytes is None or total is None or free is None:
        return facts.reserved_bytes
    return total - free


def _is_sold_as(size_bytes: int, facts: GpuFacts) -> bool:
    """Whether this is the size a card is sold with (24 GB), not one that a driver or CUDA states
    (23.52 GiB): whole GiB, and not below what the driver reports.
    """
    nominal = facts.memory_bytes
    if nominal is None or abs(size_bytes / nominal - 1) > _SOLD_AS:
        return False
    shown = facts.reported_bytes or nominal
    return size_bytes == nominal or (size_bytes % GIB == 0 and size_bytes > shown - GIB // 2)


def _kept(total: int, reported: int, reserved: int) -> int:
    """What the driver keeps of a stated size that is less than the card reports. CUDA's own total
    (23.52 GiB of an RTX 4090) is without it.
    """
    if total <= reported - reserved + reserved // 8:
        return 0
    return reserved


def _whole(item: Item, facts: GpuFacts) -> int:
    """All memory of a machine with unified memory, as its system reports it if known."""
    nominal = facts.memory_bytes
    if item.size_bytes is not None and item.size_bytes != nominal:
        return item.size_bytes
    return facts.reported_bytes or nominal or default_unified_memory(facts.name)


def _mig_device(item: Item, facts: GpuFacts, mig: str) -> Gpu:
    """A MIG slice of the named board, or of the variant of it with such a profile."""
    family = next((name for name in ("A100", "H100") if facts.name.startswith(name)), "")
    boards = [row for row in (facts, *variants(item.name)) if row.name.startswith(family)]
    known_sizes = {row: _MIG_MIB.get((family, round((row.memory_bytes or 0) / GIB)), {})
                   for row in (boards if item.size_bytes is None else [facts])}  # fmt: skip
    facts = next((row for row, sizes in known_sizes.items() if mig in sizes), facts)
    sizes = known_sizes[facts]
    if mig not in sizes:
        listed = ", ".join(sizes) or "none"
        raise UsageError(
            f"the memory of a {mig} slice of {facts.name} is unknown; known slices: {listed}",
            hint="give its size instead, e.g. --gpu 10GiB",
        )
    gpu = Gpu(
        index=0, name=f"{_driver_name(facts)} MIG {mig}", vendor="nvidia",
        memory_bytes=sizes[mig] * MIB, free_bytes=sizes[mig] * MIB, source="simulated", mig=mig,
        compute_capability=facts.compute_capability, used_bytes=0,
    )  # fmt: skip
    return replace(gpu, backends=backends_for(gpu))


def _sized_device(item: Item) -> tuple[Gpu, None, tuple[Problem, ...]]:
    size = item.size_bytes
    name = f"{format_bytes(size)} GPU"
    gpu = Gpu(
        index=0, name=name, vendor="nvidia", memory_bytes=size, free_bytes=size,
        source="simulated", used_bytes=0,
    )  # fmt: skip
    note = Problem(
        "assumed_vendor",
        f"{name}: assumed to be an NVIDIA card of unknown generation and speed",
        "give a name for exact results, e.g. --gpu 'RTX 4090'",
    )
    return replace(gpu, backends=backends_for(gpu)), None, (note,)


def _notes(item: Item, facts: GpuFacts) -> tuple[Problem, ...]:
    """Assumptions about a device whose name is ambiguous."""
    if facts.unified_memory:
        return _assumed_memory(item, facts)
    name = parse_name(item.name)
    if item.size_bytes is not None or name.memory_gib or name.mobile != facts.mobile:
        return ()
    here = round((facts.memory_bytes or 0) / GIB, 1)
    others = sorted(
        {round(v.memory_bytes / GIB, 1) for v in variants(item.name) if v.memory_bytes} - {here}
    )
    if not others or _is_usual(name, facts, others):
        return ()
    sizes = ", ".join(f"{size:g} GiB" for size in others)
    text = f"'{item.name}' was interpreted as {facts.name}; other variants have {sizes}"
    return (Problem("assumed_variant", text, f"--gpu '{item.name} {others[0]:g}GB' selects it"),)


def _assumed_memory(item: Item, facts: GpuFacts) -> tuple[Problem, ...]:
    """The assumption about the memory size of a unified chip, which is sold with several sizes."""
    if item.size_bytes or facts.memory_bytes is not None:
        return ()
    size = default_unified_memory(facts.name)
    text = f"{facts.name}: {format_bytes(size)} assumed, because the name gives no memory size"
    return (Problem("assumed_memory", text, f"--gpu '{facts.name} 64GB' selects another size"),)


def _is_usual(name: Name, facts: GpuFacts, others: list[float]) -> bool:
    """True if the bare name usually means this size (H100: 80 GB) and half of it does not exist."""
    usual = any(parse_name(alias) == name for alias in facts.aliases)
    half = round((facts.memory_bytes or 0) / GIB / 2, 1)
    return usual and bool(name.core) and half not in others


def _unified_host(gpu: Gpu, item: Item, facts: GpuFacts) -> Host:
    platform = "darwin-arm64" if facts.vendor == "apple" else PLATFORM
    return host_of(_whole(item, facts), facts.memory_bandwidth_bytes_per_s, gpu.name, platform)


def _unknown(name: str) -> UsageError:
    near = suggest(name)
    hint = (
        "did you mean " + " or ".join(near) + "?"
        if near
        else "list all GPUs with modelscan gpu facts, or give the memory size: --gpu 24GiB"
    )
    return UsageError(
        f"the table of GPU facts has no GPU '{name}'",
        hint=hint,
        code="unknown_gpu",
        details={"suggestions": near},
    )


def links(rows: list[GpuFacts | None]) -> tuple[Link, ...]:
    """The links between devices of one kind; PCIe unless the part always has a faster link (no
    bridge).
    """
    pairs = []
    for first, one in enumerate(rows):
        for second in range(first + 1, len(rows)):
            same = one is not None and one is rows[second]
            words = (one.interconnect or "") if same and one is not None else ""
            fabric = "xgmi" if words.startswith("Infinity") else "nvlink"
            fixed = words.startswith(("NVLink ", "Infinity")) and "bridge" not in words
            pairs.append(Link(first, second, fabric if fixed else "pcie"))
    return tuple(pairs)
