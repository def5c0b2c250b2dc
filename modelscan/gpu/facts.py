"""Facts about GPUs, from ``catalogs/gpus.tsv`` (built by scripts/build_gpu_facts.py).

The probe's reading always beats this table; the table knows what no driver tells: bandwidth,
native formats, compute rate, and what a card that is not here would report.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from modelscan.core.gpu import GpuFacts
from modelscan.core.nearest import nearest
from modelscan.core.units import GIB, MIB
from modelscan.gpu.names import Name, bracketed, parse_name, spelled_out
from modelscan.state.bundled import bundled_dir

_SAME_MEMORY = 0.08  # nominal and reported sizes differ by ECC and firmware, variants by more


@functools.cache
def _lines() -> dict[str, list[str]]:
    """Core name -> lines of the table; lines are split only when asked for."""
    text = (bundled_dir() / "gpus.tsv").read_text(encoding="utf-8")
    index: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        if line:
            for key in line[line.rindex("\t") + 1 :].split("|"):
                index.setdefault(key, []).append(line)
    return index


# Column of the table -> how its text becomes a value of the field of that name.
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
    """Every row, in the table's order."""
    lines = dict.fromkeys(line for found in _lines().values() for line in found)
    return tuple(_parse(line) for line in lines)


def lookup(
    name: str, memory_bytes: int | None = None, memory_clock_mhz: int | None = None
) -> GpuFacts | None:
    """The row a name means, or None. ``memory_bytes`` and clock, as probed, choose a variant.

    Never guesses across chips, nor between a laptop part and a desktop one.
    """
    rows = [row for part in bracketed(name) for row in _best(parse_name(part), memory_bytes)]
    if rows and memory_clock_mhz and "[" not in name:
        rows = _of_clock(rows, name, memory_clock_mhz)
    if memory_bytes is not None:
        sized = [row for row in rows if _memory_distance(row, memory_bytes) <= _SAME_MEMORY]
        rows = sized or rows
    if len({row.memory_bandwidth_bytes_per_s for row in rows}) > 1 and "[" in name:
        return None  # a PCI name for several products that differ
    return rows[0] if rows else None


def _of_clock(rows: list[GpuFacts], name: str, memory_clock_mhz: int) -> list[GpuFacts]:
    """The variant of the same memory whose bandwidth that clock gives, where the first's is not."""
    if _clock_fits(rows[0], memory_clock_mhz):
        return rows
    others = [row for row in variants(name) if _clock_fits(row, memory_clock_mhz)]
    return [row for row in others if row.memory_bytes == rows[0].memory_bytes] or rows


def known_as(name: str) -> str:
    """The spelling of a person's name that the table has rows for; else the name itself."""
    if lookup(name) is None and lookup(spelled_out(name)) is not None:
        return spelled_out(name)
    return name


def variants(name: str) -> tuple[GpuFacts, ...]:
    """Every row a name might mean, the best first: more than one where memory sizes differ."""
    wanted = parse_name(name)
    scored = _scored(wanted, None)
    rows = [row for _, row in sorted(scored, key=lambda pair: pair[0], reverse=True)]
    return tuple(dict.fromkeys(rows))


def suggest(name: str, limit: int = 3) -> tuple[str, ...]:
    """The nearest names of the table, for a mistyped one."""
    known: dict[str, str] = {}
    for row in all_facts():
        for text in (row.name, *row.aliases):
            parsed = parse_name(text)
            known.setdefault(_spoken(parsed), text)
            if not (parsed.mobile or row.mobile):  # people leave the brand out: 4090
                known.setdefault(parsed.core, text)
    near = nearest(_spoken(parse_name(name)), known, limit=limit)
    return tuple(dict.fromkeys(known[key] for key in near))


def _spoken(name: Name) -> str:
    """As a person would say it: ``rtx 4090 laptop``."""
    brand = sorted(name.soft & {"rtx", "gtx", "rx", "arc"})
    return " ".join([*brand, name.core, *(["laptop"] if name.mobile else [])])


def _best(wanted: Name, memory_bytes: int | None) -> list[GpuFacts]:
    scored = _scored(wanted, memory_bytes)
    return [max(scored, key=lambda pair: pair[0])[1]] if scored else []


