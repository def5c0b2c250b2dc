"""What hardware is here: every vendor's probe, each failing alone, as one list of devices."""

from __future__ import annotations

import re
from dataclasses import replace

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Inventory
from modelscan.gpu.host import run_host
from modelscan.gpu.machine import Machine
from modelscan.gpu.simulate import simulate

_INDICES = re.compile(r"^\s*\d{1,2}(\s*,\s*\d{1,2})*\s*$")


def inventory(spec: str | None = None, machine: Machine | None = None) -> Inventory:
    """The hardware: probed (``None``), some real devices (``"0,1"``) or simulated (else)."""
    here = machine or Machine()
    if spec is None:
        return probe(here)
    if _INDICES.match(spec):
        return select(probe(here), [int(part) for part in spec.split(",")])
    return simulate(spec, here)


def probe(machine: Machine) -> Inventory:
    """Everything this machine has."""
    return Inventory((), run_host(machine))


def select(found: Inventory, indices: list[int]) -> Inventory:
    """The asked devices of an inventory, in the asked order; unknown indices raise UsageError."""
    by_index = {gpu.index: gpu for gpu in found.gpus}
    missing = [index for index in indices if index not in by_index]
    if missing:
        known = ", ".join(map(str, by_index)) or "none"
        raise UsageError(
            f"there is no GPU {', '.join(map(str, missing))} here; there are: {known}",
            hint="modelscan gpu",
            code="unknown_gpu",
        )
    chosen = tuple(by_index[index] for index in dict.fromkeys(indices))
    kept = {gpu.index for gpu in chosen}
    links = tuple(link for link in found.links if {link.first, link.second} <= kept)
    return replace(found, gpus=chosen, links=links)
