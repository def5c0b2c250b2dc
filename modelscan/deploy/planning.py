"""``plan``, ``estimate`` and ``pull`` of a model at a target, for the command line and the Python
interface."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.deployment_name import derive_name
from modelscan.core.errors import NotDeployableError
from modelscan.core.plan import Decision, Plan, RequiredHardware, ResolvedModel, Sizes
from modelscan.core.reference import parse_reference
from modelscan.core.workload import Workload
from modelscan.deploy.machine import (
    decide_at,
    machine_at,
    machine_here,
    missing_download,
    model_at,
    place_of,
)
from modelscan.engines import llamacpp, ollama
from modelscan.engines.registry import engine
from modelscan.models.decide import decide_here, estimate_here, gpus_needed, planned, refused
from modelscan.models.plan_answer import (
    ContextCurves,
    PlannedMachine,
    curves_of,
    planned_machine,
    sizes_of,
)
from modelscan.models.resolve import load_deployable, load_subject

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.core.machine import Machine
    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress
    from modelscan.state.config import Config

LOCAL = "local"


class Question(NamedTuple):
    """The model, workload and hardware of a command. ``gpu`` None: the real hardware; ``target``
    None: the target that ``deploy`` would select."""

    model: str
    wishes: Workload
    gpu: str | None = None
    target: str | None = None


class PlannedModel(NamedTuple):
    """A decision, the command that deploys its plan, the command that lists smaller models, and
    warnings. ``engine``: for simulated hardware, the command that installs its engine there, and
    what that takes."""

    decision: Decision
    command: str
    smaller: str | None
    warnings: tuple[str, ...]
    engine: tuple[str, str | None] | None = None


def plan_model(question: Question, config: Config, *, everything: bool = False) -> PlannedModel:
    """The plan that ``deploy`` would run, or a refusal; ``everything``: every option that fits.

    Raises UsageError for an unknown model, RemoteError where a server does not answer.
    """
    model, wishes, gpu = _resolved(question, config)
    place = place_of(question.target, wishes.backend, gpu, config)
    name = derive_name(model.id)
    with machine_at(place, config, gpu, name, backend=wishes.backend) as machine:
        decision = decide_at(place, machine, model, wishes, explain=True, everything=everything)
        if decision.refusal is not None:
            from modelscan.models.smaller_alternatives import with_smaller_alternatives

            decision = with_smaller_alternatives(decision, model, machine, wishes, config)
        command = deploy_command(question, simulated=machine.simulated)
        if place == LOCAL and decision.plan is not None:
            decision = _with_download(decision, decision.plan, question, machine, config)
        assumed = _assumed_engine(decision.plan, machine)
    warnings = _warnings(model, machine)
    return PlannedModel(decision, command, _smaller(model, gpu), warnings, assumed)


def plan_machines(
    question: Question, gpus: Sequence[str], config: Config
) -> tuple[PlannedMachine, ...]:
    """The plan of a model on each simulated machine of ``gpus``, in their order.

    Raises UsageError for an unknown model or GPU.
    """
    return tuple(
        planned_machine(spec, plan_model(question._replace(gpu=spec), config).decision)
        for spec in gpus
    )


def context_curves(question: Question, config: Config) -> ContextCurves:
    """Context against memory of the plan, for each type of KV cache.

    Raises UsageError for an unknown model, NotDeployableError where nothing fits.
    """
    model, wishes, gpu = _resolved(question, config)
    place = place_of(None, wishes.backend, gpu, config)
    place = place if place == ollama.NAME else LOCAL
    with machine_at(place, config, gpu, derive_name(model.id), backend=wishes.backend) as machine:
        decision = decide_here(machine, model_at(place, model), wishes, with_curves=True)
        if decision.plan is None:
            raise refused(decision, machine)
    return curves_of(decision.plan, decision)


class SizedModel(NamedTuple):
    """The decision with every file and its curves, the machine it is about, and warnings."""

    decision: Decision
    sizes: Sizes
    machine: Machine
    warnings: tuple[str, ...]


def size_model(question: Question, config: Config) -> SizedModel:
    """Every file of a model with its memory, quality and speed on the plan's devices, and the
    plan's memory against context: one decision for all of it. A refusal has files, too.

    Raises UsageError for an unknown model.
    """
    model, wishes, gpu = _resolved(question, config)
    place = place_of(None, wishes.backend, gpu, config)
    place = place if place == ollama.NAME else LOCAL
    with machine_at(place, config, gpu, derive_name(model.id), backend=wishes.backend) as machine:
        decision = decide_here(
            machine, model_at(place, model), wishes, explain=True, with_curves=True,
            with_files=True,
        )  # fmt: skip
    if decision.refusal is not None:
        from modelscan.models.smaller_alternatives import with_smaller_alternatives

        decision = with_smaller_alternatives(decision, model, machine, wishes, config)
    answer = sizes_of(decision, model, machine.where)
    return SizedModel(decision, answer, machine, _warnings(model, machine))


def needed_gpus(question: Question, config: Config) -> tuple[str, tuple[RequiredHardware, ...]]:
    """The model's id, and the smallest hardware for each of its quantizations.

    Raises UsageError for an unknown model.
    """
    model, wishes, gpu = _resolved(question, config)
    place = place_of(question.target, wishes.backend, gpu, config)
    with machine_at(place, config, gpu, backend=wishes.backend) as machine:
        return model.id, gpus_needed(machine, model, wishes)


def estimate_model(
    question: Question, config: Config, *, exact: bool = False
) -> tuple[Estimate, tuple[str, ...]]:
    """The memory of the plan for this machine and these wishes, and warnings.

    ``exact``: llama.cpp's own dry run. Raises UsageError for an unknown model,
    NotDeployableError for closed weights.
    """
    model, wishes, gpu = _resolved(question, config)
    place = place_of(None, wishes.backend, gpu, config)
    place = place if place == ollama.NAME else LOCAL
    with machine_at(place, config, gpu, derive_name(model.id), backend=wishes.backend) as machine:
        if exact:
            from modelscan.supervisor.dry_run.estimate import exact_estimate

            estimate = exact_estimate(model, wishes, machine, config)
        else:
            deployable = model_at(place, model)
            estimate, _ = estimate_here(machine, model, wishes, deployable=deployable)
    warnings = [*_warnings(model, machine), *estimate.warnings]
    if estimate.backend == llamacpp.NAME and wishes.parameters:
        from modelscan.engines.llamacpp.option_words import unfamiliar

        warnings += unfamiliar([name for name, _ in wishes.parameters])
    return estimate, tuple(warnings)


def pull_model(question: Question, config: Config, progress: Callable[[Progress], None]) -> Pulled:
    """Download the weights that ``plan`` chooses on this machine: resumed, pinned, verified.

    Offline, weights that were pulled already are returned. Raises NotDeployableError where
    nothing fits or the weights are on this machine already, RemoteError where the hub fails.
    """
    from modelscan.hub.downloads.pull import is_remote, pull, pulled_before

    reference = parse_reference(question.model)
    offline = config.offline_because(reference.kind.value)
    cached = pulled_before(reference, config) if offline else None
    if cached is not None:
        return cached
    wishes = question.wishes
    model = load_deployable(question.model, config, wishes, cached=False)
    name = derive_name(model.id)
    machine = machine_here(config, question.gpu, name, backend=wishes.backend)
    plan = planned(machine, model, wishes)
    if not is_remote(plan):
        raise NotDeployableError(
            f"{plan.repo} is on this machine already", hint=f"modelscan deploy {question.model}"
        )
    return pull(plan, config, progress)


def deploy_command(question: Question, *, simulated: bool = False) -> str:
    """The ``deploy`` command with the same options; ``simulated`` adds ``--dry-run``."""
    from modelscan.deploy.command_text import command_of

    line = command_of(question.model, question.wishes, gpu=question.gpu, target=question.target)
    return f"{line} --dry-run" if simulated else line


def _resolved(question: Question, config: Config) -> tuple[ResolvedModel, Workload, str | None]:
    model = load_subject(question.model, config, question.wishes)
    return model, question.wishes, question.gpu


def _with_download(
    decision: Decision, plan: Plan, question: Question, machine: Machine, config: Config
) -> Decision:
    """The decision with the weights that this machine lacks among ``missing``."""
    fetch = deploy_command(question).replace("modelscan deploy", "modelscan pull", 1)
    download = missing_download(plan, machine, config, fetch)
    return replace(decision, missing=(*decision.missing, download)) if download else decision


def _assumed_engine(plan: Plan | None, machine: Machine) -> tuple[str, str | None] | None:
    """The command that installs the plan's engine on simulated hardware, and what that takes; None
    for the real machine, a server's engine and the embedded one."""
    if plan is None or not machine.simulated or not plan.gpus or engine(plan.backend).own_server:
        return None
    from modelscan.supervisor.engines.missing import missing_engine
    from modelscan.supervisor.engines.offer import effort

    gap = missing_engine(plan.backend, "", machine.inventory)
    same = gap.version in (None, plan.backend_version)
    command = gap.command if same else f"{gap.command} --version {plan.backend_version}"
    if gap.download_bytes is None or gap.disk_bytes is None:
        return gap.command, None
    return command, effort(gap.download_bytes, gap.disk_bytes)


def _smaller(model: ResolvedModel, gpu: str | None) -> str | None:
    """The command that lists models of the same makers that fit."""
    kind = model.model and (model.model.lab or model.model.family)
    if not kind:
        return None
    simulated = f" --gpu {shlex.quote(gpu)}" if gpu else ""
    return f"modelscan catalog search {shlex.quote(kind)} --fits{simulated}"


def _warnings(model: ResolvedModel, machine: Machine) -> tuple[str, ...]:
    return (*model.warnings, *(problem.message for problem in machine.inventory.problems))
