"""Probes Huawei Ascend NPUs with npu-smi: detected and named; no engine supports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.gpu.ascend.npu_smi import parse_info
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError
from modelscan.gpu.tools import parse_tool_output

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost


def run_ascend(machine: ProbeHost) -> ProbeResult:
    """The chips that npu-smi lists; empty without npu-smi."""
    tool = machine.tool("npu-smi")
    if tool is None:
        return ProbeResult()
    output = machine.run([tool, "info"], timeout_s=machine.timeout_s)
    try:
        reading = parse_tool_output("npu-smi", output, machine.timeout_s, parse_info)
    except ParseError as refusal:
        return ProbeResult((), (refusal.problem(),))
    return ProbeResult(reading.gpus, reading.problems)
