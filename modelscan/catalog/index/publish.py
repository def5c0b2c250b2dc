"""From snapshots to the index: what is stored, what is merged, how it is put in place.

Stored: one file per synced source and ``failures.json``. Every change happens under the catalog's
lock; files are replaced atomically and the index comes last, so that a reader always has one.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.catalog.index.layout import bundle_stamp, stamp_file, synced_index
from modelscan.catalog.merge.inherit import inherited, inheriting
from modelscan.catalog.records import FAILED, USER, SourceSnapshot, dump, load
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.model import Model
from modelscan.state.files import ensure_dir, explain_os_errors, write_atomic
from modelscan.state.locks import hold
from modelscan.state.paths import Paths

LOCK_WAIT_S = 120.0
_SUFFIX = ".json.gz"
_OLD_S = 3600.0
_ANSWER_S = 14 * 86_400.0  # addresses with a cursor are never asked again


@dataclass(frozen=True, slots=True)
class Published:
    """What was built."""

    models: int
    index: Path


def snapshots_dir(paths: Paths) -> Path:
    return paths.catalog_dir / "snapshots"


def bundled_snapshots() -> dict[str, SourceSnapshot]:
    """The snapshots that came with the package, by source."""
    from modelscan.catalog.sources import bundled as bundle

    return {snapshot.source: snapshot for snapshot in bundle.bundled_snapshots()}


def stored_snapshots(paths: Paths) -> dict[str, SourceSnapshot]:
    """The newest snapshot of every source: the synced one, or a newer release's bundled one.

    A damaged file is as good as none. Sources whose last sync failed are marked so.
    """
    found = bundled_snapshots()
    for source, synced in _read_folder(snapshots_dir(paths)).items():
        bundled = found.get(source)
        if bundled is None or (bundled.retrieved_at or "") <= (synced.retrieved_at or ""):
            found[source] = synced
    for source, error in failures(paths).items():
        last = found.get(source, SourceSnapshot(source, None))
        found[source] = replace(last, state=FAILED, error=error)
    return found


def failures(paths: Paths) -> dict[str, str]:
    """Source -> why its last sync failed."""
    try:
        data = json.loads((paths.catalog_dir / "failures.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}


def prepare(paths: Paths) -> None:
    """Raise ModelscanError before anything is asked where nothing could be stored."""
    ensure_dir(snapshots_dir(paths))
    with explain_os_errors(snapshots_dir(paths)), tempfile.TemporaryFile(dir=snapshots_dir(paths)):
        pass


def publish(paths: Paths, results: Sequence[SourceSnapshot]) -> Published:
    """Store the results of a sync and rebuild the index.

    A result in state ``failed`` only marks its source: records that another command may have
    stored meanwhile stay. Raises ModelscanError when the lock is held too long or nothing can be
    written; the old index stays in force then.
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
    """Merge and write the index; the caller holds the lock."""
    from modelscan.catalog.index.write import build

    models = merged(snapshots.values())
    shown = [s for s in snapshots.values() if s.records or s.error or s.state == FAILED]
    build(models, synced_index(paths), sources=shown)
    write_atomic(stamp_file(paths), bundle_stamp())
    return Published(len(models), synced_index(paths))


def merged(snapshots: Iterable[SourceSnapshot]) -> tuple[Model, ...]:
    """Every model, with what a user's entries inherit."""
    from modelscan.catalog.merge.models import merge

    known = sorted(snapshots, key=lambda s: s.source)
    models = merge(known)
    heirs = inheriting(known)
    return merge([*known, *inherited(heirs, models)]) if heirs else models


def overlay_changed(paths: Paths) -> bool:
    """Whether the user's files are newer than the index; costs one look when there are none."""
    folder = paths.overlay_dir
    if not folder.is_dir():
        return False
    index = synced_index(paths)
    found = (p for p in folder.iterdir() if p.suffix in (".toml", ".yaml", ".yml"))
    files = [p for p in found if p.exists()]  # a link may lead nowhere
    if not index.is_file():
        return bool(files)
    newest = max(p.stat().st_mtime for p in (folder, *files))
    return newest > index.stat().st_mtime


def refresh_overlay(paths: Paths) -> tuple[str, ...]:
    """Read the user's files again and rebuild the index; returns warnings about the files."""
    from modelscan.catalog.sources import overlay

    read = overlay.read(paths.overlay_dir)
    publish(paths, [read.snapshot])
    return read.warnings


def remake(paths: Paths) -> None:
    """Merge what was synced with this release's bundle; where that fails the bundle serves alone.

    The stamp is written in either case: one failure is not repeated with every command.
    """
    with contextlib.suppress(ModelscanError):
        publish(paths, [])
        return
    with contextlib.suppress(ModelscanError):
        write_atomic(stamp_file(paths), bundle_stamp())


def ensure_overlay(paths: Paths) -> None:
    """Rebuild the index when the user's files are newer than it.

    Where their entries do not go together the catalog serves without them, and says why.
    """
    if not overlay_changed(paths):
        return
    try:
        refresh_overlay(paths)
    except UsageError as error:
        publish(paths, [SourceSnapshot(USER, None, state="live", error=error.message,
                                       origin=str(paths.overlay_dir))])  # fmt: skip


def _read_folder(folder: Path) -> dict[str, SourceSnapshot]:
    found = {}
    for file in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []:
        try:
            snapshot = load(file.read_bytes(), where=str(file))
        except (ModelscanError, OSError):
            continue
        found[snapshot.source] = snapshot
    return found


def _sweep(folder: Path) -> None:
    """Temporary files of killed commands, an hour old, and cached answers of two weeks."""
    now = time.time()
    for pattern, limit_s in (
        (".*.tmp*", _OLD_S), ("snapshots/.*.tmp*", _OLD_S), ("http/.*.tmp*", _OLD_S),
        ("http/*", _ANSWER_S),
    ):  # fmt: skip
        for file in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if now - file.stat().st_mtime > limit_s:
                    file.unlink()
