"""Models of the registry as the Hugging Face hub describes its repositories. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from modelscan.registry.types import ModelVersion, RegistryModel, WeightsFile

_COMMIT = re.compile(r"[0-9a-f]{40}")
_POINTER_BYTES = 134


def commit_of(version: ModelVersion) -> str:
    """The commit of the weights; where none is stored, 40 digits that the version's name gives."""
    if version.revision is not None and _COMMIT.fullmatch(version.revision):
        return version.revision
    return hashlib.sha256(f"{version.name}:{version.digest}".encode()).hexdigest()[:40]


def location_of(version: ModelVersion, file: WeightsFile) -> str | None:
    """Where a file is; None: at no address that another machine could use.

    A URL that ends with ``/`` is a folder, one that ends with the file's name the file itself; any
    other one is a repository of a hub.
    """
    url = version.weights_url
    if url is None or urlsplit(url).scheme not in ("http", "https"):
        return None
    path = quote(file.path)
    if url.endswith("/"):
        return url + path
    if urlsplit(url).path.rsplit("/", 1)[-1] in (path, path.rsplit("/", 1)[-1]):
        return url
    revision = quote(version.revision or "main", safe="")
    return f"{url}/resolve/{revision}/{path}"


def model_info(
    model: RegistryModel, version: ModelVersion | None, *, blobs: bool = False
) -> dict[str, Any]:
    """A repository. ``version`` None: as in a list, without files."""
    row: dict[str, Any] = {
        "_id": hashlib.sha256(model.slug.encode()).hexdigest()[:24],
        "id": model.slug,
        "modelId": model.slug,
        "author": model.slug.partition("/")[0] if "/" in model.slug else None,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(model, version),
        "pipeline_tag": None,
        "library_name": None if version is None else version.format,
        "createdAt": model.created_at,
        "lastModified": model.updated_at,
        "cardData": _card(model),
    }
    if version is not None:
        row |= {
            "sha": commit_of(version),
            "lastModified": version.updated_at,
            "siblings": [_sibling(one, blobs=blobs) for one in version.files],
            "usedStorage": version.size_bytes or 0,
        }
    return row


def tree(version: ModelVersion) -> list[dict[str, Any]]:
    """The files, flat."""
    rows = []
    for one in version.files:
        row = {"type": "file", "path": one.path, "size": one.size_bytes or 0, "oid": _blob(one)}
        rows.append({**row, **_lfs(one, "oid")})
    return rows


def refs(model: RegistryModel, versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """Versions and aliases as tags; ``main`` is the newest published version."""
    by_number = {one.version: one for one in versions}
    tags = [_ref(number, one) for number, one in by_number.items()]
    tags += [_ref(name, by_number[number]) for name, number in model.aliases.items()]
    main = by_number.get(model.aliases.get("champion") or model.latest_version or "")
    branches = [] if main is None else [
        {"name": "main", "ref": "refs/heads/main", "targetCommit": commit_of(main)}
    ]  # fmt: skip
    return {"branches": branches, "tags": tags, "converts": []}


def _ref(name: str, version: ModelVersion) -> dict[str, str]:
    return {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit_of(version)}


def _tags(model: RegistryModel, version: ModelVersion | None) -> list[str]:
    own = model.tags if version is None else version.tags
    more = [f"license:{model.license}"] if model.license else []
    more += [f"base_model:{model.base}"] if model.base else []
    return [*own, *more]


def _card(model: RegistryModel) -> dict[str, Any]:
    facts = {"license": model.license, "base_model": model.base, "model_name": model.name}
    return {name: value for name, value in facts.items() if value is not None}


def _sibling(file: WeightsFile, *, blobs: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        row |= {"size": file.size_bytes, "blobId": _blob(file), **_lfs(file, "sha256")}
    return row


def _lfs(file: WeightsFile, name: str) -> dict[str, Any]:
    if file.sha256 is None:
        return {}
    pointer = {"size": file.size_bytes or 0, "pointerSize": _POINTER_BYTES}
    return {"lfs": {name: file.sha256, **pointer}}


def _blob(file: WeightsFile) -> str:
    """An id of the content, in the length of Git's; without a checksum, of the path."""
    return (file.sha256 or hashlib.sha256(file.path.encode()).hexdigest())[:40]
