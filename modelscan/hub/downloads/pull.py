"""Downloads the files that a plan needs, pinned to a revision, with verified checksums.

Hugging Face files go through ``huggingface_hub`` into its cache (resume, mirrors, shared with other
tools), ModelScope files into ``data/models``. A file counts as fetched once its SHA-256 is
verified; the result is stored with size and modification time, so it is computed once.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.model import WeightFile
from modelscan.core.plan import Plan
from modelscan.core.reference import Kind, Reference
from modelscan.core.units import GIB, format_bytes
from modelscan.formats.files import describe, is_projector
from modelscan.hub import cache as hub_cache
from modelscan.hub import checksums
from modelscan.hub.downloads.progress import Meter
from modelscan.hub.downloads.types import Report, WeightStore
from modelscan.hub.needed_files import needed
from modelscan.hub.repository import Hub
from modelscan.state.config import Config
from modelscan.state.files import HOME_VARIABLE
from modelscan.state.locks import hold

SPARE_BYTES = 1 * GIB
_LOCK_S = 24 * 3600.0
_KINDS = {"huggingface": Kind.HUGGINGFACE, "modelscope": Kind.MODELSCOPE}


@dataclass(frozen=True, slots=True)
class Pulled:
    """A finished pull. ``folder`` contains ``files``; ``fetched_bytes`` were downloaded just
    now.
    """

    source: str
    repo: str
    revision: str
    folder: Path
    files: tuple[WeightFile, ...]
    fetched_bytes: int


def is_remote(plan: Plan) -> bool:
    """True if the plan's weights come from a hub."""
    return plan.source in _KINDS


def pull(plan: Plan, config: Config, report: Report | None = None) -> Pulled:
    """Download the missing files of a plan; a second process waits for the first.

    Raises NotDeployableError (only pickles, missing files), AuthError (gated), RemoteError (the hub
    failed), ModelscanError (disk full, wrong checksum). Only verified files are recorded.
    """
    reference = Reference(_KINDS[plan.source], plan.repo, plan.revision)
    lock = config.paths.locks_dir / f"pull-{checksums.key(plan.source, plan.repo)}.lock"
    with hold(lock, timeout_s=_LOCK_S, what=f"the download of {plan.repo}"):
        if config.offline_because(plan.source):
            return _from_cache(plan, config)
        with Hub.from_config(config) as hub:
            info = hub.repo_info(reference, files=False)
            revision = info.commit or plan.revision or _default_revision(plan.source)
            pinned = replace(reference, revision=revision)
            files = needed(plan, hub.list_files(pinned))
            return _fetch(plan, revision, files, _store(plan.source, config, hub), config, report)


def folder_of(plan: Plan, config: Config) -> Path:
    """The folder for the files of this plan."""
    revision = plan.revision or _default_revision(plan.source)
    return hub_cache.folder(plan.source, plan.repo, revision, config)


def _default_revision(source: str) -> str:
    return "master" if source == "modelscope" else "main"


def _store(source: str, config: Config, hub: Hub | None) -> WeightStore:
    if source == "modelscope":
        from modelscan.hub.downloads.modelscope import ModelScopeStore

        return ModelScopeStore(config, hub)
    from modelscan.hub.downloads.huggingface import HuggingFaceStore

    return HuggingFaceStore(config, hub)


def _fetch(
    plan: Plan,
    revision: str,
    files: tuple[WeightFile, ...],
    store: WeightStore,
    config: Config,
    report: Report | None,
) -> Pulled:
    folder = store.folder(plan.repo, revision)
    verified = checksums.Verified(config.paths)
    missing = [file for file in files if not verified.knows(folder / file.path, file)]
    missing.sort(key=_weights_last)
    _check_space(folder, missing, plan)
    meter = Meter(sum(file.size_bytes or 0 for file in missing), report)
    for file in missing:
        meter.file = file.path
        before = meter.fresh
        path = store.fetch(plan.repo, revision, file, meter.moved)
        if meter.fresh == before and damage(path, file) is not None:
            store.discard(path)  # it was on this machine already, and has changed since
            path = store.fetch(plan.repo, revision, file, meter.moved)
        _verify(path, file, plan, store, verified)
    if not files:
        return Pulled(plan.source, plan.repo, revision, folder, files, 0)
    hashed = tuple(_with_hash(folder, file) for file in files)
    checksums.remember_pull(config.paths, plan.source, plan.repo, revision, hashed)
    return Pulled(plan.source, plan.repo, revision, folder, files, meter.fresh)


def _with_hash(folder: Path, file: WeightFile) -> WeightFile:
    """The file with its SHA-256.

    The hub publishes none for small files; the computed one detects later changes.
    """
    if file.sha256 is not None:
        return file
    return replace(file, sha256=checksums.sha256(folder / file.path))


def _weights_last(file: WeightFile) -> tuple[bool, bool]:
    """Sort key: weights last, because a snapshot with its weights counts as complete."""
    return describe(file.path).format is not None, not is_projector(file.path)


def _verify(
    path: Path, file: WeightFile, plan: Plan, store: WeightStore, verified: checksums.Verified
) -> None:
    found = damage(path, file)
    if found is not None:
        store.discard(path)
        raise ModelscanError(
            f"{file.path} of {plan.repo} is damaged: {found.text}",
            hint="try again: the file was deleted", code=found.code,
            details={"file": file.path, "expected": found.expected, "found": found.found},
        )  # fmt: skip
    verified.add(path, file)


@dataclass(frozen=True, slots=True)
class Damage:
    """A file with another size or another SHA-256 than the hub published."""

    code: str  # wrong_size | wrong_checksum
    text: str
    expected: str
    found: str


