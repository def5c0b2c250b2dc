"""The next plan after a start that failed for a known reason.

A change that the engine's log names has precedence. Where the log only reports that memory ran out,
or that the engine does not support the model or its format, the planner tries smaller weights,
another format, another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.deployment_name import check_name, derive_name
from modelscan.core.errors import ModelscanError
from modelscan.core.remedy import Remedy
from modelscan.deploy.command_text import command
from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.supervisor.launch.registry import LAUNCHERS
from modelscan.targets.base import StartFailed
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.plan import Plan, ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.deploy.deployments import Deployments
    from modelscan.deploy.lifecycle import Outcome
    from modelscan.state.config import Config
    from modelscan.targets.events import Events

ATTEMPTS = 2  # changed requests after the first; each is a complete start
_SMALLER = 0.9  # of the memory that did not fit; a smaller difference would fail again
_LEAST_CONTEXT = 2048
# What another engine may not suffer from.
_OTHER_ENGINE = ("quantization", "architecture", "build", "kernel")
Note = Callable[[str], None]


def deploy_retrying(
    service: Deployments, request: Request, events: Events, note: Note, *, retry: bool
) -> Outcome:
    """Deploy; after a failure with a known remedy, apply it (``retry``) or make it the hint.

    ``note`` receives a sentence per retry. Raises the last StartFailed.
    """
    first = request
    for attempt in range(ATTEMPTS + 1):
        try:
            return service.deploy(request, events)
        except StartFailed as error:
            following = next_request(request, error, service.config, first)
            if following is None:
                raise
            if not retry or attempt == ATTEMPTS:
                error.hint = command(request, following[1])
                raise
            note(f"{error.message}; trying again with {' '.join(following[1].options())}")
            request = following[0]
    raise AssertionError("unreachable")


def next_request(
    request: Request,
    error: StartFailed,
    config: Config | None = None,
    first: Request | None = None,
) -> tuple[Request, Remedy] | None:
    """The request to try next and its difference; None where no remedy is known.

    A remedy that the request contains already is skipped. Without ``config`` only the remedy of
    the engine's log counts. ``first`` is the user's request where ``request`` is a retry.
    """
    if error.remedy is not None and (changed := _changed(request, error.remedy)) is not None:
        return changed, error.remedy
    if config is None or error.tried is None or request.target != "local":
        return None
    quantization = (first or request).workload.quantization
    wishes = replace(request, workload=replace(request.workload, quantization=quantization))
    return _replanned(wishes, error.kind, error.tried, config)


def _changed(request: Request, remedy: Remedy) -> Request | None:
    """The request with the remedy; None where that changes nothing or enlarges the context."""
    previous, workload = request.workload, remedy.applied(request.workload)
    if workload == previous or set(remedy.parameters) & set(previous.parameters):
        return None
    old, new = previous.context_tokens, workload.context_tokens
    if old is not None and new is not None and new > old:
        return None
    return replace(request, workload=workload, replace=True)


def _replanned(
    request: Request, kind: str | None, failed: Plan, config: Config
) -> tuple[Request, Remedy] | None:
    """The first remedy with which this machine has a plan."""
    from modelscan.models.resolve import load_deployable
    from modelscan.state.store import Store
    from modelscan.targets.local.plan import plan_here

    try:
        subject = load_deployable(request.model, config, request.workload)
    except ModelscanError:
        return None
    name = check_name(request.name or derive_name(subject.id))
    for remedy in _changes(kind, request.workload, failed, subject):
        changed = replace(request, workload=remedy.applied(request.workload), replace=True)
        try:
            with Store.look(config.paths.store_file) as store:
                plan = plan_here(name, subject, changed, config, store)
        except ModelscanError:
            continue
        needed = failed.estimate.total_bytes
        if kind != "memory" or plan.estimate.total_bytes < _SMALLER * needed:
            return changed, remedy
    return None


def _changes(
    kind: str | None, workload: Workload, failed: Plan, subject: ResolvedModel
) -> Iterator[Remedy]:
    """Remedies, best first; options that the user set are kept."""
    if kind == "memory":
        yield from _formats(workload, failed, subject, smaller=True)
        half = failed.context_tokens // 2
        if half >= _LEAST_CONTEXT:
            yield Remedy(context_tokens=half)
    elif kind == "quantization":
        yield from _formats(workload, failed, subject, smaller=False)
    if kind in _OTHER_ENGINE and not (workload.backend or workload.parameters):
        for name in LAUNCHERS:
            if name != failed.backend:
                yield Remedy(backend=name)


def _formats(
    workload: Workload, failed: Plan, subject: ResolvedModel, *, smaller: bool
) -> Iterator[Remedy]:
    """The model's other formats, most bits first; with ``smaller`` only those of fewer bits."""
    if workload.quantization is not None:
        return
    failed_format = failed.quantization
    limit = bits_per_weight(failed_format) or 16.0
    names = dict.fromkeys(c.variant.quantization for c in subject.candidates)
    sized = [(bits_per_weight(name) or 0.0, name) for name in names if name]
    for bits, name in sorted(sized, reverse=True):
        if canonical(name) != canonical(failed_format) and (bits < limit or not smaller):
            yield Remedy(quantization=name)
