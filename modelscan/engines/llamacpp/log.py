"""What llama.cpp says it allocated, in the parts of an estimate and per device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.engines.log_lines import Measured, llamacpp_devices

_FIRST_AND_LAST = ("weights_bytes", "compute_bytes")


def measured(log: str) -> Mapping[str, Any] | None:
    """Parts over all devices, their total, and the parts per device; None without such lines.

    The log gives hundredths of a MiB (``verbosity`` 4).
    """
    devices = {name: _parts(found) for name, found in llamacpp_devices(log).items()}
    # Compute buffers come last: without them the log has not been written to its end yet.
    if not all(any(parts[key] for parts in devices.values()) for key in _FIRST_AND_LAST):
        return None
    parts = {key: sum(one[key] for one in devices.values()) for key in _parts(Measured())}
    return {
        "source": "engine_log",
        "parts": parts,
        "total_bytes": sum(parts.values()),
        "devices": devices,
    }


def _parts(found: Measured) -> dict[str, int]:
    return {
        "weights_bytes": found.weights_bytes or 0,
        "kv_cache_bytes": found.kv_pool_bytes or 0,
        "recurrent_state_bytes": found.recurrent_state_bytes or 0,
        "compute_bytes": found.compute_bytes or 0,
        "output_bytes": found.output_bytes or 0,
    }
