"""``engine use`` and ``engine remove``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.core.nearest import nearest
from modelscan.engines.registry import engine
from modelscan.state.store import Store
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.fetch import archive_path
from modelscan.supervisor.engines.install import lock
from modelscan.supervisor.engines.selected import select, selected
from modelscan.supervisor.engines.sources import engines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from modelscan.core.installed_engine import InstalledEngine
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class EngineRemoved:
    """What ``engine remove`` deleted."""

    id: str
    path: str
    freed_bytes: int


def use(config: Config, text: str) -> InstalledEngine:
    """Select an engine by its id, or by its name where there is one of it.

    Raises UsageError for an unknown one, and where a setting has precedence.
    """
    row = _find(engines_of(config), text)
    key = engine(row.name).program_setting
    if key is not None and config.value(key) is not None and not row.selected:
        raise UsageError(
            f"the setting {key} ({config.origins.get(key)}) has precedence over the selection",
            hint=f"modelscan config set {key} --unset && modelscan engine use {row.id}",
            code="setting_has_precedence",
        )
    if row.source == "container":
        raise UsageError(
            f"{row.id} is a container image, which a deployment names",
            hint="modelscan deploy MODEL --runtime podman",
            code="not_selectable",
        )
    with lock(config, row.name):
        select(config, row.name, row.id)
    return next(one for one in engines_of(config) if one.id == row.id)


def _find(rows: Sequence[InstalledEngine], text: str) -> InstalledEngine:
    exact = [row for row in rows if text in (row.id, row.path)]
    named = [row for row in rows if row.name == text.lower()]
    if exact or len(named) == 1:
        return (exact or named)[0]
    ids = [row.id for row in named or rows]
    if named:
        message = f"there are {len(named)} engines named '{text}': {', '.join(ids)}"
        raise UsageError(message, hint=f"modelscan engine use {ids[0]}", code="ambiguous_engine")
    near = nearest(text, ids, limit=3)
    raise UsageError(
        f"there is no engine '{text}' on this machine",
        hint=f"modelscan engine use {near[0]}" if near else "modelscan engine list",
        code="unknown_engine",
        details={"nearest": near},
    )


def remove(config: Config, text: str) -> EngineRemoved:
    """Delete an installed engine, or what an interrupted installation left.

    Raises UsageError for an engine that modelscan did not install, and where a deployment uses it.
    """
    folder = _folder(config, text)
    name = folder.parent.name
    with lock(config, name):
        _check_unused(config, folder)
        record = folders.read_record(folder)
        size = folders.size_bytes(folder)
        if selected(config).get(name) == _id(folder):
            select(config, name, None)
        folders.delete(folder)
        for file in record.files if record else ():
            archive = archive_path(config, file)
            size += archive.stat().st_size if archive.is_file() else 0
            archive.unlink(missing_ok=True)
        folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
    return EngineRemoved(_id(folder), str(folder), size)


def check_removable(config: Config, text: str) -> str:
    """The id that ``remove`` would delete. Raises what it raises."""
    folder = _folder(config, text)
    _check_unused(config, folder)
    return _id(folder)


def _id(folder: Path) -> str:
    return f"{folder.parent.name}@{folder.name}"


def removable(config: Config) -> tuple[Path, ...]:
    """The folders that ``remove`` accepts."""
    complete = [item.folder for item in folders.installed(config)]
    return (*complete, *folders.unfinished(config))


def _folder(config: Config, text: str) -> Path:
    here = removable(config)
    named = [folder for folder in here if folder.parent.name == text.lower()]
    exact = [folder for folder in here if text in (_id(folder), str(folder))]
    if exact or len(named) == 1:
        return (exact or named)[0]
    if named:
        ids = [_id(folder) for folder in named]
        message = f"there are {len(ids)} installations of '{text}': {', '.join(ids)}"
        raise UsageError(message, hint=f"modelscan engine remove {ids[0]}", code="ambiguous_engine")
    row = _find(engines_of(config), text)  # raises for one that is not there at all
    how = "pip uninstall xllamacpp" if row.source == "bundled" else "modelscan engine list"
    raise UsageError(
        f"{row.id} was not installed by modelscan, so it is not removed", hint=how,
        code="not_removable",
    )  # fmt: skip


def users(config: Config, folder: Path) -> tuple[str, ...]:
    """The deployments whose recorded command starts a program of this folder."""
    if not config.paths.store_file.exists():
        return ()
    with Store.look(config.paths.store_file) as store:
        rows = store.all()
    return tuple(
        row.name
        for row in rows
        if isinstance(row.launch, LocalLaunch) and row.launch.argv[0].startswith(f"{folder}/")
    )


def _check_unused(config: Config, folder: Path) -> None:
    names = users(config, folder)
    if names:
        raise UsageError(
            f"{_id(folder)} is used by {', '.join(names)}",
            hint=f"modelscan remove {' '.join(names)}",
            code="engine_in_use",
            details={"deployments": list(names)},
        )
