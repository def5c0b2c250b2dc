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

from modelscan.memory.engine_logs import Measured, parse

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
