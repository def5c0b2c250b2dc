"""The memory figures in llama.cpp's log, as parts of an estimate and per device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.engines import log_fields as fields
from modelscan.engines.log_fields import NUMBER, LogFigures

_FIRST_AND_LAST = ("weights_bytes", "compute_bytes")


def parse(text: str) -> LogFigures:
    """llama.cpp (verbosity 4) and Ollama's runner: buffers of all devices together."""
    return LogFigures(
        weights_bytes=fields.total(_MODEL, text),
        kv_pool_bytes=fields.total(_KV, text),
        kv_tokens=fields.integer(_CONTEXT, text),
        compute_bytes=fields.sum_of_last(_COMPUTE, text),
        recurrent_state_bytes=fields.total(_STATE, text),
        output_bytes=fields.sum_of_last(_OUTPUT, text),
        failure=fields.line(_FAILURES, text),
    )


def parse_devices(text: str) -> dict[str, LogFigures]:
    """The same per device name (``CUDA0``, ``CPU``, ``CUDA_Host``), as the log spells it."""
    names = dict.fromkeys(device for pattern in _FIELDS for device, _ in pattern.findall(text))
    return {name: parse("\n".join(_lines_of(name, text))) for name in names}


def _lines_of(device: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(rf"(?<!\S){re.escape(device)}\s", line)]


def measured(log: str) -> Mapping[str, Any] | None:
    """Parts over all devices, their total, and the parts per device; None without such lines.

    The log gives hundredths of a MiB (``verbosity`` 4).
    """
    devices = {name: _parts(figures) for name, figures in parse_devices(log).items()}
    # Compute buffers come last: without them the log has not been written to its end yet.
    if not all(any(parts[key] for parts in devices.values()) for key in _FIRST_AND_LAST):
        return None
    parts = {key: sum(one[key] for one in devices.values()) for key in _parts(LogFigures())}
    return {
        "source": "engine_log",
        "parts": parts,
        "total_bytes": sum(parts.values()),
        "devices": devices,
    }


def _parts(figures: LogFigures) -> dict[str, int]:
    return {
        "weights_bytes": figures.weights_bytes or 0,
        "kv_cache_bytes": figures.kv_pool_bytes or 0,
        "recurrent_state_bytes": figures.recurrent_state_bytes or 0,
        "compute_bytes": figures.compute_bytes or 0,
        "output_bytes": figures.output_bytes or 0,
    }


_MODEL = re.compile(  # before 2025 without the word "model"
    rf"^.*load_tensors:\s+(\S+)(?: model)? buffer size\s*=\s*{NUMBER} MiB", re.M
)
_KV = re.compile(rf"(\S+) KV buffer size\s*=\s*{NUMBER} MiB")
_STATE = re.compile(rf"(\S+) RS buffer size\s*=\s*{NUMBER} MiB")
_COMPUTE = re.compile(rf"(\S+) compute buffer size\s*=\s*{NUMBER} MiB")
_OUTPUT = re.compile(rf"(\S+)\s+output buffer size\s*=\s*{NUMBER} MiB")
_CONTEXT = re.compile(r"\bn_ctx\s+=\s+(\d+)")
_FAILURES = re.compile(
    r"^.*(?:failed to allocate|cudaMalloc failed|out of memory|unable to allocate).*$", re.M
)
_FIELDS = (_MODEL, _KV, _STATE, _COMPUTE, _OUTPUT)
