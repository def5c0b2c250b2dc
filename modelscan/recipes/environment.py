"""The interpreter that runs a recipe's script: it must have the exact packages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.recipes.manifest import REQUIREMENTS
from modelscan.recipes.shown import VENV, interpreter

if TYPE_CHECKING:
    from modelscan.recipes.manifest import RecipeManifest

_PROBE = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps({"python": list(sys.version_info[:3]), "packages": found}))
"""
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9][0-9A-Za-z.]*)")
_BOUND = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")
_PATIENCE_S = 120


def require_environment(folder: Path, manifest: RecipeManifest, python: str | None) -> str:
    """The interpreter: the given one, the folder's, or the one that runs modelscan.

    Raises NotDeployableError (exit 3) with every package that is missing or has another version,
    and the commands that make the environment.
    """
    if not manifest.requirements:  # the script needs modelscan itself
        return sys.executable
    chosen = python or interpreter(folder)
    names = [match["name"] for match in map(_PIN.match, manifest.requirements) if match]
    version, packages = _probed(chosen, names)
    faults = [*_python_faults(manifest.python, version), *_faults(manifest.requirements, packages)]
    if not faults:
        return chosen
    venv, pip = folder / VENV, folder / VENV / "bin" / "pip"
    install = f"{shlex.quote(str(pip))} install -r {shlex.quote(str(folder / REQUIREMENTS))}"
    raise NotDeployableError(
        f"{chosen} lacks what the recipe needs: {'; '.join(faults)}",
        hint=f"python3 -m venv {shlex.quote(str(venv))} && {install}",
        code="missing_packages",
        details={"python": chosen, "missing": faults},
    )


def _probed(python: str, names: list[str]) -> tuple[tuple[int, ...], dict[str, str | None]]:
    try:
        result = subprocess.run(
            [python, "-I", "-c", _PROBE, *names],
            capture_output=True, text=True, timeout=_PATIENCE_S, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        answer = json.loads(result.stdout)
        return tuple(answer["python"]), dict(answer["packages"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{python} is no Python that runs: {type(error).__name__}",
            hint="--python /path/to/python3.12",
            code="no_python",
        ) from error


def _python_faults(spec: str, version: tuple[int, ...]) -> list[str]:
    """The range as one fault where the version is outside of it."""
    for sign, text in _BOUND.findall(spec):
        bound = _numbers(text)
        if (version < bound) if sign == ">=" else (version[: len(bound)] >= bound):
            return [f"Python {spec}, this is {'.'.join(map(str, version))}"]
    return []


def _faults(requirements: tuple[str, ...], packages: dict[str, str | None]) -> list[str]:
    faults = []
    for requirement in requirements:
        match = _PIN.fullmatch(requirement)
        assert match is not None, "requirements have the form name==version"
        installed = packages.get(match["name"])
        if installed is None:
            faults.append(f"{requirement} is not installed")
        elif installed.partition("+")[0] != match["version"]:  # without +cpu, +cu130
            faults.append(f"{requirement}, installed is {installed}")
    return faults


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
