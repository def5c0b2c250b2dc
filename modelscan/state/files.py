"""Atomic files: a crash at any instant leaves the old or the new file, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelscan.core.errors import ModelscanError

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700
HOME_VARIABLE = "MODELSCAN_HOME"  # moves every folder of modelscan


def ensure_dir(path: Path) -> Path:
    """Create a private folder (mode 0700) and its parents, whatever the umask.

    Raises ModelscanError on failure.
    """
    with explain_os_errors(path):
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for folder in reversed(missing):  # mkdir(parents=True) gives parents the umask's mode
            folder.mkdir(exist_ok=True, mode=PRIVATE_DIR)
        path.mkdir(exist_ok=True, mode=PRIVATE_DIR)  # raises where a file has that name
    return path


def open_private(path: Path) -> BinaryIO:
    """A new, empty file for writing that only its owner can read. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")


def write_atomic(path: Path, data: bytes | str, *, mode: int = PRIVATE_FILE) -> None:
    """Replace ``path`` by ``data``: temporary file in the same folder, fsync, rename, fsync folder.

    An existing file keeps its permission bits. A symbolic link is followed, so that a routing file
    linked from a dotfiles repository stays linked. Raises ModelscanError on failure.
    """
    target = _link_target(path) if path.is_symlink() else path
    payload = data.encode() if isinstance(data, str) else data
    ensure_dir(target.parent)
    with explain_os_errors(target):
        keep = target.stat().st_mode & 0o777 if target.exists() else mode
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(payload)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(keep)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_dir(target.parent)


def read_edited(
    path: Path, most_characters: int, unreadable: Callable[[str], ModelscanError]
) -> str | None:
    """The text of a file that users edit, one character more than ``most_characters`` at the most;
    None if there is no file. Raises ``unreadable(reason)`` for anything else.
    """
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise unreadable("it is not a file")  # a pipe would never end
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read(most_characters + 1)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise unreadable("it is not UTF-8 text") from error
    except OSError as error:
        raise unreadable(error.strerror or str(error)) from error


def _link_target(link: Path) -> Path:
    """The target of a symbolic link. Raises ModelscanError if the link points to itself."""
    try:
        target = link.resolve()
    except RuntimeError:  # Python < 3.13 raises this for a loop, later versions return the link
        target = link
    if target.is_symlink():
        loop = OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        raise os_error(f"cannot write {link}", loop, link)
    return target


def _sync_dir(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def explain_os_errors(path: Path, variable: str = HOME_VARIABLE) -> Iterator[None]:
    """Turn file system errors (full, read-only, no permission) into a ModelscanError.

    ``variable`` is the environment variable that moves the folder of ``path``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in EXPLAINED:
            raise
        raise os_error(f"cannot write {path}", error, path, variable) from error


def os_error(
    what: str, error: OSError, path: Path | str | None = None, variable: str = HOME_VARIABLE
) -> ModelscanError:
    """An operating system error as a ModelscanError, with a hint for the usual cause."""
    number = error.errno or 0
    return ModelscanError(
        f"{what}: {error.strerror or error}",
        hint=remedy(number, path, variable),
        code="file_system",
        details={
            "path": None if path is None else str(path),
            "errno": errno.errorcode.get(number, "?"),
        },
    )


def remedy(number: int, path: Path | str | None, variable: str = HOME_VARIABLE) -> str:
    """The hint for an error number: the folder that is meant, and the variable that moves it."""
    if path is None or number not in EXPLAINED:
        return "modelscan doctor"
    return EXPLAINED[number].format(folder=_existing(Path(path)), variable=variable)


def _existing(path: Path) -> Path:
    """The nearest folder that exists."""
    return next((one for one in (path, *path.parents) if os.path.isdir(one)), path)  # noqa: PTH112 - a name may be too long for ``Path.is_dir``


_FULL = "free some space in {folder}, or set {variable} to a folder on another disk"
_REFUSED = "set {variable} to a folder that can be written ({folder} cannot)"
EXPLAINED = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or set {variable} to another folder",
    errno.EROFS: _REFUSED,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.ENOTDIR: "a part of that path is a file: set {variable} to a folder",
    errno.EEXIST: "a part of that path is a file: set {variable} to a folder",
    errno.ENAMETOOLONG: "choose a shorter name or {variable}",
    errno.EISDIR: "a folder has that name: move it away",
    errno.ENOENT: "set {variable} to a folder that can be written",
    errno.ELOOP: "a symbolic link on that path points to itself",
}
