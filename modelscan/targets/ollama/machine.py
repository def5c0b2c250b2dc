"""An Ollama server as the planner's machine: this machine's hardware, one engine."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.plan import Candidate, Plan, ResolvedModel
from modelscan.engines.ollama import NAME
from modelscan.engines.ollama.hub_name import HUBS, hub_name
from modelscan.formats.files import is_projector
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.local.machine import this_machine
from modelscan.targets.ollama.client import OllamaClient

_LOOK_S = 2.0


def ollama_machine(
    config: Config, store: Store | None, gpu: str | None = None, name: str | None = None
) -> Machine:
    """This machine's hardware (or the simulated one of ``gpu``) with the server as its only engine.

    A server that does not answer is assumed to have the newest known version.
    """
    machine = this_machine(config, store, gpu, name)
    engine = EngineHere(NAME, None if machine.simulated else _version(config), "server")
    return replace(machine, engines=(engine,), missing=(), where=f"Ollama on {machine.where}")


def fetchable(model: ResolvedModel, quantization: str | None = None) -> ResolvedModel:
    """The variants that the server can obtain: whole files of a hub, or files of this machine.

    The hubs give Ollama no quantization that is split over several files. Raises
    NotDeployableError where the requested one is, or every one.
    """
    candidates = tuple(c for c in model.candidates if c.variant.source in HUBS or c.variant.files)
    whole = tuple(c for c in candidates if not _is_split(c))
    split = [c.variant.quantization or "?" for c in candidates if _is_split(c)]
    wanted = [c for c in whole if quantization is None or c.variant.quantization == quantization]
    if split and (not whole or (quantization in split and not wanted)):
        others = ", ".join(c.variant.quantization or "?" for c in whole) or "none"
        raise NotDeployableError(
            f"Ollama cannot fetch {quantization or ', '.join(split)} of {model.id}: it is split "
            f"over several files (in one file: {others})",
            hint=f"modelscan deploy {model.id} --backend llama.cpp",
            code="split_files", details={"split": split},
        )  # fmt: skip
    if len(whole) == len(model.candidates):
        return model
    return replace(model, candidates=whole, other_formats=("config.json",))


def _is_split(candidate: Candidate) -> bool:
    variant = candidate.variant
    names = [f.path for f in variant.files if not is_projector(f.path)]
    return variant.source in HUBS and variant.format == "gguf" and len(names) > 1


def base_name(plan: Plan, model: ResolvedModel) -> str | None:
    """The model that the server pulls: a hub's repository with a tag; None for a local file."""
    return hub_name(plan, several_files=len(_files_of(plan.repo, model)) > 1)


def _files_of(repo: str, model: ResolvedModel) -> set[str]:
    return {
        file.path for c in model.candidates if c.variant.repo == repo for file in c.variant.files
        if not is_projector(file.path)
    }  # fmt: skip


def _version(config: Config) -> str | None:
    try:
        return OllamaClient(config.ollama_endpoint, _LOOK_S, offline=config.offline).version()
    except ModelscanError:
        return None
