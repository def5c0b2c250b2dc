"""An engine's launch options, and back: what a plan says is exactly what the estimate counted.

Options are kept as (long name without dashes, value); None is a bare flag. ``render`` makes the
argument list, ``parse`` reads one, ``workload_of`` gives the Workload that the options mean. Which
options an engine has is in ``engines/<name>/flags.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu
from modelscan.core.plan import Plan
from modelscan.core.workload import Backend, Workload
from modelscan.engines.option_names import Launch, OptionPair, Options
from modelscan.engines.registry import engine

__all__ = [
    "Launch", "Options", "environment", "estimate_workload", "options", "parse", "render",
    "workload_of",
]  # fmt: skip


def options(launch: Launch, workload: Workload) -> Options:
    """The engine's options for a launch; the user's own ``--param`` wins over ours."""
    ours = engine(launch.backend).options(launch, workload)
    given = {_key(name) for name, _ in workload.parameters}
    return (*((n, v) for n, v in ours if _key(n) not in given), *workload.parameters)


def environment(
    launch: Launch, workload: Workload, gpus: Sequence[Gpu], every: bool
) -> dict[str, str]:
    """Variables of the engine's process. ``every``: all devices are used, so none is hidden."""
    return {
        **_visible_devices(gpus, every),
        **engine(launch.backend).environment(launch, workload),
    }


def _visible_devices(gpus: Sequence[Gpu], every: bool) -> dict[str, str]:
    """Indices are the driver's, in the order of the bus; CUDA's own order is by speed unless set.
    MIG instances have no index of their own, so they go by UUID.
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
    found: list[OptionPair] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            found.append((name, value if equals else None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], word)
    return tuple(found)


def workload_of(plan: Plan, wanted: Workload | None = None) -> Workload:
    """The Workload a plan's own flags mean: what an estimate of the plan must be asked with."""
    base = engine(plan.backend).workload_from_environment(wanted or Workload(), plan)
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
    wanted: Workload,
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
    """The user's wishes with everything that was decided filled in."""
    return replace(
        wanted,
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
