"""Parser of ``tegrastats``: a Jetson's memory, common to GPU and CPU; swap is not counted."""

from __future__ import annotations

import re

from modelscan.core.gpu import Gpu
from modelscan.core.units import MIB
from modelscan.gpu.reading import ParseError, Reading, lines_of


def parse_tegrastats(text: str) -> Reading:
    """Parse the last line with memory. Raises ParseError."""
    memory = None
    for line in lines_of(text):
        memory = re.search(r"RAM (\d{1,8})/(\d{1,8})MB", line) or memory
    if memory is None:
        raise ParseError("no_memory", "the text has no memory line of tegrastats")
    used, total = int(memory.group(1)) * MIB, int(memory.group(2)) * MIB
    gpu = Gpu(
        0, "NVIDIA Jetson", "nvidia", total, max(0, total - used), "tegrastats", used_bytes=used,
        unified_memory=True, vendor_index=0,
    )  # fmt: skip
    return Reading("tegrastats", (gpu,))
