"""The log of an engine with ranks (vLLM, SGLang) as the parts that ``show`` compares.

They print the figures of one rank; tensor parallel ranks are alike, so the parts are those times
the degree that the log itself states. Of pipeline stages, which differ, only one is printed. The
pool is everything that was left, not what the planned context needs: it is no ``kv_cache_bytes``,
and there is no total to compare with an estimate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.engines.log_fields import LogFigures

_VERSION = re.compile(r"(?:\bversion |LLM engine \(v|sglang[_ ]version=')(\d+\.\d+[\w.+]*)")
_TENSOR = re.compile(r"\b(?:tensor_parallel_size|tp_size)=(\d+)")
_PIPELINE = re.compile(r"\b(?:pipeline_parallel_size|pp_size)=(\d+)")
Parts = dict[str, int | None]


def measured(figures: LogFigures, log: str) -> Mapping[str, Any] | None:
    """Bytes in total and per GPU, the tokens the pool holds; None if the log has none."""
    if figures.weights_bytes is None and figures.kv_pool_bytes is None:
        return None
    each, ranks = _parts(figures), _degree(_TENSOR, log)
    whole = _degree(_PIPELINE, log) == 1
    version = _VERSION.search(log)
    return {
        "source": "engine_log",
        "parts": {name: value and value * ranks for name, value in each.items()} if whole else None,
        "devices": {"each GPU": each} if ranks > 1 or not whole else None,
        "kv_tokens": figures.kv_tokens,
        "max_concurrency": figures.max_concurrency,
        "engine_version": version[1] if version else None,
    }


def with_pool(
    measurement: Mapping[str, Any] | None,
    *,
    tokens: int | None,
    pool_bytes: int | None = None,
    concurrency: float | None = None,
) -> Mapping[str, Any] | None:
    """``measurement`` with the pool's figures from ``/metrics``; the log's take precedence."""
    if tokens is None and pool_bytes is None:
        return measurement
    figures = dict(measurement or {"source": "engine_metrics", "parts": None, "devices": None})
    figures["kv_tokens"] = figures.get("kv_tokens") or tokens
    figures["max_concurrency"] = figures.get("max_concurrency") or concurrency
    parts = figures["parts"] or (None if measurement else _parts(LogFigures()))
    if parts and pool_bytes:
        figures["parts"] = {**parts, "kv_pool_bytes": parts["kv_pool_bytes"] or pool_bytes}
    return figures


def whole(text: str | None) -> int | None:
    """A metric's value as a whole number; None for an absent one."""
    value = real(text)
    return None if value is None else int(value)


def real(text: str | None) -> float | None:
    """A metric's value; None for an absent one and for ``None``."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _degree(pattern: re.Pattern[str], log: str) -> int:
    match = pattern.search(log)
    return int(match[1]) if match else 1


def _parts(figures: LogFigures) -> Parts:
    return {
        "weights_bytes": figures.weights_bytes,
        "kv_cache_bytes": None,
        "kv_pool_bytes": figures.kv_pool_bytes,
        "recurrent_state_bytes": figures.recurrent_state_bytes,
        "compute_bytes": figures.compute_bytes,
        "output_bytes": None,
        "non_torch_bytes": figures.non_torch_bytes,
        "cuda_graph_bytes": figures.cuda_graph_bytes,
    }
