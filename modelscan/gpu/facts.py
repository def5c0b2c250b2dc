"""Facts about GPUs, from ``catalogs/gpus.tsv`` (built by scripts/build_gpu_facts.py).

Probed values have priority. The table has what drivers do not report (bandwidth, native formats,
compute rate), and what a GPU that is not in this machine would report.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from modelscan.core.gpu import GpuFacts
from modelscan.core.nearest import nearest
from modelscan.core.units import GIB, MIB
from modelscan.gpu.names import Name, bracketed, parse_name, spelled_out
from modelscan.state.bundled import bundled_dir

_SAME_MEMORY = (
    0.08  # nominal and reported sizes differ less than this (ECC, firmware), variants more
)


@functools.cache
def _lines() -> dict[str, list[str]]:
    """Core name -> lines of the table; a line is split only when needed."""
    text = (bundled_dir() / "gpus.tsv").read_text(encoding="utf-8")
    index: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        if line:
            for key in line[line.rindex("\t") + 1 :].split("|"):
                index.setdefault(key, []).append(line)
    return index


# Columns of the table, by the type of the field with the same name.
_TEXTS = ("architecture", "compute_capability", "gfx_target", "fp16", "bf16", "int8", "fp8", "fp4",
          "interconnect", "note", "source")  # fmt: skip
_NUMBERS: dict[str, Callable[[str], int | float]] = {
    "memory_bytes": lambda mib: int(mib) * MIB,
    "reported_bytes": lambda mib: int(mib) * MIB,
    "reserved_bytes": lambda mib: int(mib) * MIB,
    "memory_bandwidth_bytes_per_s": lambda gigabytes: round(float(gigabytes) * 1e9),
    "fp16_tflops": float,
    "tdp_watts": int,
}
_FLAGS = ("unified_memory", "mobile")
_COLUMNS = (
    "vendor", "name", "architecture", "memory_bytes", "reported_bytes", "reserved_bytes",
    "memory_bandwidth_bytes_per_s", "compute_capability", "gfx_target", "fp16", "bf16", "int8",
    "fp8", "fp4", "fp16_tflops", "interconnect", "tdp_watts", "unified_memory", "mobile", "note",
    "source", "aliases", "keys",
)  # fmt: skip


@functools.cache
def _parse(line: str) -> GpuFacts:
    row = dict(zip(_COLUMNS, line.split("\t"), strict=True))
    values: dict[str, Any] = {name: row[name] or None for name in _TEXTS}
    values |= {name: read(row[name]) if row[name] else None for name, read in _NUMBERS.items()}
    values |= {name: row[name] == "yes" for name in _FLAGS}
    aliases = tuple(row["aliases"].split("|")) if row["aliases"] else ()
    return GpuFacts(vendor=row["vendor"], name=row["name"], aliases=aliases, **values)


def all_facts() -> tuple[GpuFacts, ...]:
    """All rows, in the table's order."""
    lines = dict.fromkeys(line for group in _lines().values() for line in group)
    return tuple(_parse(line) for line in lines)


def lookup(
    name: str, memory_bytes: int | None = None, memory_clock_mhz: int | None = None
) -> GpuFacts | None:
    """The row for a name, or None. Probed memory size and clock select a variant.

    Never matches another chip, nor a laptop GPU with a desktop GPU.
    """
    rows = [row for part in bracketed(name) for row in _best(parse_name(part), memory_bytes)]
    if rows and memory_clock_mhz and "[" not in name:
        rows = _of_clock(rows, name, memory_clock_mhz)
    if memory_bytes is not None:
        sized = [row for row in rows if _memory_distance(row, memory_bytes) <= _SAME_MEMORY]
        rows = sized or rows
    if len({row.memory_bandwidth_bytes_per_s for row in rows}) > 1 and "[" in name:
        return None  # a PCI name of several products with different bandwidths
    return rows[0] if rows else None


def _of_clock(rows: list[GpuFacts], name: str, memory_clock_mhz: int) -> list[GpuFacts]:
    """The variants with the same memory size whose bandwidth matches that clock."""
    if _clock_fits(rows[0], memory_clock_mhz):
        return rows
    others = [row for row in variants(name) if _clock_fits(row, memory_clock_mhz)]
    return [row for row in others if row.memory_bytes == rows[0].memory_bytes] or rows


def known_as(name: str) -> str:
    """The spelling of a user's GPU name that the table contains; else the name itself."""
    if lookup(name) is not None:
        return name
    if lookup(spelled_out(name)) is not None:
        return spelled_out(name)
    return _machine_and_chip(name) or name


def _machine_and_chip(name: str) -> str | None:
    """The chip of a name that gives the machine too, in either order: DGX Spark GB10 121.69GiB.

    None unless both parts are names of the same row, of memory that machine and chip share.
    """
    words = re.sub(r"[()/]", " ", name).split()
    for cut in range(1, len(words)):
        parts = [" ".join(words[:cut]), " ".join(words[cut:])]
        rows = [lookup(part) or lookup(spelled_out(part)) for part in parts]
        if rows[0] is not None and rows[0].unified_memory and rows[0] == rows[1]:
            sized = [part for part in parts if parse_name(part).memory_gib]
            return known_as((sized or parts[1:])[0])
    return None


