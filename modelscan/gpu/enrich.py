"""Fills in what the probe could not read from the table of facts; probed values have priority."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.gpu.facts import lookup
from modelscan.gpu.names import parse_name
from modelscan.gpu.support import backends_for

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, GpuFacts


def enrich(gpu: Gpu) -> Gpu:
    """The GPU with bandwidth, compute capability and rate from the table, and its supported
    engines.
    """
    memory = None if gpu.unified_memory or gpu.mig or _count(gpu) > 1 else gpu.memory_bytes
    facts = lookup(gpu.name, memory, gpu.memory_clock_mhz)
    if facts is None and gpu.vendor == "amd":  # "AMD Radeon Graphics" is ambiguous: use the PCI id
        from modelscan.gpu.amd.names import name_by_id

        by_id = name_by_id(gpu.pci_device_id)
        facts = lookup(by_id, memory) if by_id else None
    if facts is not None and facts.vendor == gpu.vendor:
        gpu = _fill(gpu, facts)
    return replace(gpu, backends=backends_for(gpu))


def _fill(gpu: Gpu, facts: GpuFacts) -> Gpu:
    # A MIG slice or vGPU has a part of the card's bandwidth and compute, unknown from its name.
    whole = gpu.mig is None and parse_name(gpu.name).mig is None
    count = _count(gpu)  # partitions of an AMD card share it equally
    bandwidth, rate = gpu.memory_bandwidth_bytes_per_s, gpu.fp16_tflops
    if bandwidth is None and whole and facts.memory_bandwidth_bytes_per_s:
        bandwidth = facts.memory_bandwidth_bytes_per_s // count
    if rate is None and whole and facts.fp16_tflops:
        rate = facts.fp16_tflops / count
    return replace(
        gpu,
        compute_capability=gpu.compute_capability or facts.compute_capability,
        gfx_target=gpu.gfx_target or facts.gfx_target,
        memory_bandwidth_bytes_per_s=bandwidth,
        fp16_tflops=rate,
        unified_memory=gpu.unified_memory or facts.unified_memory,
    )


def _count(gpu: Gpu) -> int:
    """Into how many partitions the card of this device is divided; 1 for a whole card."""
    match = re.search(r" partition \d{1,2} of (\d{1,2})$", gpu.name)
    return max(1, int(match.group(1))) if match else 1
