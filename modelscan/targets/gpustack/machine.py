"""A GPUStack cluster as the planner's machine: its workers, and its version's engines.

SGLang exists since 2.0, llama-box (GGUF) until then.
"""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.gpu import Inventory
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.workload import BACKENDS as ENGINES
from modelscan.core.workload import Backend
from modelscan.engines.registry import engine
from modelscan.targets.gpustack.body import BACKENDS, OLD_BACKENDS
from modelscan.targets.gpustack.client import Dialect


def engines(dialect: Dialect) -> tuple[Backend, ...]:
    """The planner's engines that this version has, best first."""
    table = BACKENDS if dialect.modern else OLD_BACKENDS
    return tuple(engine(name).name for name in table if name in ENGINES)


def cluster_machine(hardware: Inventory, dialect: Dialect, where: str) -> Machine:
    """The cluster as a machine. On 2.x only GPUs hold models; llama-box on 0.7 also uses host
    memory.
    """
    if dialect.modern:
        hardware = replace(hardware, host=replace(hardware.host, free_bytes=0))
    available = tuple(EngineHere(name, source="server") for name in engines(dialect))
    return Machine(hardware, available, where=f"{where} (GPUStack {dialect.version.lstrip('v')})")
