"""A file that arrives in as many pieces as it takes: what is there is kept and continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelscan.core.errors import RemoteError
from modelscan.core.model import WeightFile
from modelscan.hub.downloads.types import Moved
from modelscan.net.errors import HttpError
from modelscan.state.files import explain_os_errors

_PAUSES_S = (0.3, 1.0)  # after a connection that brought nothing; one that did is simply renewed


def fetch_into(
    part: Path,
    file: WeightFile,
    stream: Callable[[int], Iterator[bytes]],
    moved: Moved,
) -> None:
    """Make ``part`` the whole file. ``stream(start)`` gives its bytes from there on.

    Raises RemoteError (``download_failed``) when nothing arrives any more: the part stays.
    """
    with explain_os_errors(part), open(part, "ab") as target:
        have = target.seek(0, 2)
        if file.size_bytes is not None and have > file.size_bytes:
            have = target.truncate(0)
        moved(have, fresh=False)
        pauses = iter(_PAUSES_S)
        while not _complete(have, file):
            arrived, failure = _piece(target, have, stream, moved)
            have += arrived
            if failure is None and file.size_bytes is None:
                return
            if arrived:
                pauses = iter(_PAUSES_S)
                continue
            pause_s = next(pauses, None)
            if pause_s is None or (failure is not None and not _passing(failure)):
                raise _failed(file, have, failure)
            if failure is not None and failure.code == "no_ranges":
                moved(-have, fresh=False)
                have = target.truncate(0)
            time.sleep(pause_s)


def _complete(have: int, file: WeightFile) -> bool:
    return file.size_bytes is not None and have >= file.size_bytes


def _piece(
    target: BinaryIO,
    start: int,
    stream: Callable[[int], Iterator[bytes]],
    moved: Moved,
) -> tuple[int, HttpError | None]:
    """What one connection brought, and why it ended early."""
    arrived = 0
    try:
        for data in stream(start):
            target.write(data)
            arrived += len(data)
            moved(len(data))
    except HttpError as error:
        return arrived, error
    finally:
        target.flush()
    return arrived, None


def _passing(error: HttpError) -> bool:
    return error.code in ("broken", "no_ranges", "connect") or (error.status or 0) >= 500


def _failed(file: WeightFile, have: int, error: HttpError | None) -> RemoteError:
    why = f": {error.message}" if error is not None else ""
    return RemoteError(
        f"{file.path} ended after {have} of {file.size_bytes} bytes{why}",
        hint="try again: what has arrived is kept and resumed", code="download_failed",
    )  # fmt: skip
