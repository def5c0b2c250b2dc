"""The plan of a deployment on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.machine import ENGINE_MISSING, EngineHere
from modelscan.models.decide import planned
from modelscan.targets.local.machine import Containers, this_machine

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.core.plan import Plan, ResolvedModel
    from modelscan.state.config import Config
    from modelscan.state.store import Store
    from modelscan.targets.request import Request


def plan_here(
    name: str, model: ResolvedModel, request: Request, config: Config, store: Store
) -> Plan:
    """The best plan that this machine's engines can start. Raises NotDeployableError without one.

    The caller holds the ``placement`` lock.
    """
    wishes = request.workload
    containers = None
    if request.runtime is not None:
        containers = Containers(request.runtime, wishes, request.image, request.dry_run)
    machine = this_machine(
        config, store, request.gpu, name, backend=wishes.backend, containers=containers
    )
    _check_real(machine, request)
    if request.dry_run:
        machine = _as_if_installed(machine, wishes.backend)
    return planned(machine, model, wishes)


def _as_if_installed(machine: Machine, backend: str | None) -> Machine:
    """The machine with an engine that the user named, for a preview of what would start."""
    named = [g for g in machine.missing if g.name == backend and g.code == ENGINE_MISSING]
    assumed = tuple(EngineHere(gap.name, gap.version, "simulated") for gap in named)
    others = tuple(gap for gap in machine.missing if gap not in named)
    return replace(machine, engines=(*machine.engines, *assumed), missing=others)


def _check_real(machine: Machine, request: Request) -> None:
    """Raises UsageError for simulated hardware without ``--dry-run``."""
    if machine.simulated and not request.dry_run:
        raise UsageError(
            f"--gpu '{request.gpu}' is simulated hardware: nothing can be started on it",
            hint=f"modelscan deploy {request.model} --gpu '{request.gpu}' --dry-run",
            code="simulated",
        )
