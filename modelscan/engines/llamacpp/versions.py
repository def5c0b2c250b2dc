"""llama.cpp by build: what changed in what it allocates.

Builds are ``bNNNN`` (upstream) or xllamacpp's ``YYYY.MM.NNNNN``; the number is the build's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelscan.engines.llamacpp.graph import Graph


@dataclass(frozen=True, slots=True)
class LlamacppVersion:
    """Constants from build ``since`` on. ``cuda_context_bytes``: driver context and cuBLAS
    workspace per CUDA device, in no log line.
    """

    since: int
    graph: Graph
    cuda_context_bytes: int
    sched_copies: int  # GGML_SCHED_MAX_COPIES: input sets of a pipeline over several devices


# Observed with xllamacpp's wheels (dry runs of the same shapes): up to b9294 n_ubatch rows of
# logits are reserved and masks are made in float32, from b9538 on one row per slot; up to b11063
# three hidden-wide tensors and the queries live during the widest operation, in b11549 five. The
# borders between are taken in the middle.
_OLD = Graph(
    residual=3, waiting_queries=True, all_rows=True, logits_residual=3, embedding_residual=3,
    copied_masks=True,
)  # fmt: skip
_MIDDLE = Graph(residual=3, waiting_queries=True, logits_residual=4, embedding_residual=3)
TABLE = (
    LlamacppVersion(0, _OLD, 512 << 20, 4),
    LlamacppVersion(9416, _MIDDLE, 512 << 20, 4),
    LlamacppVersion(11306, Graph(), 512 << 20, 4),
)
NEWEST = TABLE[-1]
_BUILD = re.compile(r"b(\d{3,6})\b|\b\d{4}\.\d{1,2}\.(\d{4,6})\b")
_NUMBERED_BY_HAND = re.compile(r"v?0\.[0-4]\.\d+")  # xllamacpp before it took over build numbers


def build_number(version: str | None) -> int | None:
    """b11549 and 2026.10.11549 are build 11549; None where a version names no build."""
    match = _BUILD.search(version or "")
    return int(match.group(1) or match.group(2)) if match else None


def lookup(version: str | None) -> LlamacppVersion:
    """The row of a build; unknown is the newest."""
    build = build_number(version)
    if build is None:
        return TABLE[0] if _NUMBERED_BY_HAND.fullmatch((version or "").strip()) else NEWEST
    return next(row for row in reversed(TABLE) if row.since <= build)
