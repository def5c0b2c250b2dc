"""Unpacks a release's archive into an empty folder, and refuses one that could write elsewhere.

Refused: absolute names, ``..``, devices, links out of their folder (Linux builds link
``libllama.so`` to ``libllama.so.0``, so links to a name in the same folder are kept), a name that
occurs twice, and more bytes or entries than ``ArchiveLimits`` allow. Links are made last, so that
no file is written through one.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from modelscan.core.errors import ModelscanError
from modelscan.core.units import GIB, MIB, format_bytes
from modelscan.state.files import ensure_dir, explain_os_errors

_PIECE = 1 << 20
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, gzip.BadGzipFile,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """``total_bytes`` after unpacking; ``ratio`` to the archive's bytes, above ``free_bytes``."""

    total_bytes: int = 8 * GIB
    ratio: int = 40
    free_bytes: int = 256 * MIB
    entries: int = 20_000

    def of(self, archive_bytes: int) -> int:
        """The most bytes that an archive of this size may become."""
        return min(self.total_bytes, max(self.free_bytes, self.ratio * archive_bytes))


@dataclass(frozen=True, slots=True)
class _Entry:
    """``link``: its target. ``data`` None: a folder, a link, or something that is refused."""

    name: str
    size: int
    mode: int
    link: str | None = None
    data: IO[bytes] | None = None
    kind: str = "file"


class _Limited:
    """A stream that refuses to yield more than ``left`` bytes."""

    def __init__(self, stream: gzip.GzipFile, left: int, archive: Path) -> None:
        self._stream, self._left, self._archive = stream, left, archive

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise _refused(self._archive, "it unpacks to far more than it may")
        return data


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> int:
    """Unpack into ``folder``, which is created; returns the bytes written.

    Raises ModelscanError: ``unsafe_archive`` for one that is refused, ``damaged_archive`` for one
    that cannot be read, ``file_system`` where the disk is full.
    """
    rules = limits or ArchiveLimits()
    most = rules.of(archive.stat().st_size)
    ensure_dir(folder)
    links: list[_Entry] = []
    written = 0
    with _explained(archive):
        for number, entry in enumerate(_entries(archive, most)):
            _check(entry, archive)
            if number >= rules.entries:
                raise _refused(archive, f"it has more than {rules.entries:,} entries")
            if written + entry.size > most:
                raise _refused(archive, f"it unpacks to more than {format_bytes(most)}")
            if entry.link is not None:
                links.append(entry)
            else:
                written += _write(entry, folder, archive, most - written)
        for entry in links:
            _make_link(entry, folder, archive)
        for entry in links:
            _check_link(entry, folder, archive)
    return written


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turn what the readers of archives raise into one error."""
    try:
        yield
    except _DAMAGED as error:
        raise _damaged(archive, str(error)) from error


def _entries(archive: Path, most: int) -> Iterator[_Entry]:
    if archive.name.endswith(".zip"):
        return _zipped(archive)
    return _tarred(archive, most)


def _zipped(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode) or stat.S_IFREG
            if info.is_dir():
                yield _Entry(info.filename, 0, mode, kind="folder")
            elif kind == stat.S_IFLNK:
                target = file.read(info)[:4096] if info.file_size <= 4096 else b"/"
                yield _Entry(info.filename, 0, mode, link=target.decode(errors="replace"))
            elif kind == stat.S_IFREG:
                with file.open(info) as data:
                    yield _Entry(info.filename, info.file_size, mode, data=data)
            else:
                yield _Entry(info.filename, 0, mode, kind="device")


def _tarred(archive: Path, most: int) -> Iterator[_Entry]:
    with gzip.open(archive) as plain:
        # Headers and padding count as well: a header may be as large as a file.
        limited = _Limited(plain, most + 64 * MIB, archive)
        with tarfile.open(fileobj=limited, mode="r|") as file:  # type: ignore[call-overload]
            for info in file:
                if info.isdir():
                    yield _Entry(info.name, 0, info.mode, kind="folder")
                elif info.issym():
                    yield _Entry(info.name, 0, info.mode, link=info.linkname)
                elif info.isreg() and (data := file.extractfile(info)):
                    yield _Entry(info.name, info.size, info.mode, data=data)
                else:
                    kind = "hard link" if info.islnk() else "device"
                    yield _Entry(info.name, 0, info.mode, kind=kind)


def _check(entry: _Entry, archive: Path) -> None:
    """Raise ``unsafe_archive`` for an entry that is not a file, folder or link below the folder."""
    name = entry.name
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name:
        raise _refused(archive, f"'{name[:200]}' would be written outside of its folder")
    if not name.isprintable() or len(name) > 1024:
        raise _refused(archive, f"the name {name[:80]!r} is not plain text")
    if entry.kind not in ("file", "folder"):
        raise _refused(archive, f"'{name[:200]}' is a {entry.kind}")
    if entry.link is not None and (set(entry.link) & set("/\\\0") or entry.link in ("", ".", "..")):
        raise _refused(archive, f"'{name[:200]}' is a link to {entry.link[:200]!r}")


def _write(entry: _Entry, folder: Path, archive: Path, most: int) -> int:
    """Write one file or folder; returns its bytes."""
    path = folder / entry.name
    if entry.data is None:
        ensure_dir(path)
        return 0
    ensure_dir(path.parent)
    mode = 0o700 if entry.mode & 0o100 else 0o600
    with explain_os_errors(folder):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        except FileExistsError as error:
            raise _refused(archive, f"'{entry.name}' occurs twice") from error
        with os.fdopen(descriptor, "wb") as target:
            return _copy(entry.data, target, archive, most)


def _copy(source: IO[bytes], target: IO[bytes], archive: Path, most: int) -> int:
    written = 0
    while data := source.read(_PIECE):
        written += len(data)
        if written > most:
            raise _refused(archive, "an entry is larger than its header states")
        target.write(data)
    return written


def _make_link(entry: _Entry, folder: Path, archive: Path) -> None:
    """A link whose target is a file in the same folder of the archive."""
    path = folder / entry.name
    assert entry.link is not None
    ensure_dir(path.parent)
    with explain_os_errors(folder):
        if path.is_symlink() or path.exists():
            raise _refused(archive, f"'{entry.name}' occurs twice")
        path.symlink_to(entry.link)


def _check_link(entry: _Entry, folder: Path, archive: Path) -> None:
    """Raise ``unsafe_archive`` where links do not end at a file of the archive."""
    if not os.path.isfile(os.path.realpath(folder / entry.name)):  # noqa: PTH113 - a loop of links
        raise _refused(archive, f"'{entry.name[:200]}' is a link to no file of the archive")


def _refused(archive: Path, why: str) -> ModelscanError:
    return ModelscanError(
        f"{archive.name} is not unpacked: {why}",
        hint="nothing was installed; report it to the project that published it",
        code="unsafe_archive",
        details={"file": str(archive)},
    )


def _damaged(archive: Path, why: str) -> ModelscanError:
    return ModelscanError(
        f"{archive.name} cannot be read: {why}",
        hint=f"rm {archive}   (then try again)",
        code="damaged_archive",
        details={"file": str(archive)},
    )
