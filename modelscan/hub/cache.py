"""Local folders of repositories: the Hugging Face cache, shared with other tools, and modelscan's
own folder for ModelScope.

Layout (huggingface_hub's documentation): ``models--ORG--NAME/refs/REVISION`` contains a commit,
``models--ORG--NAME/snapshots/COMMIT/`` the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from modelscan.core.json_reader import json_value
from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.formats.files import Role, describe, parts
from modelscan.state.config import Config

_SHA256 = re.compile(r"[0-9a-f]{64}")


def cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The Hugging Face cache: ``HF_HUB_CACHE``, else ``HF_HOME/hub``, else
    ``~/.cache/huggingface/hub``.
    """
    env = os.environ if environ is None else environ
    if env.get("HF_HUB_CACHE"):
        return Path(env["HF_HUB_CACHE"]).expanduser()
    if env.get("HF_HOME"):
        return Path(env["HF_HOME"]).expanduser() / "hub"
    base = env.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def folder(source: str, repo: str, revision: str, config: Config) -> Path:
    """The folder for the repository's files at this revision."""
    if source == "modelscope":
        return config.paths.models_dir / "modelscope" / repo / revision
    return cache_dir() / f"models--{repo.replace('/', '--')}" / "snapshots" / revision


def snapshot_folder(reference: Reference, environ: Mapping[str, str] | None = None) -> Path | None:
    """The folder of a repository's snapshot in the Hugging Face cache, complete or not; None
    without one. Without a revision: that of ``main``, else the newest.
    """
    root = cache_dir(environ) / ("models--" + reference.value.replace("/", "--"))
    revision = reference.revision or "main"
    pointer = root / "refs" / revision
    commit = pointer.read_text().strip() if pointer.is_file() else revision
    folder = root / "snapshots" / commit
    if folder.is_dir() or reference.revision:
        return folder if folder.is_dir() else None
    every = [one for one in (root / "snapshots").glob("*") if one.is_dir()]
    return max(every, key=lambda one: one.stat().st_mtime, default=None)


def files_in(folder: Path) -> tuple[WeightFile, ...]:
    """The files of a snapshot that are whole links. A blob of the hub's large-file store has its
    SHA-256 as its name.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.resolve().name
            sha256 = name if path.is_symlink() and _SHA256.fullmatch(name) else None
            size = path.stat().st_size
            found.append(WeightFile(path.relative_to(folder).as_posix(), size, sha256))
    return tuple(found)


def snapshot(reference: Reference, environ: Mapping[str, str] | None = None) -> Path | None:
    """The folder of a completely downloaded snapshot, or None."""
    if reference.kind is not Kind.HUGGINGFACE:
        return None
    root = cache_dir(environ) / ("models--" + reference.value.replace("/", "--"))
    revision = reference.revision or "main"
    pointer = root / "refs" / revision
    commit = pointer.read_text().strip() if pointer.is_file() else revision
    folder = root / "snapshots" / commit
    return folder if folder.is_dir() and _complete(folder) else None


def _complete(folder: Path) -> bool:
    """True if the folder contains weights and none of their parts is missing."""
    models = [
        file.name for file in folder.glob("*.gguf") if describe(file.name).role is Role.WEIGHTS
    ]
    if models:
        return all((folder / part).is_file() for name in models for part in parts(name))
    shards = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if not (folder / "config.json").is_file() or not shards:
        return False
    if not index.is_file():
        return all((folder / part).is_file() for file in shards for part in parts(file.name))

    try:
        shard_names = set(json_value(index.read_bytes()).get("weight_map", {}).values())
    except (ValueError, AttributeError):
        return False
    return all((folder / name).is_file() for name in shard_names)
