"""Stores snapshots, merges them and publishes the index.

Stored are one file per synced source and ``failures.json``. All changes happen under the catalog's
lock; files are replaced atomically and the index last, so that a reader always has one.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.catalog.index.layout import bundle_stamp, stamp_file, synced_index
from modelscan.catalog.merge.inherit import inherited, inheriting
from modelscan.catalog.records import FAILED, USER, SourceSnapshot, dump, load
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.state.files import ensure_dir, explain_os_errors, write_atomic
from modelscan.state.locks import hold

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

LOCK_WAIT_S = 120.0
_SUFFIX = ".json.gz"
_OLD_S = 3600.0
_ANSWER_S = 14 * 86_400.0  # addresses with a cursor are never requested again


@dataclass(frozen=True, slots=True)
class Published:
    """The number of models in the built index, and its path."""

    models: int
    index: Path


def snapshots_dir(paths: Paths) -> Path:
    """The folder of stored snapshots."""
    return paths.catalog_dir / "snapshots"


def bundled_snapshots() -> dict[str, SourceSnapshot]:
    """The bundled snapshots, by source."""
    from modelscan.catalog.sources import bundled as bundle

    return {snapshot.source: snapshot for snapshot in bundle.bundled_snapshots()}


def stored_snapshots(paths: Paths) -> dict[str, SourceSnapshot]:
    """The newest snapshot of each source: the synced one, or a newer release's bundled one.

    Damaged files are ignored. Sources whose last sync failed have the state ``failed``.
    """
    snapshots = bundled_snapshots()
    for source, synced in _read_folder(snapshots_dir(paths)).items():
        bundled = snapshots.get(source)
        if bundled is None or (bundled.retrieved_at or "") <= (synced.retrieved_at or ""):
            snapshots[source] = synced
    for source, error in failures(paths).items():
        last = snapshots.get(source, SourceSnapshot(source, None))
        snapshots[source] = replace(last, state=FAILED, error=error)
    return snapshots


def failures(paths: Paths) -> dict[str, str]:
    """Source -> error message of its last sync, if it failed."""
    try:
        data = json_value((paths.catalog_dir / "failures.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}


def prepare(paths: Paths) -> None:
    """Raise ModelscanError, before any request, if the cache folder is not writable."""
    ensure_dir(snapshots_dir(paths))
    with explain_os_errors(snapshots_dir(paths)), tempfile.TemporaryFile(dir=snapshots_dir(paths)):
        pass


def publish(paths: Paths, results: Sequence[SourceSnapshot]) -> Published:
    """Store the results of a sync and rebuild the index.

    A result in state ``failed`` only marks its source: records that another command may have stored
    meanwhile stay. Raises ModelscanError if the lock cannot be acquired or a file cannot be
    written; the old index then stays in use.
    """
    ensure_dir(snapshots_dir(paths))
    lock = paths.locks_dir / "catalog.lock"
    with hold(lock, timeout_s=LOCK_WAIT_S, what="the catalog"):
        _sweep(paths.catalog_dir)
        failed = failures(paths)
        for snapshot in results:
            if snapshot.state == FAILED:
                failed[snapshot.source] = snapshot.error or "failed"
                continue
            failed.pop(snapshot.source, None)
            write_atomic(snapshots_dir(paths) / f"{snapshot.source}{_SUFFIX}", dump(snapshot))
        write_atomic(paths.catalog_dir / "failures.json", json.dumps(failed, sort_keys=True))
        return rebuild(paths, stored_snapshots(paths))


def rebuild(paths: Paths, snapshots: Mapping[str, SourceSnapshot]) -> Published:
    """Merge the snapshots and write the index; the caller must hold the lock."""
    from modelscan.catalog.index.write import build

    models = merged(snapshots.values())
    shown = [s for s in snapshots.values() if s.records or s.error or s.state == FAILED]
    build(models, synced_index(paths), sources=shown)
    write_atomic(stamp_file(paths), bundle_stamp())
    return Published(len(models), synced_index(paths))


def merged(snapshots: Iterable[SourceSnapshot]) -> tuple[Model, ...]:
    """All models, including the facts that a user's entries inherit."""
    from modelscan.catalog.merge.models import merge

    ordered = sorted(snapshots, key=lambda s: s.source)
    models = merge(ordered)
    heirs = inheriting(ordered)
    return merge([*ordered, *inherited(heirs, models)]) if heirs else models


def overlay_changed(paths: Paths) -> bool:
    """True if the user's files are newer than the index."""
    folder = paths.overlay_dir
    if not folder.is_dir():
        return False
    index = synced_index(paths)
    candidates = (p for p in folder.iterdir() if p.suffix in (".toml", ".yaml", ".yml"))
    files = [p for p in candidates if p.exists()]  # a link may be broken
    if not index.is_file():
        return bool(files)
    newest = max(p.stat().st_mtime for p in (folder, *files))
    return newest > index.stat().st_mtime


def refresh_overlay(paths: Paths) -> tuple[str, ...]:
    """Read the user's files and rebuild the index; returns warnings about the files."""
    from modelscan.catalog.sources import overlay

    result = overlay.read(paths.overlay_dir)
    publish(paths, [result.snapshot])
    return result.warnings


def remake(paths: Paths) -> None:
    """Merge synced data with this release's bundle; on failure, only the bundle is used.

    The stamp is written in both cases, so that a failure is not repeated with every command.
    """
    with contextlib.suppress(ModelscanError):
        publish(paths, [])
        return
    with contextlib.suppress(ModelscanError):
        write_atomic(stamp_file(paths), bundle_stamp())


def ensure_overlay(paths: Paths) -> None:
    """Rebuild the index if the user's files are newer.

    If their entries contradict each other, the catalog is built without them and records the error.
    """
    if not overlay_changed(paths):
        return
    try:
        refresh_overlay(paths)
    except UsageError as error:
        publish(paths, [SourceSnapshot(USER, None, state="live", error=error.message,
                                       origin=str(paths.overlay_dir))])  # fmt: skip


def _read_folder(folder: Path) -> dict[str, SourceSnapshot]:
    snapshots = {}
    for file in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []:
        try:
            snapshot = load(file.read_bytes(), where=str(file))
        except (ModelscanError, OSError):
            continue
        snapshots[snapshot.source] = snapshot
    return snapshots


def _sweep(folder: Path) -> None:
    """Delete temporary files after an hour, and cached answers after two weeks."""
    now = time.time()
    for pattern, limit_s in (
        (".*.tmp*", _OLD_S), ("snapshots/.*.tmp*", _OLD_S), ("http/.*.tmp*", _OLD_S),
        ("http/*", _ANSWER_S),
    ):  # fmt: skip
        for file in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if now - file.stat().st_mtime > limit_s:
                    file.unlink()
