"""A plan for this machine: its hardware, what its engines can use, what is promised already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import State
from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.measurement import Measurement
from modelscan.core.plan import Decision, Held, Plan, Subject
from modelscan.core.workload import Workload
from modelscan.deploy.request import Request
from modelscan.engines.installed import locate, missing
from modelscan.engines.processes import memory_bytes
from modelscan.engines.registry import DEFAULT, ENGINES, PROGRAM_SETTINGS, engine
from modelscan.state.config import Config
from modelscan.state.store import Store

_NOT_YET_SEEN = (State.PENDING, State.DOWNLOADING, State.STARTING)


def plan_here(name: str, subject: Subject, request: Request, config: Config, store: Store) -> Plan:
    """The best plan that this machine's engines can start; raises NotDeployableError without one.

    The caller holds the ``placement`` lock.
    """
    hardware, warning = _hardware(request, config)
    held = held_bytes(store, name)
    history = store.measurements()
    decision = _decide(subject, hardware, request.workload, held, history)
    wanted = _for_installed(decision.plan, request, hardware, config)
    if wanted is not None:
        decision = _decide(subject, hardware, wanted, held, history)
    if decision.plan is None:
        raise no_fit(decision)
    return _with_warning(decision.plan, warning)


def _for_installed(
    plan: Plan | None, request: Request, hardware: Inventory, config: Config
) -> Workload | None:
    """What to ask the planner anew: another engine where the chosen one is not here, or the
    version that is. None when the plan stands. Raises ModelscanError when the engine that was
    asked for is missing: before weights are fetched for it."""
    wanted = request.workload
    if plan is None or plan.backend == DEFAULT or hardware.simulated:
        return None
    if plan.backend not in ENGINES:
        return None if wanted.backend else replace(wanted, backend=DEFAULT)
    found = locate(plan.backend, program_of(plan.backend, config))
    if found is None:
        if wanted.backend is None:
            return replace(wanted, backend=DEFAULT)
        if request.dry_run:
            return None
        raise missing(plan.backend)
    if wanted.backend_version or found.version in (None, plan.backend_version):
        return None
    return replace(wanted, backend=plan.backend, backend_version=found.version)


def program_of(backend: str, config: Config) -> str | None:
    """The engine's program: what its setting names (a path made absolute), or one that was found.

    None: the embedded engine, or a search by ``engines.installed``.
    """
    setting = PROGRAM_SETTINGS.get(backend)
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


def _hardware(request: Request, config: Config) -> tuple[Inventory, str | None]:
    """What there is, less the GPUs that the installed engine was not built for."""
    from modelscan.gpu.inventory import inventory

    hardware = inventory(request.gpu)
    if hardware.simulated:
        if not request.dry_run:
            raise UsageError(
                f"--gpu '{request.gpu}' is simulated hardware: nothing can be started on it",
                hint=f"modelscan deploy {request.model} --gpu '{request.gpu}' --dry-run",
                code="simulated",
            )
        return hardware, None
    chosen_by_user = request.gpu is not None or request.workload.backend not in (None, DEFAULT)
    if not hardware.gpus or chosen_by_user or _engine_uses_gpus(config):
        return hardware, None
    warning = (
        f"the installed {DEFAULT} was built for the CPU only, so the "
        f"{hardware.gpus[0].name} is not used; set llama_server to a build that can"
    )
    return replace(hardware, gpus=(), links=()), warning


def _gpu_program() -> str | None:
    """A llama-server on the PATH that can use the GPU where the embedded engine cannot."""
    import shutil

    from modelscan.engines.llamacpp.binary import PROGRAM, with_gpus

    if shutil.which(PROGRAM) is None or engine(DEFAULT).uses_gpus():
        return None
    return with_gpus()


def _engine_uses_gpus(config: Config) -> bool:
    return program_of(DEFAULT, config) is not None or engine(DEFAULT).uses_gpus()


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
        held += [Held(device["index"], device["total_bytes"]) for device in devices]
        seen = (memory_bytes(other.pid)[1] or 0) if other.pid else 0
        host = _host_bytes(estimate) - seen
        if host > 0:
            held.append(Held(None, host))
    return tuple(held)


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
