"""An Ollama server as the planner's machine: this machine's hardware, one engine."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.errors import ModelscanError
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.plan import ResolvedModel
from modelscan.engines.ollama import NAME
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.local.machine import this_machine
from modelscan.targets.ollama.client import OllamaClient

_LOOK_S = 2.0
HUBS = {"huggingface": "hf.co", "modelscope": "modelscope.cn"}


def ollama_machine(
    config: Config, store: Store | None, gpu: str | None = None, name: str | None = None
) -> Machine:
    """This machine's hardware (or the simulated one of ``gpu``) with the server as its only engine.

    A server that does not answer is assumed to have the newest known version.
    """
    machine = this_machine(config, store, gpu, name)
    engine = EngineHere(NAME, None if machine.simulated else _version(config), "server")
    return replace(machine, engines=(engine,), missing=(), where=f"Ollama on {machine.where}")


def fetchable(model: ResolvedModel) -> ResolvedModel:
    """The variants that the server can obtain: from a hub, or as files of this machine."""
    candidates = tuple(c for c in model.candidates if c.variant.source in HUBS or c.variant.files)
    if len(candidates) == len(model.candidates):
        return model
    return replace(model, candidates=candidates, other_formats=("config.json",))


def _version(config: Config) -> str | None:
    try:
        return OllamaClient(config.ollama_endpoint, _LOOK_S, offline=config.offline).version()
    except ModelscanError:
        return None
