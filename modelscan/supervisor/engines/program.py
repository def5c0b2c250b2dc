"""The program that an engine starts with: its setting, the selected engine, else what is found."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.engines.registry import engine
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.selected import selected
from modelscan.supervisor.launch.llama_server import PROGRAM, with_gpus
from modelscan.supervisor.launch.registry import DEFAULT, launcher

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.supervisor.engines.folders import InstalledFolder

BUNDLED = f"{DEFAULT}@bundled"


def program_of(backend: str, config: Config) -> str | None:
    """The engine's program: from its setting (a path made absolute), the selected engine, or the
    PATH.

    None: the embedded engine, or a search by ``supervisor.installed``.
    """
    setting = engine(backend).program_setting
    path = config.value(setting) if setting else None
    if isinstance(path, Path):
        return str(path) if len(path.parts) == 1 and not path.exists() else str(path.absolute())
    one = selected(config).get(backend)
    if one == BUNDLED:
        return None
    program = None if one is None else program_of_id(one, backend, config)
    if program is not None:
        return program
    return found_program() if backend == DEFAULT else None


def program_of_id(one: str, backend: str, config: Config) -> str | None:
    """The program behind an id of ``engine list``; None where it is gone or is no program."""
    folder = folder_of_id(one, backend, config)
    if folder is not None:
        return str(folder.program)
    path = one.removeprefix(f"{backend}@")
    return path if path.startswith("/") and shutil.which(path) else None


def folder_of_id(one: str, backend: str, config: Config) -> InstalledFolder | None:
    """The installation with that id; None where there is none."""
    here = folders.installed(config, backend)
    return next((item for item in here if item.record.id == one), None)


def installation_of(program: str, backend: str, config: Config) -> InstalledFolder | None:
    """The installation that a program belongs to; None where modelscan did not install it."""
    here = folders.installed(config, backend)
    return next((item for item in here if str(item.program) == program), None)


def found_program() -> str | None:
    """A llama-server on the PATH, if the embedded engine is missing or cannot use the GPU."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    if embedded_version() is None:
        return program
    return None if launcher(DEFAULT).uses_gpus() else with_gpus()


def embedded_version() -> str | None:
    """The version of the embedded llama.cpp; None if it is not installed."""
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None
