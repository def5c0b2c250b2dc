"""Where a Python engine (vLLM, SGLang) is installed.

A setting names a Python, a command or the environment's folder, and so does an engine that was
selected; without them the active environment, the PATH and this interpreter are searched. The
package is not imported (that takes seconds): its own Python reads the version from the metadata.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.engines import registry

_TIMEOUT_S = 20.0
_HEAD_BYTES = 512
_PYTHON_IN_HEAD = re.compile(rb"(/[^\s'\"]*python[\d.]*)")
_PROBE = """\
import importlib.metadata as metadata, importlib.util as util, json, os, sys
found, modules, names = (None, None), sys.argv[2].split(","), sys.argv[3:]
for name in names:
    try:
        found = name, metadata.version(name)
        break
    except metadata.PackageNotFoundError:
        pass
try:
    torch = metadata.version("torch")
except metadata.PackageNotFoundError:
    torch = None
spec = util.find_spec(sys.argv[1])
for root in spec and spec.submodule_search_locations or ():
    folder = os.path.dirname(root)
    there = [m for m in modules if os.path.isfile(os.path.join(folder, *m.split(".")) + ".py")]
    modules = there or modules
print(json.dumps([spec is not None, *found, torch, modules[0] if spec else None]))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An engine that can be started. ``version`` is None if its metadata has none."""

    engine: str
    python: str
    version: str | None
    cpu_only: bool
    module: str

    @property
    def command(self) -> tuple[str, ...]:
        """The command that starts its server, by module: some builds' console scripts are
        broken.
        """
        return (self.python, "-m", self.module)


def locate(engine: str, setting: str | None) -> Installed | None:
    """The engine's environment; None if it is not installed.

    Raises UsageError if ``setting`` names a place without this engine.
    """
    if setting is None:
        return _search(engine)
    for python in _pythons_of(setting):
        installed = probe(engine, python)
        if installed is not None:
            return installed
    raise UsageError(
        f"the setting {engine} is '{setting}', which has no {registry.engine(engine).title}",
        hint=f"modelscan config set {engine} PATH_OF_THE_PYTHON_THAT_HAS_IT",
        code="engine_missing",
    )


def missing(engine: str) -> ModelscanError:
    """The error for an engine that is not installed."""
    title = registry.engine(engine).title
    return ModelscanError(
        f"{title} is not installed in the active environment or on the PATH",
        hint=f"modelscan engine install {engine}",
        code="engine_missing",
    )


def _search(engine: str) -> Installed | None:
    for python in dict.fromkeys(_candidates(engine)):
        installed = probe(engine, python)
        if installed is not None:
            return installed
    return None


def _candidates(engine: str) -> Iterator[str]:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if os.environ.get(name):
            yield from _pythons_of(os.environ[name])
    command = shutil.which(engine)
    if command is not None:
        yield from _pythons_of(command)
    yield sys.executable
    for name in ("python3", "python"):
        path = shutil.which(name)
        if path is not None:
            yield path


def _pythons_of(place: str) -> list[str]:
    """The Pythons that a folder, a Python or a command may mean.

    Paths stay unresolved: a virtual environment's Python is a link.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        return [str(path / "bin" / name) for name in ("python", "python3")]
    which = shutil.which(str(path))
    if which is None:
        return []
    if Path(which).name.startswith("python"):
        return [str(Path(which).absolute())]
    try:
        with Path(which).open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return []
    match = _PYTHON_IN_HEAD.search(head) if head.startswith(b"#!") else None
    neighbour = [str(Path(which).absolute().parent / "python")]
    return [*([os.fsdecode(match[1])] if match else []), *neighbour]


def probe(engine: str, python: str) -> Installed | None:
    """Look for the engine in one Python; None if it has none, fails or does not exist.

    What was found is kept until something is installed there: a gateway lives for weeks.
    """
    return _probe(engine, python, _packages_changed(python))


def forget() -> None:
    """Look again in every Python."""
    _probe.cache_clear()


def _packages_changed(python: str) -> tuple[int, ...]:
    """When a package was last added to or removed from the folders that this Python may read."""
    prefix, version = Path(python).parent.parent, "lib/python3*"
    places = (
        *prefix.glob(f"{version}/site-packages"),
        *prefix.glob(f"{version}/dist-packages"),
        *prefix.glob(f"local/{version}/dist-packages"),
        *Path.home().glob(f".local/{version}/site-packages"),
        Path(python),
    )
    return tuple(place.stat().st_mtime_ns for place in places if place.exists())


@functools.lru_cache(maxsize=32)
def _probe(engine: str, python: str, _: tuple[int, ...]) -> Installed | None:
    package = registry.engine(engine).package
    if package is None:
        return None
    try:
        done = subprocess.run(
            [python, "-c", _PROBE, engine, ",".join(package.modules), *package.distributions],
            capture_output=True, timeout=_TIMEOUT_S, check=True, cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        importable, name, version, torch, module = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if not importable:
        return None
    cpu = str(name or "").endswith("-cpu") or any("+cpu" in str(v) for v in (version, torch))
    return Installed(engine, python, version, cpu, module)
