"""The folders of installed engines: ``state/engines/ENGINE/VERSION-BUILD`` with a record each.

The record is written last and removed first: a folder without one is an interrupted installation,
which is never listed and never started.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.core.workload import Backend
from modelscan.state.config import Config
from modelscan.state.files import explain_os_errors, write_atomic

RECORD = "installed.json"
INCOMING = ".incoming-"  # the beginning of a folder's name while it is unpacked


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that an engine was installed from."""

    name: str
    url: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InstallRecord:
    """What ``engine install`` has installed. ``program`` is relative to the folder; ``build`` is
    the accelerator (``cuda-12.8``, ``vulkan``, ``cpu``); ``devices`` None: not listed."""

    engine: Backend
    version: str
    build: str
    program: str
    devices: tuple[str, ...] | None
    files: tuple[Downloaded, ...]
    size_bytes: int
    installed_at: str
    format: int = 1

    @property
    def id(self) -> str:
        """``llama.cpp@b11549-vulkan``."""
        return f"{self.engine}@{label(self.version, self.build)}"


@dataclass(frozen=True, slots=True)
class InstalledFolder:
    """A complete installation."""

    folder: Path
    record: InstallRecord

    @property
    def program(self) -> Path:
        """The program, or the environment's Python."""
        return self.folder / self.record.program


def label(version: str, build: str) -> str:
    """The folder's name of a version in a build."""
    return f"{version}-{build}"


def folder_of(config: Config, engine: str, version: str, build: str) -> Path:
    """Where this version is installed."""
    return config.paths.engines_dir / engine / label(version, build)


def installed(config: Config, engine: str | None = None) -> tuple[InstalledFolder, ...]:
    """Every complete installation (of one engine), by engine and folder."""
    return tuple(_installed(config.paths.engines_dir, engine))


def _installed(root: Path, engine: str | None) -> Iterator[InstalledFolder]:
    for file in sorted(root.glob(f"{engine or '*'}/*/{RECORD}")):
        record = read_record(file.parent)
        if record is not None and not file.parent.name.startswith(INCOMING):
            yield InstalledFolder(file.parent, record)


def read_record(folder: Path) -> InstallRecord | None:
    """The folder's record; None where it is missing, damaged or of another engine."""
    try:
        record = from_json(InstallRecord, json_value((folder / RECORD).read_bytes()))
    except (OSError, ValueError, NotReadable):
        return None
    program = folder / record.program
    return record if program.exists() and record.engine == folder.parent.name else None


def write_record(folder: Path, record: InstallRecord) -> None:
    """Mark the folder as complete."""
    import json

    write_atomic(folder / RECORD, json.dumps(to_json(record), indent=1))


def delete(folder: Path) -> None:
    """Delete an installation, its record first. Raises ModelscanError where that fails."""
    with explain_os_errors(folder):
        (folder / RECORD).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)


def size_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; links do not count."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def unfinished(config: Config, engine: str | None = None) -> tuple[Path, ...]:
    """Folders of interrupted installations, which can be resumed or removed."""
    root = config.paths.engines_dir
    found = [p for p in root.glob(f"{engine or '*'}/*") if p.is_dir() and read_record(p) is None]
    return tuple(sorted(found))


def sweep(config: Config, engine: str) -> None:
    """Delete half-unpacked archives. The caller holds the engine's lock."""
    for folder in (config.paths.engines_dir / engine).glob(f"{INCOMING}*"):
        shutil.rmtree(folder, ignore_errors=True)
