"""What vLLM prints about its memory: weights, pool, activation peak, graphs; and ``/metrics``.

It prints GiB, called GB before 0.9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.units import GIB
from modelscan.engines import log_fields as fields
from modelscan.engines import rank_log
from modelscan.engines.log_fields import NUMBER, LogFigures


def parse(text: str) -> LogFigures:
    """The log of vLLM 0.6 to 0.32, GPU or CPU build; ``empty`` if no line was recognised."""
    figures = LogFigures(
        weights_bytes=fields.largest(_WEIGHTS, text, GIB),
        kv_pool_bytes=fields.smallest(_POOL, text, GIB),
        kv_tokens=fields.integer(_TOKENS, text),
        compute_bytes=fields.largest(_PEAK, text, GIB),
        non_torch_bytes=fields.largest(_NON_TORCH, text, GIB),
        cuda_graph_bytes=fields.largest(_GRAPHS, text, GIB),
        failure=fields.line(_FAILURES, text),
    )
    concurrency = _CONCURRENCY.search(text)
    if concurrency:
        length, times = concurrency.groups()
        figures = replace(
            figures, context_tokens=int(length.replace(",", "")), max_concurrency=float(times)
        )
    return _with_blocks(figures, text)


def _with_blocks(figures: LogFigures, text: str) -> LogFigures:
    """0.6 and 0.7 print blocks of 16 tokens instead of tokens."""
    blocks = fields.integer(_BLOCKS, text)
    if figures.kv_tokens is not None or blocks is None:
        return figures
    return replace(figures, kv_tokens=blocks * 16)


def measured(log: str) -> Mapping[str, Any] | None:
    """Bytes in total and per GPU, as ``show`` compares them; None if the log has none."""
    return rank_log.measured(parse(log), log)


def with_metrics(current: Mapping[str, Any] | None, text: str) -> Mapping[str, Any] | None:
    """Figures missing from the log, from ``cache_config_info`` of ``/metrics`` (0.32: bytes,
    tokens and concurrency of the pool).
    """
    labels = _CACHE_INFO.search(text)
    values = dict(_LABEL.findall(labels[1])) if labels else {}
    return rank_log.with_pool(
        current,
        tokens=rank_log.whole(values.get("kv_cache_size_tokens")),
        pool_bytes=rank_log.whole(values.get("kv_cache_memory_bytes")),
        concurrency=rank_log.real(values.get("kv_cache_max_concurrency")),
    )


_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{(.*)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WEIGHTS = re.compile(
    rf"(?:Model loading took|Loading model weights took|model weights take)\s+{NUMBER}\s*Gi?B", re.I
)
_POOL = re.compile(
    r"(?:Available KV cache memory:?\s+|reserved for KV Cache is\s+)(-?[\d.]+)\s*GiB|"
    r"Explicitly set \(([\d.]+)/[\d.]+\) GiB for KV cache",
    re.I,  # a CPU build
)
_TOKENS = re.compile(r"[GC]PU KV cache size:\s+([\d,]+) tokens")
_BLOCKS = re.compile(r"# (?:GPU|CUDA) blocks:\s+(\d+)")
_CONCURRENCY = re.compile(r"Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x")
_PEAK = re.compile(  # 0.6; debug lines of V1; the summary of 0.11 and later
    rf"PyTorch activation peak memory takes {NUMBER} ?GiB|"
    rf"torch peak memory increase: {NUMBER} ?GiB|"
    rf"{NUMBER} GiB for peak activation"
)
_NON_TORCH = re.compile(
    rf"non_torch_memory takes {NUMBER} ?GiB|non-torch forward increase memory: {NUMBER} ?GiB|"
    rf"{NUMBER} GiB for non-torch memory"
)
_GRAPHS = re.compile(r"Graph capturing finished in [\d.]+ secs?, took (-?[\d.]+) GiB", re.I)
_FAILURES = re.compile(
    r"^.*(?:No available memory for the cache blocks|larger than the (?:available|maximum)|"
    r"is less than desired GPU memory utilization|CUDA out of memory).*$", re.M
)  # fmt: skip
