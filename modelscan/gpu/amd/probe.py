"""Probes AMD GPUs: the kernel's files, and amd-smi or rocm-smi for what those do not contain."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, Host, Link, Problem
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.amd.sysfs import Node, kfd_nodes, run_sysfs
from modelscan.gpu.detect_format import parse_with_fallback
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError, Reading
from modelscan.gpu.tools import HOPELESS, tool_failure
from modelscan.gpu.unified import with_unified_memory

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost


def run_amd(machine: ProbeHost, host: Host, *, on_pci: bool = False) -> ProbeResult:
    """Devices and problems. Tools are run only if the kernel's information is incomplete."""
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
    with_memory = tuple(with_unified_memory(gpu, host) for gpu in gpus)
    return ProbeResult(with_memory, (*problems, *_access(machine)), links)


def _tools(machine: ProbeHost, problems: list[Problem]) -> Reading | None:
    """amd-smi's reading; if it is missing or lacks names or memory, rocm-smi's."""
    best: Reading | None = None
    for name, run in (("amd-smi", _amd_smi), ("rocm-smi", _rocm_smi)):
        tool = machine.tool(name)
        if tool is None:
            continue
        try:
            reading = run(machine, tool)
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


def _amd_smi(machine: ProbeHost, tool: str) -> Reading:
    """Merge the readings of several commands: some fail on some devices and in older versions."""
    readings: list[Reading] = []
    refusal: ParseError | None = None
    for arguments in (("static", "--json"), ("metric", "--json"), ("list", "-e", "--json")):
        try:
            readings.append(_run(machine, tool, arguments, "amd-smi", amd_smi.parse_json))
        except ParseError as error:
            refusal = refusal or error
            if error.code in HOPELESS:
                break
    if not readings:
        raise refusal or ParseError("no_devices", "amd-smi lists no device")
    merged = amd_smi.merge(*readings)
    return replace(merged, problems=tuple(p for p in readings[0].problems if p.code != "no_memory"))


def _rocm_smi(machine: ProbeHost, tool: str) -> Reading:
    """Run rocm-smi with the needed options; an old version that rejects one of them with ``-a``."""
    try:
        return _run(machine, tool, rocm_smi.ARGUMENTS, "rocm-smi", rocm_smi.parse_json)
    except ParseError as refusal:
        if refusal.code != "tool_failed":
            raise
        try:
            return _run(machine, tool, ("-a", "--json"), "rocm-smi", rocm_smi.parse_json)
        except ParseError:
            raise refusal from None


def _run(
    machine: ProbeHost,
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


def _joined(kernel: tuple[Gpu, ...], reported: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """The kernel's devices with the tool's names, matched by PCI address; without kernel
    devices, the tool's.
    """
    if not kernel:
        return reported
    by_bus = {gpu.pci_bus_id: gpu for gpu in reported if gpu.pci_bus_id}
    gpus: list[Gpu] = []
    for gpu in kernel:
        other = by_bus.get(gpu.pci_bus_id) if gpu.pci_bus_id else None
        if other is None and len(reported) == len(kernel) and not by_bus:
            other = reported[len(gpus)]
        gpus.append(amd_smi.fill(gpu, replace(other, vendor_index=None)) if other else gpu)
    return tuple(replace(gpu, vendor_index=i) for i, gpu in enumerate(gpus))


def _links(machine: ProbeHost, gpus: tuple[Gpu, ...]) -> tuple[Link, ...]:
    """XGMI or PCIe between each pair of devices in KFD's topology."""
    nodes = {node.bus: node for node in kfd_nodes(machine) if node.bus}
    pairs = [(gpu, nodes[gpu.pci_bus_id]) for gpu in gpus if gpu.pci_bus_id in nodes]
    return tuple(
        Link(one.index, other.index, _link(one, node, other, other_node))
        for position, (one, node) in enumerate(pairs[:64])
        for other, other_node in pairs[position + 1 : 64]
    )


def _link(one: Gpu, node: Node, other: Gpu, other_node: Node) -> str:
    """Partitions of one card are connected by its own fabric."""
    fabric = one.pci_bus_id == other.pci_bus_id or other_node.number in node.peers
    return "xgmi" if fabric else "pcie"


def _access(machine: ProbeHost) -> list[Problem]:
    """Problems with devices that exist but that this user may not open."""
    kfd = machine.path("/dev/kfd")
    if machine.exists("/dev/kfd") and not os.access(kfd, os.R_OK | os.W_OK):
        refusal = rocm_smi.complaint("permission")
        return [refusal.problem()] if refusal else []
    return []


def _explain(machine: ProbeHost, problems: list[Problem], on_pci: bool) -> list[Problem]:
    if problems:
        return problems[:1]
    if on_pci and not machine.exists("/sys/module/amdgpu"):
        return [
            Problem(
                "driver_missing",
                "an AMD GPU is on the PCI bus but the amdgpu driver is not loaded",
                "sudo modprobe amdgpu",
            )
        ]
    return []
