"""Huawei Ascend, through npu-smi: detected and named; no engine here supports it."""

from __future__ import annotations

from modelscan.gpu.ascend.npu_smi import parse_info
from modelscan.gpu.machine import Machine
from modelscan.gpu.nvidia.probe import answered
from modelscan.gpu.probe_result import Found
from modelscan.gpu.reading import Refusal


def run_ascend(machine: Machine) -> Found:
    """Chips npu-smi lists; nothing where there is no npu-smi."""
    tool = machine.tool("npu-smi")
    if tool is None:
        return Found()
    output = machine.run([tool, "info"], timeout_s=machine.timeout_s)
    try:
        reading = answered("npu-smi", output, machine.timeout_s, parse_info)
    except Refusal as refusal:
        return Found((), (refusal.problem(),))
    return Found(reading.gpus, reading.problems)
