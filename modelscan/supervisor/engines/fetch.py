"""Downloads an offer's archives: resumed, checked by size and SHA-256, kept for ``--offline``."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.model import WeightFile
from modelscan.core.units import format_bytes
from modelscan.hub.downloads.progress import Meter
from modelscan.hub.downloads.pull import damage
from modelscan.hub.downloads.resume import fetch_into
from modelscan.state.files import ensure_dir, explain_os_errors

if TYPE_CHECKING:
    from modelscan.hub.downloads.types import Report
    from modelscan.net.client import HttpClient
    from modelscan.state.config import Config
    from modelscan.supervisor.engines.folders import Downloaded


def archive_path(config: Config, file: Downloaded) -> Path:
    """Where a downloaded archive is kept; its name begins with its SHA-256."""
    return config.paths.engine_downloads_dir / f"{file.sha256[:12]}-{file.name}"


def fetch(
    files: tuple[Downloaded, ...], config: Config, http: HttpClient, report: Report | None
) -> tuple[Path, ...]:
    """The archives on this machine, each with the SHA-256 that was announced.

    Raises RemoteError where the server does not answer, ModelscanError for a wrong SHA-256 (the
    file is deleted) and for a full disk.
    """
    meter = Meter(sum(file.size_bytes for file in files), report)
    return tuple(_fetch(file, config, http, meter) for file in files)


def _fetch(file: Downloaded, config: Config, http: HttpClient, meter: Meter) -> Path:
    target = archive_path(config, file)
    described = WeightFile(file.name, file.size_bytes, file.sha256)
    if target.is_file() and damage(target, described) is None:
        return target
    meter.file = file.name
    ensure_dir(target.parent)
    part = target.with_name(f"{target.name}.part")
    fetch_into(part, described, lambda start: _stream(http, file, start), meter.moved)
    found = damage(part, described)
    if found is not None:
        part.unlink(missing_ok=True)
        raise ModelscanError(
            f"{file.name} is not the file that the release describes: {found.text}",
            hint="nothing was installed, and the download was deleted; try again, and check the "
            "address: modelscan config get llamacpp_releases",
            code=found.code,
            details={"file": file.name, "expected": found.expected, "found": found.found},
        )
    with explain_os_errors(target):
        part.replace(target)
    return target


def _stream(http: HttpClient, file: Downloaded, start: int) -> Iterator[bytes]:
    """The file's bytes from ``start``, never more than were announced."""
    left = file.size_bytes - start
    with contextlib.closing(_generator(http, file.url, start)) as pieces:
        for piece in pieces:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return


def _generator(http: HttpClient, url: str, start: int) -> Generator[bytes, None, None]:
    yield from http.stream(url, start)


def missing_bytes(files: tuple[Downloaded, ...], config: Config) -> int:
    """Bytes that are not on this machine yet."""
    return sum(file.size_bytes for file in files if not archive_path(config, file).is_file())


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise ModelscanError (``no_space``) unless that much is free on the folder's disk."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise ModelscanError(
            f"{what} needs {format_bytes(needed_bytes)} in {existing}, {format_bytes(free)} are "
            "free",
            hint=f"free some space in {existing}, or set MODELSCAN_HOME to a folder on another "
            "disk",
            code="no_space",
            details={"needed_bytes": needed_bytes, "free_bytes": free},
        )


@contextmanager
def deleted_on_failure(folder: Path) -> Iterator[Path]:
    """A folder that does not survive an error or Ctrl-C."""
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