def variants(name: str) -> tuple[GpuFacts, ...]:
    """All rows that a name may mean, best first; several if memory sizes differ."""
    query = parse_name(name)
    scored = _scored(query, None)
    rows = [row for _, row in sorted(scored, key=lambda pair: pair[0], reverse=True)]
    return tuple(dict.fromkeys(rows))


def suggest(name: str, limit: int = 3) -> tuple[str, ...]:
    """The nearest names in the table, for a mistyped name."""
    names: dict[str, str] = {}
    for row in all_facts():
        for text in (row.name, *row.aliases):
            parsed = parse_name(text)
            names.setdefault(_spoken(parsed), text)
            if not (parsed.mobile or row.mobile):  # users often leave out the brand: 4090
                names.setdefault(parsed.core, text)
    near = nearest(_spoken(parse_name(name)), names, limit=limit)
    return tuple(dict.fromkeys(names[key] for key in near))


def _spoken(name: Name) -> str:
    """The name as users write it: ``rtx 4090 laptop``."""
    brand = sorted(name.soft & {"rtx", "gtx", "rx", "arc"})
    return " ".join([*brand, name.core, *(["laptop"] if name.mobile else [])])


def _best(query: Name, memory_bytes: int | None) -> list[GpuFacts]:
    scored = _scored(query, memory_bytes)
    return [max(scored, key=lambda pair: pair[0])[1]] if scored else []


def _scored(query: Name, memory_bytes: int | None) -> list[tuple[tuple[float, ...], GpuFacts]]:
    """(rank, row) of all rows with the query's core name and without a contradiction."""
    scored = []
    index = _lines()
    key = next((k for k in _spellings(query.core) if k in index), None)
    rows = [_parse(line) for line in index[key]] if key else []
    laptops_only = all(row.mobile for row in rows)  # MX450, RX 6800M: the name implies it
    for row in rows:
        for candidate in _names_of(row, key or ""):
            other_kind = query.mobile != (candidate.mobile or row.mobile)
            if other_kind and not row.unified_memory and not laptops_only:
                continue
            score = _score(query, candidate, row, memory_bytes)
            if score is not None:
                scored.append((score, row))
    if scored or query.memory_gib is None:
        return scored
    # No variant has this size, e.g. an RTX 4090 modified to 48 GB: match the chip only.
    bare = Name(query.core, query.soft, None, query.form, query.memory_type, query.mobile)
    return _scored(bare, memory_bytes)


def _spellings(core: str) -> tuple[str, ...]:
    """Core names with the parts that users leave out: W7900, B60, PRO 5000, R9700."""
    if not core:
        return ()
    return (core, f"pro {core}", f"{core} blackwell", f"ai pro {core}")


@functools.cache
def _names_of(row: GpuFacts, core: str) -> tuple[Name, ...]:
    names = (parse_name(text) for text in (row.name, *row.aliases))
    return tuple(name for name in names if name.core == core)


def _score(
    query: Name, candidate: Name, row: GpuFacts, memory_bytes: int | None
) -> tuple[float, ...] | None:
    """The rank of a match, larger is better, hard facts first; None if they contradict each
    other.
    """
    if query.form and candidate.form and query.form[:3] != candidate.form[:3]:
        return None
    if query.memory_gib is not None and not _has_memory(row, candidate, query.memory_gib):
        return None
    target = memory_bytes or (query.memory_gib and round(query.memory_gib * GIB))
    near = -_memory_distance(row, target) if target else 0.0
    form = _form_score(query, candidate)
    shared = len(query.soft & candidate.soft) - len(query.soft ^ candidate.soft) / 10
    kind = float(query.memory_type == candidate.memory_type)
    exact_size = float(candidate.memory_gib is None or query.memory_gib is not None)
    small = -(row.memory_bytes or 0) / GIB / 1e4
    return (
        round(near, 2),
        form,
        exact_size,
        kind,
        float(query.max_q == candidate.max_q),
        shared,
        small,
    )


def _clock_fits(row: GpuFacts, clock_mhz: int) -> bool:
    """True if that clock gives the row's bandwidth with a whole number of 32-bit channels.

    The GTX 1650 has one name and PCI id with GDDR5 (4,001 MHz) and GDDR6 (6,001 MHz).
    """
    bits = (row.memory_bandwidth_bytes_per_s or 0) * 8 / (clock_mhz * 2e6)
    channels = bits / 32
    return round(channels) > 0 and abs(channels - round(channels)) < 0.01 * channels


def _form_score(query: Name, candidate: Name) -> float:
    if query.form == candidate.form:
        return 1.0
    implied = {"hbm3": "sxm5", "hbm3e": "sxm5"}.get(query.memory_type or "")
    if query.form is None and candidate.form is None:
        return 1.0
    if implied and candidate.form == implied:
        return 0.9
    return 0.5 if candidate.form is None else 0.0


def _has_memory(row: GpuFacts, candidate: Name, memory_gib: float) -> bool:
    if row.unified_memory and row.memory_bytes is None:
        return True
    sizes: Iterable[float | None] = (
        candidate.memory_gib,
        row.memory_bytes and row.memory_bytes / GIB,
    )
    return any(size and abs(size / memory_gib - 1) <= _SAME_MEMORY for size in sizes)


def _memory_distance(row: GpuFacts, memory_bytes: int) -> float:
    sizes = [size for size in (row.memory_bytes, row.reported_bytes) if size]
    if not sizes:
        return 0.0
    return min(abs(memory_bytes / size - 1) for size in sizes)
