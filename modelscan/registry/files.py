"""The file of an export: written whole, and read line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.registry.answers import RegistryTransferred
from modelscan.registry.transfer import MOST_LINE, exported, imported
from modelscan.state.files import write_atomic
from modelscan.state.server.audit import Actor


def write_export(connection: sa.Connection, file: Path) -> RegistryTransferred:
    """Write every model. Raises ModelscanError where the file cannot be written."""
    lines = [*exported(connection)]
    data = "".join(lines).encode()
    try:
        write_atomic(file, data)
    except OSError as error:
        raise ModelscanError(
            f"cannot write {file}: {error.strerror or error}",
            hint="modelscan registry export FILE   (in another folder)",
            code="file_system",
        ) from error
    models = sum('"last_number":' in line[:20] for line in lines)
    digest = hashlib.sha256(data).hexdigest()
    return RegistryTransferred(str(file), models, len(lines) - 1 - models, sha256=digest)


def read_export(
    connection: sa.Connection, who: Actor, file: Path, governed: Collection[str] = ()
) -> RegistryTransferred:
    """Read models, in the caller's transaction. Raises UsageError for a file that cannot be read,
    and RegistryRefused like ``imported``.
    """
    try:
        with file.open("rb") as stream:
            models, versions, unchanged = imported(connection, who, _lines(stream), governed)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror or error}", hint=f"ls -l '{file.parent}'",
            code="no_file",
        ) from error  # fmt: skip
    return RegistryTransferred(str(file), models, versions, unchanged)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """No line takes more memory than the longest that is accepted."""
    while line := stream.readline(MOST_LINE + 1):
        yield line
