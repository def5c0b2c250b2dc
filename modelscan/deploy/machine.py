"""The machine of a target: this one, an Ollama server or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelscan.core.plan import Decision, Missing, Plan, ResolvedModel
from modelscan.core.units import format_bytes
from modelscan.engines import ollama
from modelscan.engines.registry import engine
from modelscan.gpu.inventory import are_indices
from modelscan.models.decide import decide_here
from modelscan.targets.local.machine import this_machine
from modelscan.targets.registry import TARGETS, resolve_target

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config

__all__ = [
    "decide_at",
    "machine_at",
    "machine_here",
    "missing_download",
    "model_at",
    "place_of",
    "this_machine",
]


def place_of(target: str | None, backend: str | None, gpu: str | None, config: Config) -> str:
    """The target that ``plan`` and ``deploy`` select for these options.

    An engine that is a server of its own (Ollama) is a target. Simulated
    hardware (``gpu``) selects this machine unless ``target`` is given.
    """
    if target is None and backend and engine(backend).own_server:
        return backend
    if target is None and gpu is not None and not are_indices(gpu):
        return "local"
    return resolve_target(target, config)


def machine_here(
    config: Config, gpu: str | None = None, name: str | None = None, *, backend: str | None = None
) -> Machine:
    """This machine with its recorded deployments and measurements; writes no file."""
    if gpu is not None and not are_indices(gpu):  # simulated: nothing recorded is about it
        return this_machine(config, None, gpu, name, backend=backend)
    from modelscan.state.store import Store

    with Store.look(config.paths.store_file) as store:
        return this_machine(config, store, gpu, name, backend=backend)


@contextmanager
def machine_at(
    place: str,
    config: Config,
    gpu: str | None = None,
    name: str | None = None,
    *,
    backend: str | None = None,
) -> Iterator[Machine]:
    """The machine of a target: this one, an Ollama server or a cluster."""
    if place == "local":
        yield machine_here(config, gpu, name, backend=backend)
    elif place == ollama.NAME:
        from modelscan.state.store import Store
        from modelscan.targets.ollama.machine import ollama_machine

        with Store.look(config.paths.store_file) as store:
            yield ollama_machine(config, store, gpu, name)
    else:
        from modelscan.targets.gpustack.plan import connected_machine

        with connected_machine(place, config, gpu) as machine:
            yield machine


def missing_download(plan: Plan, machine: Machine, config: Config, command: str) -> Missing | None:
    """The weights that this machine must fetch before the plan can run; None where it has them.

    ``command`` is the command that fetches them.
    """
    if machine.simulated:
        return None
    from modelscan.targets.local.weights import expected, is_remote

    if not is_remote(plan) or expected(plan, config).model.exists():
        return None
    size = format_bytes(plan.estimate.parts.weights_bytes)
    return Missing(
        "download", plan.repo, f"the weights of {plan.repo} (about {size}) are not on this machine",
        command,
    )  # fmt: skip


def model_at(place: str, model: ResolvedModel) -> ResolvedModel:
    """The model with the weights that the target can fetch; Ollama fetches from hubs only."""
    if place != ollama.NAME:
        return model
    from modelscan.targets.ollama.machine import fetchable

    return fetchable(model)


def decide_at(
    place: str,
    machine: Machine,
    model: ResolvedModel,
    wishes: Workload,
    *,
    explain: bool = False,
    everything: bool = False,
) -> Decision:
    """The plan that ``deploy`` to the target would choose, with ``explain`` also alternatives."""
    if place in TARGETS:
        fetchable_model = model_at(place, model)
        return decide_here(machine, fetchable_model, wishes, explain=explain, everything=everything)
    from modelscan.targets.gpustack.plan import decide_on_cluster

    return decide_on_cluster(machine, model, wishes, explain=explain, everything=everything)
