"""An engine's launch options from a plan, and a workload from its options.

Options are (long name without dashes, value) pairs; None is a bare flag. ``render`` makes the
argument list, ``parse`` reads one, ``workload_of`` returns the Workload that the options set. The
options of an engine are in ``engines/<name>/flags.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.workload import Backend, Workload
from modelscan.engines.option_names import LaunchSettings, OptionPair, Options
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.plan import Plan

__all__ = [
    "LaunchSettings", "Options", "environment", "estimate_workload", "options", "parse", "render",
    "workload_of",
]  # fmt: skip


def options(launch: LaunchSettings, workload: Workload, recipe: Options = ()) -> Options:
    """The engine's options for a launch: a published ``recipe``, overridden by modelscan's own,
    overridden by the user's ``--param``.
    """
    mine = {_key(name) for name, _ in workload.parameters}
    ours = [(n, v) for n, v in engine(launch.backend).options(launch, workload)
            if _key(n) not in mine]  # fmt: skip
    decided = {*mine, *(_key(name) for name, _ in ours)}
    published = ((n, v) for n, v in recipe if _key(n) not in decided)
    return (*ours, *published, *workload.parameters)


def environment(
    launch: LaunchSettings, workload: Workload, gpus: Sequence[Gpu], every: bool
) -> dict[str, str]:
    """Environment variables of the engine. ``every``: all devices are used, so none is hidden."""
    return {
        **_visible_devices(gpus, every),
        **engine(launch.backend).environment(launch, workload),
    }


def chooses_devices(variable: str) -> bool:
    """Whether a variable selects or numbers GPUs of this machine: a server, a container or another
    machine has its own numbers."""
    return variable.endswith(("_VISIBLE_DEVICES", "_DEVICE_ORDER"))


def _visible_devices(gpus: Sequence[Gpu], every: bool) -> dict[str, str]:
    """The device list. Indices follow the bus; CUDA's own order is by speed unless set. MIG
    instances have no index, so they use the UUID.
    """
    vendor = gpus[0].vendor if gpus else None
    if vendor == "nvidia" and (not every or any(gpu.mig for gpu in gpus)):
        names = [gpu.uuid if gpu.mig and gpu.uuid else str(gpu.index) for gpu in gpus]
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(names)}
    if vendor == "amd" and not every:
        return {"HIP_VISIBLE_DEVICES": ",".join(str(gpu.index) for gpu in gpus)}
    return {}


def render(chosen: Options) -> tuple[str, ...]:
    """The argument list: every engine here takes ``--name value``."""
    words: list[str] = []
    for name, value in chosen:
        words.append(f"--{name}")
        if value is not None:
            words.append(value)
    return tuple(words)


def parse(words: Sequence[str]) -> Options:
    """An argument list as options; understands ``--name=value`` as well."""
    pairs: list[OptionPair] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            pairs.append((name, value if equals else None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], word)
    return tuple(pairs)


def workload_of(plan: Plan, requested: Workload | None = None) -> Workload:
    """The Workload that a plan's flags set, for an estimate of the plan."""
    base = engine(plan.backend).workload_from_environment(requested or Workload(), plan)
    return estimate_workload(
        base,
        backend=plan.backend,
        backend_version=plan.backend_version,
        chosen=parse(plan.parameters),
        context_tokens=plan.context_tokens,
        parallel=plan.parallel,
        gpus=plan.gpus,
        tensor_parallel=plan.tensor_parallel,
        pipeline_parallel=plan.pipeline_parallel,
    )


def estimate_workload(
    requested: Workload,
    *,
    backend: Backend,
    backend_version: str | None,
    chosen: Options,
    context_tokens: int,
    parallel: int,
    gpus: tuple[int, ...],
    tensor_parallel: int,
    pipeline_parallel: int,
) -> Workload:
    """The user's wishes with all decided values filled in."""
    return replace(
        requested,
        backend=backend,
        backend_version=backend_version,
        context_tokens=context_tokens,
        parallel=parallel,
        parameters=chosen,
        gpus=gpus or None,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
    )


def _key(name: str) -> str:
    return name.replace("_", "-")
