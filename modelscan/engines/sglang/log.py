"""What SGLang prints about its memory: weights, pools, graphs; and ``/metrics``. Its GB are GiB."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.units import GIB
from modelscan.engines import log_fields as fields
from modelscan.engines import rank_log
from modelscan.engines.log_fields import NUMBER, LogFigures


def parse(text: str) -> LogFigures:
    """SGLang 0.4 to 0.5; its GB are GiB."""
    keys, values = fields.number(_KEYS, text), fields.number(_VALUES, text)
    pool = fields.number(_POOL, text)
    if pool is None and keys is not None:
        pool = keys + (values or 0.0)
    states = [fields.number(pattern, text) for pattern in (_CONV, _SSM)]
    held = [state for state in states if state is not None]
    tokens = fields.integer(_TOKENS, text)
    return LogFigures(
        weights_bytes=fields.largest(_WEIGHTS, text, GIB),
        kv_pool_bytes=None if pool is None else round(pool * GIB),
        kv_tokens=tokens if tokens is not None else fields.integer(_MAX_TOKENS, text),
        context_tokens=fields.integer(_CONTEXT, text),
        cuda_graph_bytes=fields.last_bytes(_GRAPHS, text, GIB),
        recurrent_state_bytes=round(sum(held) * GIB) if held else None,
        failure=fields.line(_FAILURES, text),
    )


def measured(log: str) -> Mapping[str, Any] | None:
    """Bytes in total and per GPU, as ``show`` compares them; None if the log has none."""
    return rank_log.measured(parse(log), log)


def with_metrics(current: Mapping[str, Any] | None, text: str) -> Mapping[str, Any] | None:
    """Figures missing from the log, from ``max_total_num_tokens`` of ``/metrics``."""
    total = _METRIC.search(text)
    return rank_log.with_pool(current, tokens=rank_log.whole(total[1] if total else None))


_METRIC = re.compile(r"^sglang:max_total_num_tokens(?:\{[^}]*\})? ([\d.e+]+)", re.MULTILINE)
_WEIGHTS = re.compile(rf"Load weight end\..*?mem usage={NUMBER} GB")
_POOL = re.compile(rf"KV size: {NUMBER} GB")
_KEYS, _VALUES = re.compile(rf"K size: {NUMBER} ?GB"), re.compile(rf"V size: {NUMBER} ?GB")
_TOKENS = re.compile(r"#tokens: (\d+)")
_MAX_TOKENS = re.compile(r"max_total_num_tokens=(\d+)")
_CONTEXT = re.compile(r"context_len=(\d+)")
_CONV = re.compile(rf"conv_state size: {NUMBER} ?GB")
_SSM = re.compile(rf"ssm_state size: {NUMBER} ?GB")
_GRAPHS = re.compile(rf"Capture .*?cuda graph end\..*?mem usage={NUMBER} GB", re.I)
_FAILURES = re.compile(
    r"^.*(?:Not enough memory\. Please try to increase|CUDA out of memory).*$", re.M
)
