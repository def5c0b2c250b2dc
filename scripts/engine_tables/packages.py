"""The engines' published sources: which releases, fetched with pip into .cache/engines/.

Source distributions are fetched without building them: pip asks a build backend for a package's
metadata, and the stand-in below answers with the PKG-INFO that the archive already contains, so no
``setup.py`` runs. Releases without a source distribution are taken as the wheel of one platform:
the Python files in it are the same on all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.catalogs_packages import REPOSITORY

CACHE = REPOSITORY / ".cache" / "engines"
_BACKEND = """
import pathlib
def _metadata(folder):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    stated = [line for line in text.splitlines() if line.startswith(("Name: ", "Version: "))]
    lines = dict(line.split(": ", 1) for line in stated)
    name = f"{lines['Name'].replace('-', '_')}-{lines['Version']}.dist-info"
    (pathlib.Path(folder) / name).mkdir()
    (pathlib.Path(folder) / name / "METADATA").write_text(text, encoding="utf-8")
    return name
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return _metadata(metadata_directory)
def build_wheel(*args, **kwargs):
    raise RuntimeError("nothing is built here")
def get_requires_for_build_wheel(config_settings=None):
    return []
"""
_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\.(\d+))?(?:\.post(\d+))?$")
_WHEEL = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
_PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64", "any")


@dataclass(frozen=True, slots=True)
class Distribution:
    """A package and the releases to read: all from ``oldest`` on, ``posts`` says of each release
    with post-releases whether all of them or the first and the last are read. ``wheels``: a release
    without sources is read from its wheel.
    """

    name: str
    oldest: str
    wheels: bool = False
    every_post: bool = True


DISTRIBUTIONS = (
    Distribution("vllm", "0.7.0"),
    Distribution("sglang", "0.4.0", wheels=True, every_post=False),
    Distribution("xllamacpp", "0.2.0"),
)


def version_key(version: str) -> tuple[int, ...]:
    """``0.8.5.post1`` -> (0, 8, 5, 0, 1); raises ValueError for pre-releases."""
    match = _RELEASE.match(version)
    if not match:
        raise ValueError(version)
    return tuple(int(part or 0) for part in match.groups())


def releases(distribution: Distribution) -> list[str]:
    """The final releases to read, oldest first, as the index lists them today."""
    command = [sys.executable, "-m", "pip", "index", "versions", distribution.name]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("Available versions:"))
    names = [name.strip() for name in line.partition(":")[2].split(",")]
    final = sorted((n for n in names if _RELEASE.match(n)), key=version_key)
    chosen = [n for n in final if version_key(n) >= version_key(distribution.oldest)]
    return chosen if distribution.every_post else list(_first_and_last(chosen))


def _first_and_last(versions: Iterable[str]) -> Iterator[str]:
    groups: dict[tuple[int, ...], list[str]] = {}
    for version in versions:
        groups.setdefault(version_key(version)[:3], []).append(version)
    for group in groups.values():
        yield from dict.fromkeys((group[0], group[-1]))


def fetch(distribution: Distribution, version: str) -> Path | None:
    """The archive of one release, from the cache or the index; None where none can be read."""
    folder = CACHE / f"{distribution.name}-{version}"
    if (folder / "absent").exists():
        return None
    if not _archive(folder):
        folder.mkdir(parents=True, exist_ok=True)
        problem = _download(distribution, version, folder)
        if problem:
            print(f"{distribution.name} {version}: {problem}", file=sys.stderr, flush=True)
    return _archive(folder)


def _archive(folder: Path) -> Path | None:
    names = sorted(folder.glob("*")) if folder.is_dir() else []
    return next((p for p in names if p.name.endswith((".tar.gz", ".whl", ".zip"))), None)


def _download(distribution: Distribution, version: str, folder: Path) -> str | None:
    """Try the sources, then the wheel. Notes a release that has neither in the cache."""
    requirement = f"{distribution.name}=={version}"
    base = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    with tempfile.TemporaryDirectory() as stub:
        backend = Path(stub) / "setuptools"
        backend.mkdir()
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(_BACKEND, encoding="utf-8")
        sources = [*base, "--no-build-isolation", "--no-binary", distribution.name, requirement]
        done = _run(sources, {"PYTHONPATH": stub})
    if not done or not distribution.wheels:
        return _note(folder, done)
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    return _note(folder, _run([*base, *_WHEEL, *platforms, requirement], {}))


def _note(folder: Path, problem: str | None) -> str | None:
    if problem and "No matching distribution" in problem:
        (folder / "absent").write_text(problem, encoding="utf-8")
    return problem


def _run(command: list[str], extra: Mapping[str, str]) -> str | None:
    """None where it went well, else its last error line."""
    environment = {**os.environ, **extra}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return None if done.returncode == 0 else (errors or ["pip failed"])[-1]


def members(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """``(path inside the package's top folder, text)`` of the files that ``wanted`` matches."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if wanted.search(name):
                    yield name, wheel.read(name).decode("utf-8", "replace")
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            stream = tar.extractfile(member) if member.isfile() and wanted.search(path) else None
            if stream is not None:
                yield path, stream.read().decode("utf-8", "replace")
