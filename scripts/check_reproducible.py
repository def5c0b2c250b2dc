"""Whether the wheel and the source archive have the same bytes when they are built again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
_EPOCH = "1767225600"  # 2026-01-01: any time, the same for every build


def archives(source: Path, folder: Path) -> dict[str, str]:
    """SHA-256 of the wheel and the source archive, built from a folder, by their names."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist",
               "-d", str(folder)]  # fmt: skip
    env = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL, env=env)
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}


def difference_faults(folder: Path) -> Iterator[str]:
    """Archives that differ when they are built again: elsewhere, later, with another umask."""
    copy = folder / "another place" / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    before = os.umask(0o077)
    try:
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / name, copy / name)
                (copy / name).chmod((REPOSITORY / name).stat().st_mode & 0o700)
        (copy / ".gitignore").touch()
        first, second = folder / "first", folder / "second"
        built = archives(REPOSITORY, first), archives(copy, second)
    finally:
        os.umask(before)
    for name, digest in built[0].items():
        if built[1].get(name) != digest:
            what = _different(first / name, second / name)
            yield f"{name} differs when it is built again: {what}"


def _different(first: Path, second: Path) -> str:
    """The members of two archives that are not equal, some of them."""
    if not second.is_file():
        return "it has another name"
    contents = [_members(one) for one in (first, second)]
    names = sorted(
        name
        for name in contents[0].keys() | contents[1].keys()
        if contents[0].get(name) != contents[1].get(name)
    )
    return ", ".join(names[:5]) or "the order or the modes of its members"


def _members(archive: Path) -> dict[str, str]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in wheel.namelist()}
    with tarfile.open(archive) as source:
        files = [one for one in source.getmembers() if one.isfile()]
        return {one.name: _hash(source.extractfile(one)) for one in files}


def _hash(file: IO[bytes] | None) -> str:
    return hashlib.sha256(file.read() if file is not None else b"").hexdigest()
