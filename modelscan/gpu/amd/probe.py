"""AMD: the kernel's own files, and amd-smi or rocm-smi where those are not there or do not name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from modelscan.core.gpu import Gpu, Host, Link, Problem
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.amd.sysfs import kfd_nodes, run_sysfs
from modelscan.gpu.detect_format import parse_with_fallback
from modelscan.gpu.machine import Machine
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError, Reading
from modelscan.gpu.tools import HOPELESS, tool_failure
from modelscan.gpu.unified import with_unified_memory


def run_amd(machine: Machine, host: Host, *, on_pci: bool = False) -> ProbeResult:
    """Devices and problems. Tools are asked only for what the kernel does not tell."""
    if machine.system == "darwin":
        return ProbeResult()
    kernel = run_sysfs(machine) if machine.system == "linux" else ()
    problems: list[Problem] = []
    reading = None
    if not kernel or not all(_is_complete(gpu) for gpu in kernel):
        reading = _tools(machine, problems)
    gpus = _joined(kernel, reading.gpus if reading else ())
    if reading is not None:
        problems += [p for p in reading.problems if p.code != "no_memory"]
    if not gpus:
        return ProbeResult((), tuple(_explain(machine, problems, on_pci)))
    links = _links(machine, gpus) or (reading.links if reading else ())
    settled = tuple(with_unified_memory(gpu, host) for gpu in gpus)
    return ProbeResult(settled, (*problems, *_access(machine)), links)


def _tools(machine: Machine, problems: list[Problem]) -> Reading | None:
    """amd-smi; where it is not there or does not tell names and memory, rocm-smi."""
    best: Reading | None = None
    for name, ask in (("amd-smi", _amd_smi), ("rocm-smi", _rocm_smi)):
        tool = machine.tool(name)
        if tool is None:
            continue
        try:
            reading = ask(machine, tool)
        except ParseError as refusal:
            problems.append(refusal.problem())
            continue
        if all(_is_complete(gpu) for gpu in reading.gpus):
            problems.clear()
            return reading
        best = best or reading
    if best is not None:
        problems.clear()
    return best


def _is_complete(gpu: Gpu) -> bool:
    return bool(gpu.memory_bytes) and not gpu.name.startswith("AMD GPU")


def _amd_smi(machine: Machine, tool: str) -> Reading:
    """What its commands tell together: some fail on some devices and in older versions."""
    readings: list[Reading] = []
    refusal: ParseError | None = None
    for arguments in (("static", "--json"), ("metric", "--json"), ("list", "-e", "--json")):
        try:
            readings.append(_ask(machine, tool, arguments, "amd-smi", amd_smi.parse_json))
        except ParseError as error:
            refusal = refusal or error
            if error.code in HOPELESS:
                break
    if not readings:
        raise refusal or ParseError("no_devices", "amd-smi lists no device")
    merged = amd_smi.merge(*readings)
    return replace(merged, problems=tuple(p for p in readings[0].problems if p.code != "no_memory"))


def _rocm_smi(machine: Machine, tool: str) -> Reading:
    """What is needed; an old rocm-smi that does not know one of the options tells all it knows."""
    try:
        return _ask(machine, tool, rocm_smi.ARGUMENTS, "rocm-smi", rocm_smi.parse_json)
    except ParseError as refusal:
        if refusal.code != "tool_failed":
            raise
        try:
            return _ask(machine, tool, ("-a", "--json"), "rocm-smi", rocm_smi.parse_json)
        except ParseError:
            raise refusal from None


def _ask(
    machine: Machine,
    tool: str,
    arguments: tuple[str, ...],
    name: str,
    parse: Callable[[str], Reading],
) -> Reading:
    output = machine.run([tool, *arguments], timeout_s=machine.timeout_s)
    failure = tool_failure(name, output, machine.timeout_s)
    if failure is not None and (output.failure is not None or not output.stdout.strip()):
        raise rocm_smi.complaint(output.stderr) or failure
    return parse_with_fallback(parse, output.stdout, " ".join([name, *arguments]))


def _joined(kernel: tuple[Gpu, ...], told: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """The kernel's devices with the tool's names, matched by PCI address; else the tool's own."""
    if not kernel:
        return told
    by_bus = {gpu.pci_bus_id: gpu for gpu in told if gpu.pci_bus_id}
    found: list[Gpu] = []
    for gpu in kernel:
        other = by_bus.get(gpu.pci_bus_id) if gpu.pci_bus_id else None
        if other is None and len(told) == len(kernel) and not by_bus:
            other = told[len(found)]
        found.append(amd_smi.fill(gpu, replace(other, vendor_index=None)) if other else gpu)
    return tuple(replace(gpu, vendor_index=i) for i, gpu in enumerate(found))


def _links(machine: Machine, gpus: tuple[Gpu, ...]) -> tuple[Link, ...]:
    """XGMI or PCIe between each two devices KFD knows."""
    nodes = {node.bus: node for node in kfd_nodes(machine) if node.bus}
    known = [(gpu, nodes[gpu.pci_bus_id]) for gpu in gpus if gpu.pci_bus_id in nodes]
    return tuple(
        Link(one.index, other.index, "xgmi" if other_node.number in node.peers else "pcie")
        for position, (one, node) in enumerate(known[:64])
        for other, other_node in known[position + 1 : 64]
    )


def _access(machine: Machine) -> list[Problem]:
    """Devices that are there but may not be opened."""
    kfd = machine.path("/dev/kfd")
    if machine.exists("/dev/kfd") and not os.access(kfd, os.R_OK | os.W_OK):
        refusal = rocm_smi.complaint("permission")
        return [refusal.problem()] if refusal else []
    return []


def _explain(machine: Machine, problems: list[Problem], on_pci: bool) -> list[Problem]:
    if problems:
        return problems[:1]
    if on_pci and not machine.exists("/sys/module/amdgpu"):
        return [
            Problem(
                "driver_missing",
                "there is an AMD card on the PCI bus and the amdgpu driver is not loaded",
                "sudo modprobe amdgpu",
            )
        ]
    return []
