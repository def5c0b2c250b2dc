"""A hub's answers about repositories, stored on this machine: file lists and config.json.

One small file per answer, with its commit and time, so that a plan queries a hub once. That a
repository or a config.json does not exist is an answer as well.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelscan.core.foreign import flag, mapping, rows, strings, text, whole
from modelscan.core.model import WeightFile
from modelscan.formats.gguf_json import from_json, to_json
from modelscan.state.files import ensure_dir, write_atomic

if TYPE_CHECKING:
    from modelscan.formats.gguf import GgufHeader
    from modelscan.state.paths import Paths

FORMAT = "modelscan.repository/1"
Kind = Literal["files", "config", "conversions", "header"]
# A config.json of a release does not change; conversions appear in the first days.
FRESH_HOURS: Mapping[Kind, float] = {
    "files": 24.0,
    "config": 24.0 * 30,
    "conversions": 24.0 * 7,
    "header": 24.0,
}  # a failed one; else as long as its commit


@dataclass(frozen=True, slots=True)
class FileList:
    """All files of a repository. ``files`` None: there is no such repository, or it is private."""

    source: str
    repo: str
    retrieved_at: str  # RFC 3339 UTC
    commit: str | None = None
    gated: bool | None = None
    downloads: int | None = None
    files: tuple[WeightFile, ...] | None = None
    complete: bool = True  # False if the hub left some out


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The config.json of a repository; ``config`` None: it has none, or it may not be read."""

    source: str
    repo: str
    retrieved_at: str
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conversions:
    """The GGUF repositories whose cards name ``repo`` as their base, most downloaded first."""

    source: str
    repo: str
    retrieved_at: str
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The header of a GGUF file, or of all parts of a split one, at a commit of its repository.
    ``header`` None: it could not be read. ``path``: the first file.
    """

    source: str
    repo: str
    retrieved_at: str
    commit: str | None
    path: str
    header: GgufHeader | None = None


class KeptAnswers:
    """The kept answers in one folder. Reading never fails: a damaged file counts as missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def at(cls, paths: Paths) -> KeptAnswers:
        """The answers in the catalog's cache folder."""
        return cls(paths.catalog_dir / "repositories")

    def files(self, source: str, repo: str) -> FileList | None:
        """The file list of a repository, however old."""
        body = self._read(source, repo, "files")
        if body is None:
            return None
        listed = body.get("files")
        return FileList(
            source, repo, str(body["retrieved_at"]), text(body.get("commit")),
            flag(body.get("gated")), whole(body.get("downloads")),
            None if listed is None else tuple(_file(row) for row in rows(listed)),
            body.get("complete") is not False,
        )  # fmt: skip

    def config(self, source: str, repo: str) -> ConfigFile | None:
        """The config.json of a repository, however old."""
        body = self._read(source, repo, "config")
        if body is None:
            return None
        config = body.get("config")
        stated = None if config is None else mapping(config)
        return ConfigFile(source, repo, str(body["retrieved_at"]), stated)

    def keep_files(self, listed: FileList) -> None:
        """Store a file list in place of the last one."""
        files = None if listed.files is None else [
            {"path": f.path, "size": f.size_bytes, "sha256": f.sha256} for f in listed.files
        ]  # fmt: skip
        self._write(
            listed.source, listed.repo, "files", listed.retrieved_at,
            commit=listed.commit, gated=listed.gated, downloads=listed.downloads, files=files,
            complete=listed.complete,
        )  # fmt: skip

    def keep_config(self, stated: ConfigFile) -> None:
        """Store a config.json in place of the last one."""
        config = stated.config
        self._write(stated.source, stated.repo, "config", stated.retrieved_at, config=config)

    def conversions(self, source: str, repo: str) -> Conversions | None:
        """The conversions of a repository, however old."""
        body = self._read(source, repo, "conversions")
        if body is None:
            return None
        names = strings(body.get("repositories"))
        return Conversions(source, repo, str(body["retrieved_at"]), names)

    def keep_conversions(self, listed: Conversions) -> None:
        """Store the conversions of a repository in place of the last ones."""
        names = list(listed.repositories)
        self._write(
            listed.source, listed.repo, "conversions", listed.retrieved_at, repositories=names
        )

    def header(self, source: str, repo: str) -> FileHeader | None:
        """The header that was read of a repository's files, however old."""
        body = self._read(source, repo, "header")
        if body is None:
            return None
        kept = body.get("header")
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return FileHeader(
                source, repo, str(body["retrieved_at"]), text(body.get("commit")),
                str(body["path"]), from_json(kept) if kept is not None else None,
            )  # fmt: skip
        return None

    def keep_header(self, read: FileHeader) -> None:
        """Store a header in place of the last one."""
        header = to_json(read.header) if read.header else None
        self._write(
            read.source, read.repo, "header", read.retrieved_at,
            commit=read.commit, path=read.path, header=header,
        )  # fmt: skip

    def _path(self, source: str, repo: str, kind: Kind) -> Path:
        name = repo.lower().replace("/", "--")
        return self.folder / f"{source}--{name}.{kind}.json"

    def _read(self, source: str, repo: str, kind: Kind) -> Mapping[str, Any] | None:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            body = mapping(json.loads(self._path(source, repo, kind).read_bytes()))
            if body.get("format") == FORMAT and text(body.get("retrieved_at")):
                return body
        return None

    def _write(self, source: str, repo: str, kind: Kind, retrieved_at: str, **body: Any) -> None:
        ensure_dir(self.folder)
        stated = {"format": FORMAT, "repo": repo, "retrieved_at": retrieved_at, **body}
        write_atomic(self._path(source, repo, kind), json.dumps(stated))


def _file(row: Mapping[str, Any]) -> WeightFile:
    return WeightFile(str(row.get("path")), whole(row.get("size")), text(row.get("sha256")))


_KINDS: Mapping[type[object], Kind] = {
    FileList: "files", ConfigFile: "config", Conversions: "conversions", FileHeader: "header",
}  # fmt: skip


def is_fresh(answer: FileList | ConfigFile | Conversions | FileHeader, now: datetime) -> bool:
    """Whether an answer is recent enough not to ask again."""
    kind = _KINDS[type(answer)]
    try:
        then = datetime.fromisoformat(answer.retrieved_at.replace("Z", "+00:00"))
    except ValueError:
        return False
    if then.tzinfo is None:
        then = then.replace(tzinfo=timezone.utc)
    return 0 <= (now - then).total_seconds() < FRESH_HOURS[kind] * 3600
