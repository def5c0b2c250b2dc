"""Where engines come from on this machine. A new source is one function here.

``supervisor.engines`` imports the other folders of this room, which must not import it: they take
``core.installed_engine``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.installed_engine import InstalledEngine
from modelscan.engines.registry import engine, engines
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.program import BUNDLED, embedded_version, program_of
from modelscan.supervisor.installed import locate
from modelscan.supervisor.launch.llama_server import PROGRAM, inspect_program
from modelscan.supervisor.launch.registry import DEFAULT

if TYPE_CHECKING:
    from modelscan.core.workload import Backend
    from modelscan.state.config import Config

Listing = Callable[["Config"], Iterable[InstalledEngine]]


def bundled(config: Config) -> Iterator[InstalledEngine]:
    """The embedded engine, with the GPUs that its build can use."""
    here = embedded_version()
    if here is None:
        return
    from modelscan.supervisor.launch.llamacpp import embedded_devices

    formats = engine(DEFAULT).formats
    yield InstalledEngine(
        BUNDLED, DEFAULT, here, None, embedded_devices(), "bundled", formats,
    )  # fmt: skip


def found(config: Config) -> Iterator[InstalledEngine]:
    """Programs and environments that the settings name or that are on the PATH."""
    for one in engines():
        try:
            row = _found(one.name, config)
        except ModelscanError:  # a setting that names no engine: ``doctor`` reports it
            continue
        if row is not None:
            yield row


def _found(name: Backend, config: Config) -> InstalledEngine | None:
    one = engine(name)
    setting = config.value(one.program_setting) if one.program_setting else None
    path = str(setting) if isinstance(setting, Path) else None
    if one.package is not None:
        python = locate(name, path)
        return None if python is None else _row(name, python.python, python.version, None)
    program = path or shutil.which(name if one.own_server else PROGRAM)
    if program is None:
        return None
    if one.own_server:
        return _row(name, program, None, None)
    answered = inspect_program(Path(program))
    return _row(name, answered.path, answered.version, answered.devices)


def _row(
    name: Backend, path: str, version: str | None, devices: tuple[str, ...] | None
) -> InstalledEngine:
    formats = engine(name).formats
    return InstalledEngine(f"{name}@{path}", name, version, path, devices, "found", formats)


def installed(config: Config) -> Iterator[InstalledEngine]:
    """What ``engine install`` has installed."""
    for item in folders.installed(config):
        record = item.record
        yield InstalledEngine(
            record.id, record.engine, record.version, str(item.program), record.devices,
            "installed", engine(record.engine).formats, record.size_bytes,
        )  # fmt: skip


SOURCES: tuple[Listing, ...] = (bundled, found, installed)


def engines_of(config: Config) -> tuple[InstalledEngine, ...]:
    """Every engine of this machine, by source; ``selected`` is set."""
    rows = [row for source in SOURCES for row in source(config)]
    ours = {row.path for row in rows if row.source == "installed"}
    rows = [row for row in rows if row.source != "found" or row.path not in ours]
    used = {row.name: _used(row.name, rows, config) for row in rows}
    return tuple(replace(row, selected=row.id == used[row.name]) for row in rows)


def _used(name: Backend, rows: Iterable[InstalledEngine], config: Config) -> str | None:
    """The id that a deployment of this engine would start with."""
    program = program_of(name, config)
    path = str(Path(program).expanduser()) if program else None
    same = [row for row in rows if row.name == name and row.source != "container"]
    if path is not None:
        path = shutil.which(path) or path
        return next((row.id for row in same if row.path == path or row.path == program), None)
    bundled_or_found = [row for row in same if row.source in ("bundled", "found")]
    return next((row.id for row in bundled_or_found), None)
