"""A plan for this machine: its hardware, what its engines can use, what is promised already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import State
from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.measurement import Measurement
from modelscan.core.plan import Decision, Held, Plan, Subject
from modelscan.core.workload import Workload
from modelscan.engines.registry import engine
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.supervisor.installed import locate, missing
from modelscan.supervisor.launch.registry import DEFAULT, LAUNCHERS, launcher
from modelscan.supervisor.processes import memory_bytes
from modelscan.targets.request import Request

_NOT_YET_SEEN = (State.PENDING, State.DOWNLOADING, State.STARTING)


def plan_here(name: str, subject: Subject, request: Request, config: Config, store: Store) -> Plan:
    """The best plan that this machine's engines can start; raises NotDeployableError without one.

    The caller holds the ``placement`` lock.
    """
    everything = _inventory(request)
    hardware, warning = _usable(everything, request, config)
    held = held_bytes(store, name)
    history = store.measurements()
    if warning is not None:  # llama.cpp cannot use the GPU: perhaps another engine here can
        for wanted in _other_engines(DEFAULT, request.workload, config):
            decision = _decide(subject, everything, wanted, held, history)
            if decision.plan is not None:
                return decision.plan
    decision = _decide(subject, hardware, request.workload, held, history)
    best = decision.plan
    for wanted in _for_installed(best, request, hardware, config):
        decision = _decide(subject, hardware, wanted, held, history)
        if decision.plan is not None:
            break
    if decision.plan is None and best is not None and best.backend != DEFAULT:
        raise missing(best.backend)  # it alone can run this model here
    if decision.plan is None:
        raise no_fit(decision)
    return _with_warning(decision.plan, warning)


def _for_installed(
    plan: Plan | None, request: Request, hardware: Inventory, config: Config
) -> list[Workload]:
    """What to ask the planner anew, in order: other engines where the chosen one is not here, or
    the version that is. Nothing when the plan stands. Raises ModelscanError when the engine that
    was asked for is missing: before weights are fetched for it."""
    wanted = request.workload
    if plan is None or not engine(plan.backend).package or hardware.simulated:
        own_server = plan is not None and engine(plan.backend).own_server
        unasked = own_server and wanted.backend is None
        return [replace(wanted, backend=DEFAULT)] if unasked else []
    found = locate(plan.backend, program_of(plan.backend, config))
    if found is not None:
        if wanted.backend_version or found.version in (None, plan.backend_version):
            return []
        return [replace(wanted, backend=plan.backend, backend_version=found.version)]
    if wanted.backend is None:
        return [*_other_engines(plan.backend, wanted, config), replace(wanted, backend=DEFAULT)]
    if request.dry_run:
        return []
    raise missing(plan.backend)


def _other_engines(absent: str, wanted: Workload, config: Config) -> Iterator[Workload]:
    """The request on each engine that is installed here; none where one was asked for."""
    for name in LAUNCHERS:
        if wanted.backend is None and name not in (absent, DEFAULT):
            found = locate(name, program_of(name, config))
            if found is not None and not found.cpu_only:
                yield replace(wanted, backend=name, backend_version=found.version)


def program_of(backend: str, config: Config) -> str | None:
    """The engine's program: what its setting names (a path made absolute), or one that was found.

    None: the embedded engine, or a search by ``engines.installed``.
    """
    setting = engine(backend).program_setting
    path = config.path(setting) if setting else None
    if path is None:
        return _gpu_program() if backend == DEFAULT else None
    return str(path) if len(path.parts) == 1 and not path.exists() else str(path.absolute())


def _decide(
    subject: Subject,
    hardware: Inventory,
    workload: Workload,
    held: tuple[Held, ...],
    history: tuple[Measurement, ...],
) -> Decision:
    from modelscan.planner.decide import decide

    return decide(subject, hardware, workload, held=held, history=history, explain=False)


def _inventory(request: Request) -> Inventory:
    """What there is; raises UsageError where nothing could be started on it."""
    from modelscan.gpu.inventory import inventory

    hardware = inventory(request.gpu)
    if hardware.simulated and not request.dry_run:
        raise UsageError(
            f"--gpu '{request.gpu}' is simulated hardware: nothing can be started on it",
            hint=f"modelscan deploy {request.model} --gpu '{request.gpu}' --dry-run",
            code="simulated",
        )
    return hardware


def _usable(hardware: Inventory, request: Request, config: Config) -> tuple[Inventory, str | None]:
    """What there is, less the GPUs that the installed llama.cpp was not built for."""
    chosen_by_user = request.gpu is not None or request.workload.backend not in (None, DEFAULT)
    asked = hardware.simulated or not hardware.gpus or chosen_by_user
    if asked or _engine_uses_gpus(config):
        return hardware, None
    warning = (
        f"the installed {DEFAULT} was built for the CPU only, so the "
        f"{hardware.gpus[0].name} is not used; set llama_server to a build that can"
    )
    return replace(hardware, gpus=(), links=()), warning


def _gpu_program() -> str | None:
    """A llama-server on the PATH that can use the GPU where the embedded engine cannot."""
    import shutil

    from modelscan.supervisor.launch.llama_server import PROGRAM, with_gpus

    if shutil.which(PROGRAM) is None or launcher(DEFAULT).uses_gpus():
        return None
    return with_gpus()


def _engine_uses_gpus(config: Config) -> bool:
    return program_of(DEFAULT, config) is not None or launcher(DEFAULT).uses_gpus()


def _with_warning(plan: Plan, warning: str | None) -> Plan:
    if warning is None:
        return plan
    estimate = replace(plan.estimate, warnings=(*plan.estimate.warnings, warning))
    return replace(plan, estimate=estimate)


def held_bytes(store: Store, name: str) -> tuple[Held, ...]:
    """What other deployments were promised and the probe of free memory does not see.

    Of one that starts: everything. Of one that runs: on GPUs nothing, in host memory what it has
    not touched yet and its mapped weights, which the kernel calls available.
    """
    held: list[Held] = []
    for other in store.all():
        if other.name == name or other.target != "local" or other.plan is None:
            continue
        starting = other.state in _NOT_YET_SEEN
        if not starting and other.state is not State.RUNNING:
            continue
        estimate = other.plan["estimate"]
        devices = estimate["per_gpu"] if starting else []
        held += [Held(device["index"], _reserved_bytes(device)) for device in devices]
        seen = (memory_bytes(other.pid)[1] or 0) if other.pid else 0
        host = _host_bytes(estimate) - seen
        if host > 0:
            held.append(Held(None, host))
    return tuple(held)


def _reserved_bytes(device: Mapping[str, Any]) -> int:
    """What an engine will take of a device: vLLM and SGLang set their whole pool aside, not only
    the cache that was asked for."""
    total, pool = int(device["total_bytes"]), device.get("kv_pool_bytes")
    if pool is None:
        return total
    parts: Mapping[str, int] = device["parts"]
    cache = parts["kv_cache_bytes"] + parts["recurrent_state_bytes"]
    return max(total, total - cache + int(pool))


def _host_bytes(estimate: Mapping[str, Any]) -> int:
    if estimate["host"]:
        return int(estimate["host"]["total_bytes"])
    return 0 if estimate["per_gpu"] else int(estimate["total_bytes"])


def no_fit(decision: Decision) -> NotDeployableError:
    """``does_not_fit`` as the error of ``deploy``: exit 3, with the planner's numbers."""
    answer = decision.no_fit
    assert answer is not None
    return NotDeployableError(
        f"{answer.model} does not fit here: {'; '.join(answer.reasons)}",
        hint=f"modelscan plan {answer.model}",
        code="does_not_fit",
        details=to_json(answer),
    )
