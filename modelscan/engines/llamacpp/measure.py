"""What llama.cpp says it allocated: the ``buffer size =`` lines that verbosity 4 prints (MiB)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.units import GIB, KIB, MIB

_LINE = re.compile(
    r"(?P<device>\S+)\s+(?P<kind>model|KV|RS|compute|output) buffer size\s*=\s*"
    r"(?P<size>\d+(?:\.\d+)?) (?P<unit>[KMG]iB)"
)
_UNITS = {"KiB": KIB, "MiB": MIB, "GiB": GIB}
_PARTS = {
    "model": "weights_bytes",
    "KV": "kv_cache_bytes",
    "RS": "recurrent_state_bytes",
    "compute": "compute_bytes",
    "output": "output_bytes",
}
# A compute buffer is reserved again when the graph changes: the last line counts. Several model
# or KV buffers of one device (shards, sliding and full caches) add up.
_LAST_COUNTS = frozenset({"compute", "output"})


def buffers(log: str) -> dict[tuple[str, str], int]:
    """(device, part) -> bytes, to the hundredth of a MiB that the log gives."""
    found: dict[tuple[str, str], int] = {}
    for match in _LINE.finditer(log):
        key = (match["device"], _PARTS[match["kind"]])
        size = round(float(match["size"]) * _UNITS[match["unit"]])
        before = 0 if match["kind"] in _LAST_COUNTS else found.get(key, 0)
        found[key] = before + size
    return found


def measured(log: str) -> Mapping[str, Any] | None:
    """Parts over all devices, their total, and the parts per device; None without such lines."""
    found = buffers(log)
    if not any(part == "weights_bytes" for _, part in found):
        return None
    parts = dict.fromkeys(_PARTS.values(), 0)
    devices: dict[str, dict[str, int]] = {}
    for (device, part), size in found.items():
        parts[part] += size
        devices.setdefault(device, {})[part] = size
    total = sum(parts.values())
    return {"source": "engine_log", "parts": parts, "total_bytes": total, "devices": devices}