def _scored(wanted: Name, memory_bytes: int | None) -> list[tuple[tuple[float, ...], GpuFacts]]:
    """Rows whose core is the wanted one and that nothing in the name contradicts, with a rank."""
    scored = []
    index = _lines()
    key = next((k for k in _spellings(wanted.core) if k in index), None)
    rows = [_parse(line) for line in index[key]] if key else []
    laptops_only = all(row.mobile for row in rows)  # MX450, RX 6800M: the name says it
    for row in rows:
        for known in _names_of(row, key or ""):
            other_kind = wanted.mobile != (known.mobile or row.mobile)
            if other_kind and not row.unified_memory and not laptops_only:
                continue
            score = _score(wanted, known, row, memory_bytes)
            if score is not None:
                scored.append((score, row))
    if scored or wanted.memory_gib is None:
        return scored
    # A size no variant was sold with, e.g. an RTX 4090 refitted to 48 GB: the chip is still known.
    bare = Name(wanted.core, wanted.soft, None, wanted.form, wanted.memory_type, wanted.mobile)
    return _scored(bare, memory_bytes)


def _spellings(core: str) -> tuple[str, ...]:
    """What people leave out where the number is one of its own: W7900, B60, PRO 5000, R9700."""
    if not core:
        return ()
    return (core, f"pro {core}", f"{core} blackwell", f"ai pro {core}")


@functools.cache
def _names_of(row: GpuFacts, core: str) -> tuple[Name, ...]:
    names = (parse_name(text) for text in (row.name, *row.aliases))
    return tuple(name for name in names if name.core == core)


def _score(
    wanted: Name, known: Name, row: GpuFacts, memory_bytes: int | None
) -> tuple[float, ...] | None:
    """None where they contradict; otherwise larger is better, first the hard facts."""
    if wanted.form and known.form and wanted.form[:3] != known.form[:3]:
        return None
    if wanted.memory_gib is not None and not _has_memory(row, known, wanted.memory_gib):
        return None
    target = memory_bytes or (wanted.memory_gib and round(wanted.memory_gib * GIB))
    near = -_memory_distance(row, target) if target else 0.0
    form = _form_score(wanted, known)
    shared = len(wanted.soft & known.soft) - len(wanted.soft ^ known.soft) / 10
    kind = float(wanted.memory_type == known.memory_type)
    exact_size = float(known.memory_gib is None or wanted.memory_gib is not None)
    small = -(row.memory_bytes or 0) / GIB / 1e4
    return (
        round(near, 2),
        form,
        exact_size,
        kind,
        float(wanted.max_q == known.max_q),
        shared,
        small,
    )


def _clock_fits(row: GpuFacts, clock_mhz: int) -> bool:
    """Whether the row's bandwidth is that clock on a bus of whole 32-bit channels.

    GTX 1650 has one name and PCI id with GDDR5 (4,001 MHz) and GDDR6 (6,001 MHz).
    """
    bits = (row.memory_bandwidth_bytes_per_s or 0) * 8 / (clock_mhz * 2e6)
    channels = bits / 32
    return round(channels) > 0 and abs(channels - round(channels)) < 0.01 * channels


def _form_score(wanted: Name, known: Name) -> float:
    if wanted.form == known.form:
        return 1.0
    implied = {"hbm3": "sxm5", "hbm3e": "sxm5"}.get(wanted.memory_type or "")
    if wanted.form is None and known.form is None:
        return 1.0
    if implied and known.form == implied:
        return 0.9
    return 0.5 if known.form is None else 0.0


def _has_memory(row: GpuFacts, known: Name, memory_gib: float) -> bool:
    if row.unified_memory and row.memory_bytes is None:
        return True
    sizes: Iterable[float | None] = (known.memory_gib, row.memory_bytes and row.memory_bytes / GIB)
    return any(size and abs(size / memory_gib - 1) <= _SAME_MEMORY for size in sizes)


def _memory_distance(row: GpuFacts, memory_bytes: int) -> float:
    sizes = [size for size in (row.memory_bytes, row.reported_bytes) if size]
    if not sizes:
        return 0.0
    return min(abs(memory_bytes / size - 1) for size in sizes)
