"""What a server's version can run: SGLang came with 2.0, llama-box (GGUF) went with it."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Inventory
from modelscan.core.plan import Decision, Subject
from modelscan.core.workload import BACKENDS as ENGINES
from modelscan.core.workload import Workload
from modelscan.targets.gpustack.body import BACKENDS, OLD_BACKENDS
from modelscan.targets.gpustack.client import Dialect


def engines(dialect: Dialect) -> tuple[str, ...]:
    """The planner's engines that this version has, best first."""
    table = BACKENDS if dialect.modern else OLD_BACKENDS
    return tuple(name for name in table if name in ENGINES)


def decided(
    subject: Subject,
    hardware: Inventory,
    workload: Workload,
    dialect: Dialect,
    *,
    everything: bool = False,
    explain: bool = True,
) -> Decision:
    """The planner's decision among the engines of this version; an engine that was asked for is
    left to the caller to refuse."""
    from modelscan.planner.decide import decide

    room, known = room_for(hardware, dialect), engines(dialect)
    found = decide(subject, room, workload, everything=everything, explain=explain)
    if workload.backend or found.plan is None:
        return found
    if found.plan.backend in known:
        others = tuple(plan for plan in found.alternatives if plan.backend in known)
        return replace(found, alternatives=others)
    for backend in known:
        wish = replace(workload, backend=backend)
        found = decide(subject, room, wish, everything=everything, explain=explain)
        if found.plan is not None:
            break
    return found


def room_for(hardware: Inventory, dialect: Dialect) -> Inventory:
    """What may hold a model: on 2.x GPUs alone; llama-box on 0.7 also needs the host's memory."""
    if not dialect.modern:
        return hardware
    return replace(hardware, host=replace(hardware.host, free_bytes=0))


def servable(subject: Subject, dialect: Dialect) -> Subject:
    """Only the variants this server's engines read: safetensors; GGUF on 0.7 (llama-box)."""
    formats = {"safetensors"} if dialect.modern else {"safetensors", "gguf"}
    kept = tuple(c for c in subject.candidates if c.variant.format in formats)
    if not kept and subject.candidates:
        there = ", ".join(sorted({c.variant.format for c in subject.candidates}))
        raise NotDeployableError(
            f"GPUStack {dialect.version} serves {' and '.join(sorted(formats))}; "
            f"{subject.id} is there as {there}",
            hint=f"modelscan deploy {subject.id} --target local",
        )
    return replace(subject, candidates=kept)
