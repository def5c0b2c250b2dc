"""How SGLang chooses ``mem_fraction_static`` and its batch defaults, by version, with sources."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelscan.core.units import GIB, MIB
from modelscan.engines.residuals import Residuals
from modelscan.engines.versions import Version, parse_version, row_for

OLDEST_VERSION, DEFAULT_VERSION = "0.4.0", "0.5.23"
# The logs name no activation, so the values are wide (benchmarks/bench_memory_gpu.py --margins).
RESIDUALS = Residuals(compute=0.25, weights=0.05, kv=0.004, floor_bytes=512 * MIB)


@dataclass(frozen=True, slots=True)
class SglangVersion:
    """Facts valid from ``since``. ``fixed_fraction``: a table by tensor parallel, no formula."""

    since: Version
    fixed_fraction: bool
    reserved_bytes: int  # constant part of the reserve
    reserved_parallel: bool  # tensor x pipeline / 8 GiB on top
    sliding_pool: bool  # separate pool for sliding-window layers
    vision_factor: bool  # fraction scaled by the vision tower's size
    source: str


VERSIONS = (
    SglangVersion(
        (0, 0, 0), True, 0, False, False, False,
        "0.4.2 log: 22.76 GiB free, 8.37 after loading, KV 5.64: fraction 0.88 at one GPU; "
        "code: 0.87, 0.85, 0.81, 0.79 at 2, 4, 8, 16",
    ),
    SglangVersion(
        (0, 4, 6), False, 0, False, False, True,
        "2025-08 log: 15.16 GiB free before, KV 11.14 after 1.25 of weights: reserve 3 GiB = "
        "2048 x 1.5 MiB",
    ),
    SglangVersion(
        (0, 5, 3), False, 512 * MIB, True, True, True,
        "code 0.5.23: 512 + max(chunk, 2048) x 1.5 + graph batch x 2 + tp x pp / 8 x 1024 MiB; "
        "at least 10 GiB on cards over 60 GiB",
    ),
)  # fmt: skip
_FIXED = ((16, 0.79), (8, 0.81), (4, 0.85), (2, 0.87), (1, 0.88))


def facts_for(version: str | None) -> SglangVersion:
    """The facts of a version; None is ``DEFAULT_VERSION``. ``0.5`` is the newest of that series."""
    text = version or DEFAULT_VERSION
    major, minor, patch = parse_version(text)
    series = re.fullmatch(r"v?\d+\.\d+(\.x\b.*)?", text.strip())
    return row_for(VERSIONS, (major, minor, 9999 if series else patch))


def batch_defaults(memory_bytes: int | None, tensor: int) -> tuple[int, int]:
    """(chunked prefill tokens, largest graph batch) by card size. Code: server_args.py."""
    gib = (memory_bytes or 80 * GIB) / GIB
    narrow = tensor < 4
    if gib < 20:
        return 2048, 8
    if gib < 35:
        return 2048, 24 if narrow else 80
    if gib < 60:
        return 4096, 32 if narrow else 160
    if gib < 160:
        return 8192, 256 if narrow else 512
    return 16384, 512


def fixed_fraction(tensor: int) -> float:
    """The old table: the entry of the largest degree not above ``tensor``."""
    return next(value for degree, value in _FIXED if tensor >= degree)


def auto_fraction(
    facts: SglangVersion, memory_bytes: int | None, chunk: int, graph_batch: int, ranks: int
) -> float:
    """``mem_fraction_static`` that SGLang picks, three decimals; 0.88 where memory is unknown."""
    if facts.fixed_fraction:
        return fixed_fraction(ranks)
    if not memory_bytes:
        return 0.88
    reserved = facts.reserved_bytes + max(chunk, 2048) * 1.5 * MIB
    if facts.reserved_parallel:
        reserved += graph_batch * 2 * MIB + ranks / 8 * GIB
    if memory_bytes > 60 * GIB:
        reserved = max(reserved, 10 * GIB)
    return round((memory_bytes - reserved) / memory_bytes, 3)


def vision_factor(layers: int | None, hidden: int | None) -> float:
    """The factor by which a vision tower reduces the fraction.

    Code: 0.95, less 0.1 for every baseline tower (24 layers x 1024 squared) above one, between 0.8
    and 1.05 of it. Kimi-K2.5 (27 x 1152): 0.908 x 0.9097 = 0.826, as in its log.
    """
    score = (layers or 24) * (hidden or 1024) ** 2 / (24 * 1024**2)
    return 0.95 * max(0.8, min(1.05, 1.0 - 0.1 * (score - 1.0)))
