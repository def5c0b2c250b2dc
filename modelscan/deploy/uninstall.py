"""What modelscan has written on this machine, and its removal."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelscan.core.errors import ModelscanError
from modelscan.core.units import format_bytes
from modelscan.deploy.boot import UNITS, uninstall_unit, unit_file
from modelscan.deploy.cached import list_cached, prune
from modelscan.deploy.deployments import Deployments
from modelscan.supervisor.engines import folders

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that would go. ``size_bytes`` None: it is no file."""

    kind: Literal["deployment", "engine", "service", "folder", "weights"]
    what: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """``removed``: whether the items were removed. ``kept``: what stays, and why."""

    removed: bool
    items: tuple[Trace, ...]
    kept: tuple[str, ...]


def items(config: Config, *, weights: bool) -> tuple[Trace, ...]:
    """Deployments of this machine, installed engines (in one of the folders), the boot unit,
    modelscan's folders, and pulled weights."""
    rows = [Trace("deployment", one.name, None) for one in _local(config)]
    rows += [
        Trace("engine", one.record.id, one.record.size_bytes) for one in folders.installed(config)
    ]
    units = [file for file in map(unit_file, UNITS) if file.exists()]
    service = [Trace("service", str(file), file.stat().st_size) for file in units]
    own = [Trace("folder", str(p), _size(p)) for p in _paths(config, weights=weights)]
    pulled = list_cached(config) if weights else ()
    files = [Trace("weights", f"{one.repo}@{one.revision[:12]}", one.size_bytes) for one in pulled]
    return (*rows, *service, *own, *files)


def kept(config: Config, *, weights: bool) -> tuple[str, ...]:
    """What the removal leaves, each with the command that removes it."""
    notes = [f"the program: {_program()}"]
    pulled = () if weights else list_cached(config)
    if pulled:
        size = sum(one.size_bytes for one in pulled)
        notes.append(f"pulled weights, {format_bytes(size)}: give --weights to remove them, too")
    if config.routing_file != config.paths.routing_file and config.routing_file.exists():
        notes.append(f"the routing file of your own: rm {config.routing_file}")
    clusters = [one.name for one in _all(config) if one.target != "local"]
    if clusters:
        notes.append(f"on other servers: {', '.join(clusters)} (modelscan remove NAME ends them)")
    return tuple(notes)


def _program() -> str:
    """The command of the installer whose environment this is."""
    where = Path(sys.prefix).parts[-3:-1]
    installers: dict[tuple[str, ...], str] = {
        ("pipx", "venvs"): "pipx uninstall",
        ("uv", "tools"): "uv tool uninstall",
    }
    return f"{installers.get(where, 'pip uninstall')} modelscan-deploy"


def uninstall(config: Config, *, weights: bool) -> Uninstalled:
    """End this machine's deployments, then remove unit, weights and folders.

    Raises ModelscanError where an engine cannot be ended; then no folder was removed.
    """
    found, left = items(config, weights=weights), kept(config, weights=weights)
    service = Deployments(config)
    for one in _local(config):
        service.remove(one.name)
    for name in UNITS:
        uninstall_unit(name)
    if weights:
        prune(config, dry_run=False)
    for path in _paths(config, weights=weights):
        _delete(path)
    return Uninstalled(True, found, left)


def _all(config: Config) -> tuple[Deployment, ...]:
    return Deployments(config).list() if config.paths.store_file.exists() else ()


def _local(config: Config) -> tuple[Deployment, ...]:
    return tuple(one for one in _all(config) if one.target == "local")


def _paths(config: Config, *, weights: bool) -> tuple[Path, ...]:
    """The folders of modelscan that exist; without ``weights`` not the folder of models."""
    where = config.paths
    found = [path for path in (where.config, where.cache, where.state) if path.is_dir()]
    if not where.data.is_dir():
        return tuple(found)
    if weights or not where.models_dir.exists():
        return (*found, where.data)
    return (*found, *(path for path in where.data.iterdir() if path != where.models_dir))


def _delete(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise ModelscanError(
            f"{path} could not be removed: {error.strerror}", hint=f"rm -r {path}"
        ) from error


def _size(path: Path) -> int:
    """Bytes of a file, or of the files below a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.lstat().st_size for file in files)
