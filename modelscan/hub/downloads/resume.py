"""Downloads a file over as many connections as necessary; received bytes are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelscan.core.errors import RemoteError
from modelscan.core.model import WeightFile
from modelscan.hub.downloads.types import Moved
from modelscan.net.errors import HttpError
from modelscan.state.files import HOME_VARIABLE, explain_os_errors

_PAUSES_S = (0.3, 1.0)  # after a connection without data; after one with data, continue at once


def fetch_into(
    part: Path,
    file: WeightFile,
    stream: Callable[[int], Iterator[bytes]],
    moved: Moved,
) -> None:
    """Complete the file ``part``. ``stream(start)`` yields its bytes from byte ``start``.

    Raises RemoteError (``download_failed``) if no more data arrives; the part stays.
    """
    variable = "HF_HOME" if part.suffix == ".incomplete" else HOME_VARIABLE
    with explain_os_errors(part, variable), open(part, "ab") as target:
        size = target.seek(0, 2)
        if file.size_bytes is not None and size > file.size_bytes:
            size = target.truncate(0)
        moved(size, fresh=False)
        pauses = iter(_PAUSES_S)
        while not _complete(size, file):
            received, failure = _piece(target, size, stream, moved)
            size += received
            if failure is None and file.size_bytes is None:
                return
            if received:
                pauses = iter(_PAUSES_S)
                continue
            pause_s = next(pauses, None)
            if pause_s is None or (failure is not None and not _is_transient(failure)):
                raise _failed(file, size, failure)
            if failure is not None and failure.code == "no_ranges":
                moved(-size, fresh=False)
                size = target.truncate(0)
            time.sleep(pause_s)


def _complete(have: int, file: WeightFile) -> bool:
    return file.size_bytes is not None and have >= file.size_bytes


def _piece(
    target: BinaryIO,
    start: int,
    stream: Callable[[int], Iterator[bytes]],
    moved: Moved,
) -> tuple[int, HttpError | None]:
    """The number of bytes received over one connection, and the error that ended it."""
    received = 0
    try:
        for data in stream(start):
            target.write(data)
            received += len(data)
            moved(len(data))
    except HttpError as error:
        return received, error
    finally:
        target.flush()
    return received, None


def _is_transient(error: HttpError) -> bool:
    return error.code in ("broken", "no_ranges", "connect") or (error.status or 0) >= 500


def _failed(file: WeightFile, have: int, error: HttpError | None) -> RemoteError:
    why = f": {error.message}" if error is not None else ""
    return RemoteError(
        f"{file.path} ended after {have} of {file.size_bytes} bytes{why}",
        hint="try again: the download resumes where it stopped", code="download_failed",
    )  # fmt: skip
