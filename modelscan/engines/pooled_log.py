"""What vLLM and SGLang say they allocated, as the parts that ``show`` compares.

They print the figures of one rank; tensor parallel ranks are alike, so the parts are those times
the degree that the log itself states. Of pipeline stages, which differ, only one is told. The pool
is everything that was left, not what the asked context needs: it is no ``kv_cache_bytes``, and
there is no total to hold against an estimate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.engines.log_lines import Measured, parse

_VERSION = re.compile(r"(?:\bversion |LLM engine \(v|sglang[_ ]version=')(\d+\.\d+[\w.+]*)")
_TENSOR = re.compile(r"\b(?:tensor_parallel_size|tp_size)=(\d+)")
_PIPELINE = re.compile(r"\b(?:pipeline_parallel_size|pp_size)=(\d+)")
Parts = dict[str, int | None]


def measured(log: str, backend: str) -> Mapping[str, Any] | None:
    """Bytes in sum and of each GPU, the tokens the pool holds; None when the log says nothing."""
    found = parse(log, backend)
    if found.weights_bytes is None and found.kv_pool_bytes is None:
        return None
    each, ranks = _parts(found), _degree(_TENSOR, log)
    whole = _degree(_PIPELINE, log) == 1
    version = _VERSION.search(log)
    return {
        "source": "engine_log",
        "parts": {name: value and value * ranks for name, value in each.items()} if whole else None,
        "devices": {"each GPU": each} if ranks > 1 or not whole else None,
        "kv_tokens": found.kv_tokens,
        "max_concurrency": found.max_concurrency,
        "engine_version": version[1] if version else None,
    }


def with_metrics(found: Mapping[str, Any] | None, text: str) -> Mapping[str, Any] | None:
    """What the log did not say, from ``/metrics``: vLLM's ``cache_config_info`` (0.32: bytes,
    tokens and concurrency of the pool), SGLang's ``max_total_num_tokens``."""
    labels = _CACHE_INFO.search(text)
    said = dict(_LABEL.findall(labels[1])) if labels else {}
    total = _SGLANG_TOKENS.search(text)
    tokens = _whole(said.get("kv_cache_size_tokens") or (total[1] if total else None))
    pool = _whole(said.get("kv_cache_memory_bytes"))
    if tokens is None and pool is None:
        return found
    known = dict(found or {"source": "engine_metrics", "parts": None, "devices": None})
    known["kv_tokens"] = known.get("kv_tokens") or tokens
    known["max_concurrency"] = known.get("max_concurrency") or _real(
        said.get("kv_cache_max_concurrency")
    )
    parts = known["parts"] or (None if found else _parts(Measured()))
    if parts and pool:
        known["parts"] = {**parts, "kv_pool_bytes": parts["kv_pool_bytes"] or pool}
    return known


_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{(.*)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_SGLANG_TOKENS = re.compile(r"^sglang:max_total_num_tokens(?:\{[^}]*\})? ([\d.e+]+)", re.MULTILINE)


def _whole(text: str | None) -> int | None:
    value = _real(text)
    return None if value is None else int(value)


def _real(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None  # "None"


def _degree(pattern: re.Pattern[str], log: str) -> int:
    match = pattern.search(log)
    return int(match[1]) if match else 1


def _parts(found: Measured) -> Parts:
    return {
        "weights_bytes": found.weights_bytes,
        "kv_cache_bytes": None,
        "kv_pool_bytes": found.kv_pool_bytes,
        "recurrent_state_bytes": found.recurrent_state_bytes,
        "compute_bytes": found.compute_bytes,
        "output_bytes": None,
        "non_torch_bytes": found.non_torch_bytes,
        "cuda_graph_bytes": found.cuda_graph_bytes,
    }
