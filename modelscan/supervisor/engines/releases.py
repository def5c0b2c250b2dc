"""Releases of llama.cpp: the published list in GitHub's format, from its address or a mirror.

The SHA-256 of each archive is the one that the release publishes (``digest``); without one the user
must give it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from modelscan.core import foreign
from modelscan.core.errors import RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.net.errors import HttpError, not_json
from modelscan.state.files import write_atomic
from modelscan.supervisor.engines.fetch import archive_path
from modelscan.supervisor.engines.folders import Downloaded

if TYPE_CHECKING:
    from modelscan.net.client import HttpClient
    from modelscan.state.config import Config

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_TAG = re.compile(r"[\w][\w.+-]{0,63}")
_MIRROR = "modelscan config set llamacpp_releases URL_OF_A_MIRROR"
_LOOKED_AT = 20  # newest releases, where the latest has no build for the machine


@dataclass(frozen=True, slots=True)
class ReleaseAsset:
    """One published archive; ``sha256`` None: the release publishes none."""

    name: str
    url: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """One release, by its tag."""

    tag: str
    assets: tuple[ReleaseAsset, ...]

    def asset(self, name: str) -> ReleaseAsset:
        """The archive of that name."""
        return next(one for one in self.assets if one.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its archives."""
        return tuple(one.name for one in self.assets)


def releases(config: Config, http: HttpClient, version: str | None) -> Iterator[Release]:
    """The release of that tag; None: the latest one, then the newest of the list.

    Raises UsageError for a tag that is not there, RemoteError where the address does not answer.
    """
    base = config.llamacpp_releases.rstrip("/")
    if version is not None:
        yield _tagged(base, http, version)
        return
    latest = _get(http, f"{base}/latest", missing_ok=True)
    if latest is not None and (release := _release(latest, base)):
        yield release
    listed = _get(http, f"{base}?per_page={_LOOKED_AT}", missing_ok=latest is not None)
    for row in foreign.rows(listed):
        if not row.get("draft") and (release := _release(row, base)):
            yield release


def _tagged(base: str, http: HttpClient, version: str) -> Release:
    if not _TAG.fullmatch(version):
        raise UsageError(f"'{version}' is not a release's tag", hint="--version b11549")
    answer = _get(http, f"{base}/tags/{version}", missing_ok=True)
    release = None if answer is None else _release(answer, base)
    if release is None:
        raise UsageError(
            f"{base} has no release '{version}'",
            hint="modelscan engine install llama.cpp   (the latest one)",
            code="unknown_version",
        )
    return release


def _get(http: HttpClient, url: str, *, missing_ok: bool = False) -> Any:
    """The JSON of an address; None for 404 with ``missing_ok``."""
    try:
        answer = http.get(url, headers={"Accept": "application/vnd.github+json"})
    except HttpError as error:
        if error.status == 404 and missing_ok:
            return None
        raise RemoteError(
            f"llama.cpp's releases cannot be read: {error.message}",
            hint=f"{error.hint or 'try again later'}, or {_MIRROR}",
            code=error.code,
            details=error.details,
        ) from error
    try:
        return json_value(answer.body)
    except ValueError as error:
        raise not_json(url, answer.status, len(answer.body)) from error


def _release(row: Any, base: str) -> Release | None:
    """The release of one row; None where it has no tag."""
    data = foreign.mapping(row)
    tag = foreign.text(data.get("tag_name"))
    if tag is None or not _TAG.fullmatch(tag):
        return None
    return Release(tag, tuple(_assets(foreign.rows(data.get("assets")), base)))


def _assets(rows: Sequence[Mapping[str, Any]], base: str) -> Iterator[ReleaseAsset]:
    for row in rows:
        name, url = foreign.text(row.get("name")), foreign.text(row.get("browser_download_url"))
        size = foreign.whole(row.get("size"))
        if name is None or url is None or not size or "/" in name:
            continue
        digest = _DIGEST.fullmatch(foreign.text(row.get("digest")) or "")
        sha256 = digest[1].lower() if digest else None
        yield ReleaseAsset(name, urljoin(f"{base}/", url), size, sha256)


def remember(config: Config, tag: str, files: Sequence[Downloaded]) -> None:
    """Keep what was published of downloaded archives, for ``--offline``."""
    assets = {one.name: one for release in _kept(config, tag) for one in release.assets}
    assets |= {f.name: ReleaseAsset(f.name, f.url, f.size_bytes, f.sha256) for f in files}
    file = config.paths.engine_downloads_dir / f"{tag}.json"
    write_atomic(file, json.dumps(to_json(Release(tag, tuple(assets.values())))))


def remembered(config: Config, version: str | None = None) -> Iterator[Release]:
    """Releases of which archives are on this machine, the newest first, with those archives."""
    for release in _kept(config, version or "*"):
        here = [one for one in release.assets if _is_here(config, one)]
        yield Release(release.tag, tuple(here))


def _kept(config: Config, pattern: str) -> Iterator[Release]:
    files = config.paths.engine_downloads_dir.glob(f"{pattern}.json")
    for file in sorted(files, key=lambda one: one.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError, NotReadable):
            yield from_json(Release, json_value(file.read_bytes()))


def _is_here(config: Config, asset: ReleaseAsset) -> bool:
    file = Downloaded(asset.name, asset.url, asset.sha256 or "", asset.size_bytes)
    return archive_path(config, file).is_file()