def damage(path: Path, file: WeightFile) -> Damage | None:
    """Compare a file on this machine with what the hub published; None if it is whole."""
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        text = f"it has {size} bytes, expected {file.size_bytes}"
        return Damage("wrong_size", text, str(file.size_bytes), str(size))
    digest = checksums.sha256(path) if file.sha256 is not None else None
    if digest is None or file.sha256 is None or digest == file.sha256:
        return None
    text = f"its SHA-256 is {digest[:12]}…, expected {file.sha256[:12]}…"
    return Damage("wrong_checksum", text, file.sha256, digest)


def check_pulled(plan: Plan, config: Config) -> None:
    """The plan's files are on this machine and whole; sends no request.

    A file that has not changed since it was verified is not hashed again. Raises ModelscanError
    for the first that is missing or damaged; a revision without a record is not checked.
    """
    verified = checksums.Verified(config.paths)
    again = f"modelscan pull {_reference_text(plan)}"
    for record in checksums.pulls(config.paths, plan.source, plan.repo, plan.revision)[:1]:
        folder = hub_cache.folder(plan.source, plan.repo, record.revision, config)
        wanted = needed(plan, record.files) if _covers(plan, record.files) else record.files
        for file in wanted:
            path = folder / file.path
            if not path.is_file():
                raise ModelscanError(
                    f"{path} is missing", hint=again, code="file_missing",
                    details={"file": str(path)},
                )  # fmt: skip
            if verified.knows(path, file):
                continue
            found = damage(path, file)
            if found is not None:
                raise ModelscanError(
                    f"{file.path} of {plan.repo} is damaged: {found.text}",
                    hint=f"{again}   (fetches it again)", code="damaged_file",
                    details={"file": str(path)},
                )  # fmt: skip
            verified.add(path, file)


def _reference_text(plan: Plan) -> str:
    prefix = "ms" if plan.source == "modelscope" else "hf"
    quantization = f" --quantization {plan.quantization}" if plan.quantization else ""
    return f"{prefix}:{plan.repo}{quantization}"


def _check_space(folder: Path, missing: list[WeightFile], plan: Plan) -> None:
    """Raise ModelscanError unless the missing files and a reserve fit on the disk."""
    missing_bytes = sum(file.size_bytes or 0 for file in missing)
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    variable = "HF_HOME" if plan.source == "huggingface" else HOME_VARIABLE
    if missing_bytes and missing_bytes + min(SPARE_BYTES, missing_bytes) > free:
        raise ModelscanError(
            f"{plan.repo} needs {format_bytes(missing_bytes)} in {existing}, and "
            f"{format_bytes(min(SPARE_BYTES, missing_bytes))} must remain; "
            f"{format_bytes(free)} are free",
            hint=f"modelscan cache prune   (what could be removed), or set {variable} to a folder "
            "on another disk",
            code="no_space",
            details={"needed_bytes": missing_bytes, "free_bytes": free},
        )  # fmt: skip


def _from_cache(plan: Plan, config: Config) -> Pulled:
    """The files that were pulled and verified before; sends no request."""
    store = _store(plan.source, config, None)
    for pulled in checksums.pulls(config.paths, plan.source, plan.repo, plan.revision):
        folder = store.folder(plan.repo, pulled.revision)
        files = needed(plan, pulled.files) if _covers(plan, pulled.files) else ()
        if files and all((folder / file.path).is_file() for file in files):
            return Pulled(plan.source, plan.repo, pulled.revision, folder, files, 0)
    if plan.source == "huggingface" and (other := _of_another_tool(plan, store, config)):
        return other
    because = config.offline_because(plan.source)
    raise NotDeployableError(
        f"the weights of {plan.model} ({plan.repo}) are not on this machine and {because}",
        hint=_cached_instead(plan) or f"modelscan pull {plan.model}   (with a network)",
        code="not_downloaded",
    )  # fmt: skip


def _cached_instead(plan: Plan) -> str | None:
    """The command for another quantization of the repository that is on this machine."""
    folder = hub_cache.snapshot_folder(Reference(Kind.HUGGINGFACE, plan.repo, plan.revision))
    listing = hub_cache.files_in(folder) if folder is not None else ()
    labels = [describe(file.path).quantization for file in listing if describe(file.path).format]
    found = next((label for label in labels if label and label != plan.quantization), None)
    return f"modelscan deploy {plan.model} --quantization {found} --offline" if found else None


def _of_another_tool(plan: Plan, store: WeightStore, config: Config) -> Pulled | None:
    """The plan's files in the hub's cache, where another tool left them; None if some are missing.

    Raises ModelscanError for a damaged one.
    """
    folder = hub_cache.snapshot_folder(Reference(Kind.HUGGINGFACE, plan.repo, plan.revision))
    listing = hub_cache.files_in(folder) if folder is not None else ()
    if folder is None or not _covers(plan, listing):
        return None
    try:
        files = needed(plan, listing)
    except NotDeployableError:
        return None
    verified = checksums.Verified(config.paths)
    for file in files:
        if not verified.knows(folder / file.path, file):
            _verify(folder / file.path, file, plan, store, verified)
    return Pulled(plan.source, plan.repo, folder.name, folder, files, 0) if files else None


def pulled_before(reference: Reference, config: Config) -> Pulled | None:
    """The newest pull of a repository whose files all still exist; sends no request."""
    source = reference.kind.value
    for record in checksums.pulls(config.paths, source, reference.value, reference.revision):
        folder = hub_cache.folder(source, record.repo, record.revision, config)
        if all((folder / file.path).is_file() for file in record.files):
            return Pulled(source, record.repo, record.revision, folder, record.files, 0)
    return None


def _covers(plan: Plan, files: tuple[WeightFile, ...]) -> bool:
    return set(plan.files) <= {file.path for file in files}
