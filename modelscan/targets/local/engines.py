"""The engines of this machine: which are installed, in which version, for which devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.machine import EngineHere, EngineSource, MissingEngine
from modelscan.engines.registry import engines
from modelscan.supervisor.engines.missing import install_command, missing_engine
from modelscan.supervisor.engines.program import (
    embedded_version,
    installation_of,
    program_of,
)
from modelscan.supervisor.installed import locate, missing
from modelscan.supervisor.launch.registry import DEFAULT, launcher

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Backend
    from modelscan.state.config import Config

_PYTHON_ENGINES = tuple(one.name for one in engines() if one.package)

Engines = tuple[tuple[EngineHere, ...], tuple[MissingEngine, ...]]


def engines_here(inventory: Inventory, config: Config, requested: str | None = None) -> Engines:
    """The engines installed here and those that are missing, for this hardware.

    vLLM and SGLang, which are searched in several Pythons, only if a device could run them or if
    ``requested`` names them.
    """
    installed, lacking = _llamacpp(inventory, config)
    for name in _PYTHON_ENGINES:
        if requested != name and not any(name in gpu.backends for gpu in inventory.gpus):
            continue
        try:
            installed = (*installed, _python_engine(name, inventory, config))
        except UsageError as error:  # a setting that names another program
            gap = MissingEngine(name, error.message, error.hint or "modelscan doctor")
            lacking = (*lacking, gap)
        except ModelscanError as error:
            lacking = (*lacking, missing_engine(name, error.message, inventory))
    return installed, lacking


@dataclass(frozen=True, slots=True)
class ConfiguredEngine:
    """The engine behind a setting. ``devices`` None: it does not list them."""

    engine: str
    path: str
    version: str | None
    devices: tuple[str, ...] | None


def configured_engine(key: str, value: str) -> ConfiguredEngine | None:
    """What the setting ``key`` would start; None for a setting that names no engine.

    Raises UsageError where that program is not this engine, or does not run here.
    """
    backend = next((one.name for one in engines() if one.program_setting == key), None)
    if backend is None:
        return None
    if backend == DEFAULT:
        from modelscan.supervisor.launch.llama_server import inspect_program

        program = inspect_program(Path(value))
        return ConfiguredEngine(backend, program.path, program.version, program.devices)
    installed = locate(backend, value)
    assert installed is not None  # a setting that names no engine raises
    return ConfiguredEngine(backend, installed.python, installed.version, None)


def _llamacpp(inventory: Inventory, config: Config) -> Engines:
    program, version = program_of(DEFAULT, config), embedded_version()
    if program is not None:
        return _llama_server(program, inventory, config)
    if version is None:
        reason = "llama.cpp is not installed: neither xllamacpp nor a llama-server on the PATH"
        return (), (missing_engine(DEFAULT, reason, inventory),)
    if not inventory.gpus or launcher(DEFAULT).uses_gpus():
        return (EngineHere(DEFAULT, version, "bundled"),), ()
    return _cpu_build(EngineHere(DEFAULT, version, "bundled", gpus=()), inventory)


def _llama_server(program: str, inventory: Inventory, config: Config) -> Engines:
    """A program; of one that modelscan installed, version and devices are recorded."""
    installation = installation_of(program, DEFAULT, config)
    if installation is None:
        return (EngineHere(DEFAULT, source="found", path=program),), ()
    record = installation.record
    here = EngineHere(DEFAULT, record.version, "installed", path=program)
    if record.devices or not inventory.gpus:
        return (here,), ()
    return _cpu_build(replace(here, gpus=()), inventory)


def _cpu_build(here: EngineHere, inventory: Inventory) -> Engines:
    """An engine that cannot use the machine's GPU, and the one that can as missing."""
    reason = f"the installed {DEFAULT} was built for the CPU only"
    note = f"{reason}, so the {inventory.gpus[0].name} is not used; {install_command(DEFAULT)} "
    note += "installs a build that can"
    lacking = missing_engine(DEFAULT, reason, inventory, code="cpu_only_build")
    return (replace(here, note=note),), (lacking,)


def _python_engine(name: Backend, inventory: Inventory, config: Config) -> EngineHere:
    """Raises ModelscanError if it is not installed, UsageError if its setting is wrong."""
    installed = locate(name, program_of(name, config))
    if installed is None:
        raise missing(name)
    source: EngineSource = "installed"
    if not installed.cpu_only:
        return EngineHere(name, installed.version, source, path=installed.python)
    note = f"the installed {name} ({installed.version}) was built for the CPU only"
    return EngineHere(name, installed.version, source, gpus=(), path=installed.python, note=note)
