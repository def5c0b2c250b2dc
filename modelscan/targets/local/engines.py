"""The engines of this machine: which are installed, in which version, for which devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.machine import EngineHere, MissingEngine
from modelscan.engines.registry import engine, engines
from modelscan.supervisor.installed import locate, missing
from modelscan.supervisor.launch.registry import DEFAULT, launcher

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Backend
    from modelscan.state.config import Config

_PYTHON_ENGINES = tuple(one.name for one in engines() if one.package)
_GPU_BUILD = "modelscan config set llama_server PATH_OF_A_LLAMA_SERVER_WITH_GPU_SUPPORT"

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
        except ModelscanError as error:
            lacking = (
                *lacking,
                MissingEngine(name, error.message, error.hint or "modelscan doctor"),
            )
    return installed, lacking


def program_of(backend: str, config: Config) -> str | None:
    """The engine's program: from its setting (a path made absolute) or from the PATH.

    None: the embedded engine, or a search by ``supervisor.installed``.
    """
    setting = engine(backend).program_setting
    path = config.value(setting) if setting else None
    if not isinstance(path, Path):
        return _found_program() if backend == DEFAULT else None
    return str(path) if len(path.parts) == 1 and not path.exists() else str(path.absolute())


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


def _found_program() -> str | None:
    """A llama-server on the PATH, if the embedded engine is missing or cannot use the GPU."""
    import shutil

    from modelscan.supervisor.launch.llama_server import PROGRAM, with_gpus

    program = shutil.which(PROGRAM)
    if program is None:
        return None
    if _embedded_version() is None:
        return program
    return None if launcher(DEFAULT).uses_gpus() else with_gpus()


def _embedded_version() -> str | None:
    """The version of the embedded llama.cpp; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None


def _llamacpp(inventory: Inventory, config: Config) -> Engines:
    program, version = program_of(DEFAULT, config), _embedded_version()
    if program is not None:
        return (EngineHere(DEFAULT, source="found", path=program),), ()
    if version is None:
        reason = "llama.cpp is not installed: neither xllamacpp nor a llama-server on the PATH"
        return (), (MissingEngine(DEFAULT, reason, "pip install xllamacpp"),)
    if not inventory.gpus or launcher(DEFAULT).uses_gpus():
        return (EngineHere(DEFAULT, version, "bundled"),), ()
    note = (
        f"the installed {DEFAULT} was built for the CPU only, so the {inventory.gpus[0].name} is "
        "not used; set llama_server to a build that can"
    )
    bundled = EngineHere(DEFAULT, version, "bundled", gpus=(), note=note)
    reason = f"the installed {DEFAULT} was built for the CPU only"
    return (bundled,), (MissingEngine(DEFAULT, reason, _GPU_BUILD, "cpu_only_build"),)


def _python_engine(name: Backend, inventory: Inventory, config: Config) -> EngineHere:
    """Raises ModelscanError if it is not installed, UsageError if its setting is wrong."""
    installed = locate(name, program_of(name, config))
    if installed is None:
        raise missing(name)
    if not installed.cpu_only:
        return EngineHere(name, installed.version, "installed", path=installed.python)
    note = f"the installed {name} ({installed.version}) was built for the CPU only"
    return EngineHere(
        name, installed.version, "installed", gpus=(), path=installed.python, note=note
    )
