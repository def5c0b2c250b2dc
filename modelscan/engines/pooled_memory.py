"""What vLLM and SGLang say they allocated on a GPU, as the parts that ``show`` compares.

They print the figures of one rank. The pool is everything that was left, not what the asked
context needs, so it is no ``kv_cache_bytes`` and there is no total to hold against an estimate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.memory.engine_logs import Measured, parse


def measured(log: str, backend: str) -> Mapping[str, Any] | None:
    """Bytes of one GPU, the tokens its pool holds; None when the log says nothing of it."""
    found, version = parse(log, backend), _VERSION.search(log)
    if found.weights_bytes is None and found.kv_pool_bytes is None:
        return None
    return {
        "source": "engine_log",
        "parts": _parts(found),
        "kv_tokens": found.kv_tokens,
        "max_concurrency": found.max_concurrency,
        "engine_version": version[1] if version else None,
    }


_VERSION = re.compile(r"(?:\bversion |LLM engine \(v|sglang[_ ]version=')(\d+\.\d+[\w.+]*)")


def _parts(found: Measured) -> dict[str, int | None]:
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
