"""Huawei Ascend, through npu-smi: detected and named; no engine here supports it."""

from __future__ import annotations

from modelscan.gpu.ascend.npu_smi import parse_info
from modelscan.gpu.machine import Machine
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError
from modelscan.gpu.tools import answered


def run_ascend(machine: Machine) -> ProbeResult:
    """Chips npu-smi lists; nothing where there is no npu-smi."""
    tool = machine.tool("npu-smi")
    if tool is None:
        return ProbeResult()
    output = machine.run([tool, "info"], timeout_s=machine.timeout_s)
    try:
        reading = answered("npu-smi", output, machine.timeout_s, parse_info)
    except ParseError as refusal:
        return ProbeResult((), (refusal.problem(),))
    return ProbeResult(reading.gpus, reading.problems)
