"""The hardware of this machine: all vendors' probes, independent of each other, as one list."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu, Host, Inventory, Link, Problem
from modelscan.gpu.enrich import enrich
from modelscan.gpu.facts import lookup
from modelscan.gpu.host import run_host
from modelscan.gpu.pci import VENDORS, PciDevice, run_pci
from modelscan.gpu.pci import gpu as pci_gpu
from modelscan.gpu.probe_host import ProbeHost
from modelscan.gpu.support import disable_integrated
from modelscan.gpu.visible import apply_visibility

if TYPE_CHECKING:
    from modelscan.gpu.probe_result import ProbeResult

_INDICES = re.compile(r"^\s*\d{1,2}(\s*,\s*\d{1,2})*\s*$")


def inventory(spec: str | None = None, machine: ProbeHost | None = None) -> Inventory:
    """The hardware: probed (``None``), selected devices (``"0,1"``) or simulated (any other
    text).
    """
    here = machine or ProbeHost()
    if spec is None:
        return probe(here)
    if are_indices(spec):
        return select(probe(here), [int(part) for part in spec.split(",")])
    from modelscan.gpu.simulate import simulate

    return simulate(spec)


def are_indices(spec: str) -> bool:
    """True if ``--gpu`` selects real devices by index (``0,1``)."""
    return _INDICES.match(spec) is not None


def probe(machine: ProbeHost) -> Inventory:
    """All devices of this machine, numbered across vendors."""
    host = run_host(machine)
    on_pci = run_pci(machine) if machine.system == "linux" else ()
    results = _vendors(machine, host, on_pci)
    gpus, links = _number(results)
    gpus = tuple(enrich(gpu) for gpu in gpus)
    visible, hidden, variable_problems = apply_visibility(disable_integrated(gpus), machine.environ)
    unsupported = _unsupported(on_pci, (*visible, *hidden), len(gpus))
    problems = [*(p for one in results for p in one.problems), *variable_problems, *unsupported]
    problems += [_no_memory(gpu) for gpu in visible if gpu.backends and gpu.memory_bytes is None]
    indices = {gpu.index for gpu in visible}
    return Inventory(
        visible, host, tuple(dict.fromkeys(problems)),
        tuple(link for link in links if {link.first, link.second} <= indices), hidden=hidden,
    )  # fmt: skip


def _vendors(machine: ProbeHost, host: Host, on_pci: tuple[PciDevice, ...]) -> list[ProbeResult]:
    """The results of each vendor's probe, imported only if there is a sign of the vendor."""
    vendors = {VENDORS[device.vendor] for device in on_pci}
    results = []
    if machine.system == "darwin":
        from modelscan.gpu.apple import run_apple

        return [run_apple(machine, host)]
    from modelscan.gpu.nvidia.probe import run_nvidia

    results.append(run_nvidia(machine, host, on_pci="nvidia" in vendors))
    if "amd" in vendors or machine.tool("amd-smi") or machine.tool("rocm-smi"):
        from modelscan.gpu.amd.probe import run_amd

        results.append(run_amd(machine, host, on_pci="amd" in vendors))
    if "intel" in vendors or machine.tool("xpu-smi") or machine.tool("hl-smi"):
        from modelscan.gpu.intel.probe import run_intel

        results.append(run_intel(machine, on_pci="intel" in vendors))
    if "ascend" in vendors or machine.tool("npu-smi"):
        from modelscan.gpu.ascend.probe import run_ascend

        results.append(run_ascend(machine))
    return results


def _number(results: list[ProbeResult]) -> tuple[tuple[Gpu, ...], tuple[Link, ...]]:
    """Number devices over all vendors; the first vendor's indices stay as its tools show them."""
    gpus: list[Gpu] = []
    links: list[Link] = []
    start = 0
    for one in results:
        gpus += [replace(gpu, index=gpu.index + start) for gpu in one.gpus]
        links += [Link(link.first + start, link.second + start, link.kind) for link in one.links]
        start = max((gpu.index for gpu in gpus), default=-1) + 1
    return tuple(gpus), tuple(links)


def _unsupported(on_pci: tuple[PciDevice, ...], gpus: tuple[Gpu, ...], count: int) -> list[Problem]:
    """Problems for devices on the bus from vendors that no engine supports."""
    buses = {gpu.pci_bus_id for gpu in gpus}
    problems = []
    for device in on_pci:
        vendor = VENDORS[device.vendor]
        if device.bus in buses or vendor in ("nvidia", "amd", "intel"):
            continue
        name = pci_gpu(device, count).name
        text = f"{name} at {device.bus}: no backend supports it"
        problems.append(Problem("unsupported_device", text))
    return problems


def _no_memory(gpu: Gpu) -> Problem:
    """The problem for a supported device without a known memory size."""
    message = f"GPU {gpu.index} ({gpu.name}): {gpu.source} does not report its memory size"
    facts = lookup(gpu.name)
    size = gpu.name if facts is not None and facts.memory_bytes else "16GiB"
    hint = f"plan with its size, e.g. --gpu '{size}'"
    return Problem("no_memory", message, hint)


def select(available: Inventory, indices: list[int]) -> Inventory:
    """The selected devices of an inventory, in the given order.

    Raises UsageError for an unknown index.
    """
    by_index = {gpu.index: gpu for gpu in available.gpus}
    missing = [index for index in indices if index not in by_index]
    if missing:
        listed = ", ".join(map(str, by_index)) or "none"
        if available.hidden:
            listed += f" ({len(available.hidden)} hidden by the environment)"
        raise UsageError(
            f"there is no GPU {', '.join(map(str, missing))} ; available: {listed}",
            hint="modelscan gpu",
            code="unknown_gpu",
        )
    chosen = tuple(by_index[index] for index in dict.fromkeys(indices))
    selected = {gpu.index for gpu in chosen}
    links = tuple(link for link in available.links if {link.first, link.second} <= selected)
    return replace(available, gpus=chosen, links=links)
