"""An engine's log: bounded on disk, read as lines, followed while the engine runs.

Two files hold it: the current one, and the one before (``.1``: the previous run, or the earlier
part of a long one). A third, small one says where the text of the present start begins, so that
figures are read from one start only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from modelscan.state.files import open_private

_FOLLOW_POLL_S = 0.1
_READ_LIMIT_BYTES = 16 << 20


def older(file: Path) -> Path:
    """The rotated part of a log."""
    return file.with_name(file.name + ".1")


def mark_of(file: Path) -> Path:
    """The file that says where the text of the present start begins."""
    return file.with_name(file.name + ".start")


class RotatingLog:
    """Appends bytes; at ``limit_bytes`` the file becomes ``.1``, so the log has at most twice that.

    A log that cannot be written (disk full) loses lines but never stops the engine.
    """

    def __init__(self, file: Path, limit_bytes: int) -> None:
        self._file, self._limit, self._size, self._fd = file, limit_bytes, 0, -1
        if file.exists():
            file.replace(older(file))
        self._open()
        self.begin()

    def begin(self) -> None:
        """The engine is started (again): its text begins here."""
        size = os.fstat(self._fd).st_size if self._fd >= 0 else 0  # a full disk takes no bytes
        self._mark(rotated=False, offset=size)

    def write(self, data: bytes) -> None:
        """Appends data; beyond the limit, the file ends with the data's last whole line."""
        if self._size + len(data) <= self._limit:
            self._append(data)
            return
        cut = data.rfind(b"\n") + 1
        if cut == 0 and self._size + len(data) <= 2 * self._limit:
            self._append(data)  # in the middle of a long line
            return
        self._append(data[:cut])
        self._rotate()
        self._append(data[cut:])

    def close(self) -> None:
        """Close the file; a second call has no effect."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotate(self) -> None:
        self.close()
        try:
            self._file.replace(older(self._file))
        except OSError:
            return
        self._open()
        self._mark(rotated=True, offset=0 if self._rotated else self._offset)

    def _mark(self, *, rotated: bool, offset: int) -> None:
        """Record the beginning: an offset in the current file, or in the rotated one."""
        self._rotated, self._offset = rotated, offset
        mark = mark_of(self._file)
        try:
            with open_private(mark) as stream:
                stream.write(json.dumps({"rotated": rotated, "offset": offset}).encode())
        except OSError:  # without a mark, the current file counts
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(self._file, flags, 0o600)
        except OSError:
            self._fd = -1
        self._size = 0

    def _append(self, data: bytes) -> None:
        self._size += len(data)
        if self._fd < 0 or not data:
            return
        try:
            os.write(self._fd, data)
        except OSError:
            return


def read_text(file: Path) -> str:
    """The whole log, the rotated part first; "" when there is none."""
    return "".join(_read(part) for part in (older(file), file))


def current_text(file: Path) -> str:
    """The log of the present start: never that of an earlier run, nor of an engine that its
    supervisor has restarted since. Without a mark (an earlier release wrote the log): the file.
    """
    rotated, offset = _marked(file)
    if rotated:
        return _read(older(file), offset) + _read(file)
    return _read(file, offset)


def _marked(file: Path) -> tuple[bool, int]:
    try:
        value = json.loads(mark_of(file).read_text())
        return bool(value["rotated"]), max(0, int(value["offset"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False, 0


def _read(file: Path, offset: int = 0) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(_READ_LIMIT_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def tail(file: Path, count: int | None) -> list[str]:
    """The last ``count`` lines; None: all lines on disk."""
    lines = read_text(file).splitlines()
    return lines if count is None else list(deque(lines, maxlen=count))


def follow(
    file: Path, alive: Callable[[], bool], *, count: int | None = None, poll_s: float | None = None
) -> Iterator[str]:
    """The last ``count`` lines, then new ones as they are written; ends when the writer has
    ended.
    """
    rotated = _read(older(file)).splitlines()
    stream, partial = None, ""
    try:
        stream = _try_open(file)
        text = stream.read().decode("utf-8", "replace") if stream else ""
        *lines, partial = text.split("\n")
        yield from deque([*rotated, *lines], maxlen=count)
        while True:
            was_alive = alive()
            data = stream.read().decode("utf-8", "replace") if stream else ""
            *lines, partial = (partial + data).split("\n")
            yield from lines
            if not data:
                if _replaced(stream, file):
                    if stream:
                        stream.close()
                    stream = _try_open(file)
                elif not was_alive:
                    break
                else:
                    time.sleep(poll_s or _FOLLOW_POLL_S)
        if partial:
            yield partial
    finally:
        if stream:
            stream.close()


def _try_open(file: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a binary stream
    try:
        return file.open("rb")
    except FileNotFoundError:
        return None


def _replaced(stream, file: Path) -> bool:  # type: ignore[no-untyped-def]  # noqa: ANN001
    try:
        current = file.stat().st_ino
    except FileNotFoundError:
        return False
    return stream is None or os.fstat(stream.fileno()).st_ino != current
