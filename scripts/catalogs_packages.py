"""The packages that the bundled catalog is made from: pinned, fetched once into .cache/."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = REPOSITORY / ".cache" / "packages"


@dataclass(frozen=True, slots=True)
class Package:
    """``published`` is what the registry says (RFC 3339 UTC), None where it does not say."""

    registry: str  # pypi | npm
    name: str
    version: str
    licence: str
    published: str | None = None
    platform: str | None = None  # of the wheel to take; the data in it is the same on all
    python: str = "3.11"  # that the wheel is for

    @property
    def origin(self) -> str:
        return f"{self.registry}:{self.name} {self.version}"


MODELSDEV = Package(
    "npm", "opencode-linux-x64", "1.18.34", "MIT (data: models.dev)", "2026-09-30T22:40:10Z"
)
GPUSTACK = Package("pypi", "gpustack", "2.3.0", "Apache-2.0", "2026-10-23T09:50:52Z")
XINFERENCE = Package("pypi", "xinference", "4.1.0", "Apache-2.0", "2026-10-25T04:35:04Z")
LLMFIT = Package(
    "pypi", "llmfit", "1.1.17", "MIT", "2026-10-08T18:17:58Z", platform="manylinux_2_17_x86_64"
)
TRANSFORMERS = Package("pypi", "transformers", "5.24.0", "Apache-2.0", "2026-11-21T12:24:29Z")
LITGPT = Package("pypi", "litgpt", "0.5.13", "Apache-2.0", "2026-07-03T04:14:40Z")
WHICHLLM = Package("pypi", "whichllm", "0.5.21", "MIT", "2026-10-19T10:09:15Z")
QVAC = Package("npm", "@qvac/inference", "0.20.0", "Apache-2.0", "2026-09-23T03:34:28Z")
MAXTEXT = Package("pypi", "maxtext", "0.2.5", "Apache-2.0", platform="any", python="3.12")
CONFIGS = Package(
    "pypi", "aiconfigurator-core", "0.12.0", "Apache-2.0", "2026-09-18T16:49:37Z",
    platform="manylinux_2_28_x86_64",
)  # fmt: skip


def fetch(package: Package) -> Path:
    """The package's archive, downloaded with pip or npm unless the cache has it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = _cached(package)
    if found is None:
        (_npm if package.registry == "npm" else _pip)(package)
        found = _cached(package)
    if found is None:
        raise SystemExit(f"{package.origin} could not be fetched")
    return found


def _cached(package: Package) -> Path | None:
    npm = package.name.removeprefix("@").replace("/", "-")
    stem = package.name.replace("-", "_") if package.registry == "pypi" else npm
    return next(iter(sorted(CACHE.glob(f"{stem}-{package.version}*"))), None)


def _pip(package: Package) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(CACHE)]
    if package.platform:
        command += ["--only-binary=:all:", "--python-version", package.python, "--platform"]
        command += [package.platform]
    subprocess.run([*command, f"{package.name}=={package.version}"], check=True)


def _npm(package: Package) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to fetch the models.dev data (apt-get install npm)")
    spec = f"{package.name}@{package.version}"
    subprocess.run(
        [npm, "pack", "--silent", spec], cwd=CACHE, check=True, stdout=subprocess.DEVNULL
    )


def members(package: Package, *, inside: str, suffix: str) -> Iterator[tuple[str, bytes]]:
    """``(path, bytes)`` of the archive's files whose path contains ``inside``, in path order."""
    archive = fetch(package)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in sorted(wheel.namelist()):
                if inside in name and name.endswith(suffix):
                    yield name, wheel.read(name)
        return
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            stream = tar.extractfile(member) if inside in member.name else None
            if stream is not None and member.name.endswith(suffix):
                yield member.name, stream.read()
