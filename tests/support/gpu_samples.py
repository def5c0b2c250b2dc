"""A tool's pasted output as devices, completed from the table of facts as a probe completes them."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.gpu import Host
from modelscan.gpu.detect_format import parse_output
from modelscan.gpu.enrich import enrich
from modelscan.gpu.reading import Reading
from modelscan.gpu.unified import with_unified_memory

_UNKNOWN_HOST = Host(None, None, None)  # a text does not tell the machine around it


def parse_sample(text: str, command_or_filename: str = "") -> Reading:
    """Raises ParseError with a named reason, nothing else."""
    reading = parse_output(text, command_or_filename)
    gpus = (
        with_unified_memory(gpu, _UNKNOWN_HOST) if gpu.vendor == "amd" else gpu
        for gpu in reading.gpus
    )
    return replace(reading, gpus=tuple(enrich(gpu) for gpu in gpus))
