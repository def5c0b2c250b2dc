"""The pulled weights on this machine: list, verify, prune, compare with the hubs."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.hub import cache as hub_cache
from modelscan.hub import checksums
from modelscan.state.locks import hold
from modelscan.state.store import Store
from modelscan.targets.local.weights import LOCAL

if TYPE_CHECKING:
    from modelscan.hub.checksums import PullRecord
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class Cached:
    """One pulled revision. ``size_bytes`` is what its files occupy on the disk now."""

    source: str
    repo: str
    revision: str
    folder: Path
    files: tuple[WeightFile, ...]
    size_bytes: int
    complete: bool
    pulled_at: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """``status``: ok | damaged | missing | unknown (the hub publishes no hash)."""

    repo: str
    file: str
    status: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """``status``: current | changed | unknown."""

    source: str
    repo: str
    revision: str
    newest: str | None
    status: str
    detail: str | None = None


def list_cached(config: Config) -> tuple[Cached, ...]:
    """Every pulled revision, sorted by repository."""
    users = _deployments_by_source(config)
    items = [_cached(record, config, users) for record in checksums.pulls(config.paths)]
    return tuple(sorted(items, key=lambda item: (item.repo, item.revision)))


def _cached(record: PullRecord, config: Config, users: dict[tuple[str, str], list[str]]) -> Cached:
    folder = hub_cache.folder(record.source, record.repo, record.revision, config)
    files = [folder / file.path for file in record.files if (folder / file.path).is_file()]
    return Cached(
        record.source, record.repo, record.revision, folder, record.files,
        size_bytes=sum(path.stat().st_size for path in files),
        complete=len(files) == len(record.files),
        pulled_at=record.pulled_at,
        deployments=tuple(sorted(_users_of(record, folder, users))),
    )  # fmt: skip


def _users_of(
    record: PullRecord, folder: Path, users: dict[tuple[str, str], list[str]]
) -> set[str]:
    """The deployments of the repository, and those of the folder of a pinned snapshot."""
    inside = (
        names
        for (source, place), names in users.items()
        if source == LOCAL and Path(place).is_relative_to(folder)
    )
    of_repository = users.get((record.source, record.repo), [])
    return set(of_repository).union(*inside)


def _deployments_by_source(config: Config) -> dict[tuple[str, str], list[str]]:
    """(source, repository or path) -> names of the deployments that use its weights."""
    users: dict[tuple[str, str], list[str]] = {}
    if config.paths.store_file.exists():
        with Store.open(config.paths.store_file) as store:
            for row in store.all():
                if row.plan is None:
                    continue
                users.setdefault((row.plan.source, row.plan.repo), []).append(row.name)
                for adapter in row.plan.adapters:
                    place = adapter.partition("=")[2] or adapter
                    users.setdefault((LOCAL, place), []).append(row.name)
    return users


def verify(config: Config, names: Iterable[str] = ()) -> Iterator[Checked]:
    """Hash every file and compare it with the SHA-256 that the hub published.

    ``names`` are repositories or deployments. Raises UsageError for one that has no pull.
    """
    items = list_cached(config)
    selected = [item for name in names for item in _select(name, items)] if names else items
    for item in dict.fromkeys(selected):
        for file in item.files:
            yield _check(item, file)


def _select(name: str, items: Iterable[Cached]) -> list[Cached]:
    repo = name.removeprefix("hf:").removeprefix("ms:").partition("@")[0]
    matches = [item for item in items if repo == item.repo or name in item.deployments]
    if not matches:
        raise UsageError(f"no weights of '{name}' were pulled", hint="modelscan cache list",
                         code="not_pulled")  # fmt: skip
    return matches


def _check(item: Cached, file: WeightFile) -> Checked:
    path = item.folder / file.path
    if not path.is_file():
        return Checked(item.repo, file.path, "missing")
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        detail = f"{size:,} bytes instead of {file.size_bytes:,}"
        return Checked(item.repo, file.path, "damaged", detail)
    if file.sha256 is None:
        return Checked(item.repo, file.path, "unknown", "the hub publishes no hash")
    digest = checksums.sha256(path)
    if digest != file.sha256:
        detail = f"SHA-256 {digest[:12]}… instead of {file.sha256[:12]}…"
        return Checked(item.repo, file.path, "damaged", detail)
    return Checked(item.repo, file.path, "ok")


def prune(config: Config, *, dry_run: bool) -> tuple[Cached, ...]:
    """Delete the pulled revisions that no deployment uses, and return them.

    ``dry_run`` only returns them. Files that another tool downloaded are kept.
    """
    unused = tuple(item for item in list_cached(config) if not item.deployments)
    for item in () if dry_run else unused:
        lock = config.paths.locks_dir / f"pull-{checksums.key(item.source, item.repo)}.lock"
        with hold(lock, timeout_s=1.0, what=f"the download of {item.repo}"):
            for file in item.files:
                _delete(item.folder, file.path)
            for record in checksums.pulls(config.paths, item.source, item.repo, item.revision):
                checksums.forget_pull(config.paths, record)
            with contextlib.suppress(OSError):
                item.folder.rmdir()
    return unused


def _delete(folder: Path, name: str) -> None:
    """Delete a file, and its blob where no other revision links to the blob."""
    path = folder / name
    blob = path.resolve() if path.is_symlink() else None
    path.unlink(missing_ok=True)
    if blob is not None and not any(
        other.resolve() == blob for other in folder.parent.glob(f"*/{glob.escape(name)}")
    ):
        blob.unlink(missing_ok=True)


def updates(config: Config) -> Iterator[Update]:
    """Compare each pulled repository with the hub, with one request per repository."""
    from modelscan.hub.repository import Hub

    checked: set[tuple[str, str]] = set()
    with Hub.from_config(config) as hub:
        for record in checksums.pulls(config.paths):
            if (record.source, record.repo) in checked:
                continue
            checked.add((record.source, record.repo))
            yield _update(hub, Reference(Kind(record.source), record.repo), record)


def newest_of(source: str, repo: str, revision: str | None, config: Config) -> Update:
    """Compare a pulled revision with the hub's newest; raises UsageError with ``--offline``."""
    from modelscan.hub.repository import Hub

    record = next(iter(checksums.pulls(config.paths, source, repo, revision)), None)
    if record is None:
        return Update(source, repo, revision or "", None, "changed", "not pulled by modelscan")
    with Hub.from_config(config) as hub:
        return _update(hub, Reference(Kind(source), repo), record)


def _update(hub: Any, reference: Reference, record: PullRecord) -> Update:
    """Compare commits where the hub has them (Hugging Face), else files (ModelScope)."""
    try:
        newest = hub.repo_info(reference, files=False).commit
        changed = newest != record.revision if newest else _changed_files(hub, reference, record)
    except ModelscanError as error:
        return Update(record.source, record.repo, record.revision, None, "unknown", error.message)
    status = "changed" if changed else "current"
    detail = ", ".join(changed) if isinstance(changed, list) and changed else None
    return Update(record.source, record.repo, record.revision, newest, status, detail)


def _changed_files(hub: Any, reference: Reference, record: PullRecord) -> list[str]:
    digests = {file.path: file.sha256 for file in hub.list_files(reference)}
    return [file.path for file in record.files if digests.get(file.path) != file.sha256]
