"""What hardware is here: every vendor's probe, each failing alone, as one list of devices."""

from __future__ import annotations

import re
from dataclasses import replace

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu, Host, Inventory, Link, Problem
from modelscan.gpu.enrich import enrich
from modelscan.gpu.facts import lookup
from modelscan.gpu.host import run_host
from modelscan.gpu.machine import Machine
from modelscan.gpu.pci import VENDORS, PciDevice, run_pci
from modelscan.gpu.pci import gpu as pci_gpu
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.support import beside_a_card
from modelscan.gpu.visible import apply_visibility

_INDICES = re.compile(r"^\s*\d{1,2}(\s*,\s*\d{1,2})*\s*$")


def inventory(spec: str | None = None, machine: Machine | None = None) -> Inventory:
    """The hardware: probed (``None``), some real devices (``"0,1"``) or simulated (else)."""
    here = machine or Machine()
    if spec is None:
        return probe(here)
    if _INDICES.match(spec):
        return select(probe(here), [int(part) for part in spec.split(",")])
    from modelscan.gpu.simulate import simulate

    return simulate(spec, here)


def probe(machine: Machine) -> Inventory:
    """Everything this machine has, numbered once across vendors."""
    host = run_host(machine)
    on_pci = run_pci(machine) if machine.system == "linux" else ()
    found = _vendors(machine, host, on_pci)
    gpus, links = _number(found)
    gpus = tuple(enrich(gpu) for gpu in gpus)
    visible, hidden, oddities = apply_visibility(beside_a_card(gpus), machine.environ)
    unanswered = _unanswered(on_pci, (*visible, *hidden), len(gpus))
    problems = [*(p for one in found for p in one.problems), *oddities, *unanswered]
    problems += [_no_memory(gpu) for gpu in visible if gpu.backends and gpu.memory_bytes is None]
    kept = {gpu.index for gpu in visible}
    return Inventory(
        visible, host, tuple(dict.fromkeys(problems)),
        tuple(link for link in links if {link.first, link.second} <= kept), hidden=hidden,
    )  # fmt: skip


def _vendors(machine: Machine, host: Host, on_pci: tuple[PciDevice, ...]) -> list[ProbeResult]:
    """Each vendor's probe, imported only where there is a sign of the vendor."""
    there = {VENDORS[device.vendor] for device in on_pci}
    found = []
    if machine.system == "darwin":
        from modelscan.gpu.apple import run_apple

        return [run_apple(machine, host)]
    from modelscan.gpu.nvidia.probe import run_nvidia

    found.append(run_nvidia(machine, host, on_pci="nvidia" in there))
    if "amd" in there or machine.tool("amd-smi") or machine.tool("rocm-smi"):
        from modelscan.gpu.amd.probe import run_amd

        found.append(run_amd(machine, host, on_pci="amd" in there))
    if "intel" in there or machine.tool("xpu-smi") or machine.tool("hl-smi"):
        from modelscan.gpu.intel.probe import run_intel

        found.append(run_intel(machine, on_pci="intel" in there))
    if "ascend" in there or machine.tool("npu-smi"):
        from modelscan.gpu.ascend.probe import run_ascend

        found.append(run_ascend(machine))
    return found


def _number(found: list[ProbeResult]) -> tuple[tuple[Gpu, ...], tuple[Link, ...]]:
    """The first vendor's numbers stay as its tools show them; the next go on after them."""
    gpus: list[Gpu] = []
    links: list[Link] = []
    start = 0
    for one in found:
        gpus += [replace(gpu, index=gpu.index + start) for gpu in one.gpus]
        links += [Link(link.first + start, link.second + start, link.kind) for link in one.links]
        start = max((gpu.index for gpu in gpus), default=-1) + 1
    return tuple(gpus), tuple(links)


def _unanswered(on_pci: tuple[PciDevice, ...], known: tuple[Gpu, ...], count: int) -> list[Problem]:
    """Devices on the bus that no probe told of, of vendors that have no engine here."""
    buses = {gpu.pci_bus_id for gpu in known}
    problems = []
    for device in on_pci:
        vendor = VENDORS[device.vendor]
        if device.bus in buses or vendor in ("nvidia", "amd", "intel"):
            continue
        name = pci_gpu(device, count).name
        text = f"{name} at {device.bus}: no backend here supports it"
        problems.append(Problem("unsupported_device", text))
    return problems


def _no_memory(gpu: Gpu) -> Problem:
    """A device that an engine could use, whose memory size no tool reports."""
    said = f"GPU {gpu.index} ({gpu.name}): {gpu.source} does not tell its memory"
    known = lookup(gpu.name)
    size = gpu.name if known is not None and known.memory_bytes else "16GiB"
    hint = f"plan with its size, e.g. --gpu '{size}'"
    return Problem("no_memory", said, hint)


def select(found: Inventory, indices: list[int]) -> Inventory:
    """The asked devices of an inventory, in the asked order; unknown indices raise UsageError."""
    by_index = {gpu.index: gpu for gpu in found.gpus}
    missing = [index for index in indices if index not in by_index]
    if missing:
        known = ", ".join(map(str, by_index)) or "none"
        if found.hidden:
            known += f" ({len(found.hidden)} hidden by the environment)"
        raise UsageError(
            f"there is no GPU {', '.join(map(str, missing))} here; there are: {known}",
            hint="modelscan gpu",
            code="unknown_gpu",
        )
    chosen = tuple(by_index[index] for index in dict.fromkeys(indices))
    kept = {gpu.index for gpu in chosen}
    links = tuple(link for link in found.links if {link.first, link.second} <= kept)
    return replace(found, gpus=chosen, links=links)
