"""Interrupted downloads on this machine: visible, resumed by the next pull, deleted by ``prune``.

Hugging Face's cache has them as ``blobs/*.incomplete`` (also those of other tools), modelscan's own
folder for ModelScope as ``*.part``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.hub import checksums
from modelscan.hub.cache import cache_dir
from modelscan.state.locks import hold

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class PartialDownload:
    """A part of one file. ``active``: a download writes it now."""

    source: str
    repo: str
    path: Path
    size_bytes: int
    active: bool


def partial_downloads(config: Config) -> tuple[PartialDownload, ...]:
    """Every interrupted or running download, by repository."""
    found = [*_hugging_face(config), *_modelscope(config)]
    return tuple(sorted(found, key=lambda part: (part.repo, str(part.path))))


def delete(part: PartialDownload, config: Config) -> bool:
    """Delete it, unless a download writes it; returns whether it was deleted."""
    with contextlib.suppress(ModelscanError), _held(part.source, part.repo, config):
        if _locked_by_another_tool(part.path):
            return False
        part.path.unlink(missing_ok=True)
        return True
    return False


def _hugging_face(config: Config) -> Iterator[PartialDownload]:
    for path in cache_dir().glob("models--*/blobs/*.incomplete"):
        repo = path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        yield from _part("huggingface", repo, path, config)


def _modelscope(config: Config) -> Iterator[PartialDownload]:
    root = config.paths.models_dir / "modelscope"
    for path in root.glob("*/*/*/**/*.part"):
        organization, name = path.relative_to(root).parts[:2]
        yield from _part("modelscope", f"{organization}/{name}", path, config)


def _part(source: str, repo: str, path: Path, config: Config) -> Iterator[PartialDownload]:
    try:
        size = path.stat().st_size
    except OSError:
        return  # it was completed meanwhile
    active = _locked_by_another_tool(path)
    try:
        with _held(source, repo, config):
            pass
    except ModelscanError:
        active = True
    yield PartialDownload(source, repo, path, size, active)


def _held(source: str, repo: str, config: Config) -> contextlib.AbstractContextManager[None]:
    """The lock that a pull of this repository holds."""
    lock = config.paths.locks_dir / f"pull-{checksums.key(source, repo)}.lock"
    return hold(lock, timeout_s=0.0, what=f"the download of {repo}")


def _locked_by_another_tool(path: Path) -> bool:
    """huggingface_hub locks ``.locks/models--ORG--NAME/ETAG.lock`` while it downloads."""
    import fcntl

    etag = path.name.partition(".")[0]
    lock = path.parents[2] / ".locks" / path.parents[1].name / f"{etag}.lock"
    try:
        with lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
