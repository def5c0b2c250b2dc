"""Locks between processes. A read that decides on a change must happen under the same lock.

``flock`` locks end with their process, so a killed command never leaves a lock behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.state.files import PRIVATE_FILE, ensure_dir, explain_os_errors

PATIENCE_S = 120.0  # such locks are held for milliseconds: only a crowd on a busy machine waits


@contextlib.contextmanager
def hold(
    lock_file: Path, *, timeout_s: float = PATIENCE_S, what: str | None = None
) -> Iterator[None]:
    """Hold an exclusive lock.

    Raises ModelscanError if another command keeps it for ``timeout_s``.
    """
    import filelock

    ensure_dir(lock_file.parent)
    lock = filelock.FileLock(lock_file, timeout=timeout_s, mode=PRIVATE_FILE)
    with explain_os_errors(lock_file):
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise ModelscanError(
                f"{what or lock_file.stem} is being changed by another modelscan command "
                f"(waited {timeout_s:g} s)",
                hint="wait for the other command to finish, then try again",
                code="locked",
            ) from error
    try:
        yield
    finally:
        lock.release()
