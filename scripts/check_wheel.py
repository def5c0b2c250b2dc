"""Builds the wheel and uses it as a user would: installed without extras, no source tree in reach.

    python -m scripts.check_wheel           # with every Python from 3.10 on this machine
    python -m scripts.check_wheel --one     # with one of them, the running one

Pythons are looked for on PATH and under ~/.pyenv/versions. Each gets an environment of its own in
a temporary folder, which is removed at the end. Exit status 1 when a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.check_reproducible import difference_faults
from scripts.check_tools import tool_faults

REPOSITORY = Path(__file__).resolve().parent.parent
_OLDEST = (3, 10)
_NEEDED = (
    "modelscan/py.typed", "modelscan/schemas/plan.json", "modelscan/_catalogs/index.sqlite3",
    "modelscan/_catalogs/gpus.tsv", "modelscan/_catalogs/quality.tsv",
    "modelscan/_catalogs/snapshots/", "modelscan/_examples/demo-model.gguf",
    "modelscan/_docs/internals/memory.md", "share/man/man1/modelscan-deploy.1",
)  # fmt: skip
_UNWANTED = re.compile(r"^(tests|scripts|benchmarks|docs|examples)/|__pycache__|\.pyc$")
_VERSION = "import sys; print(sys.version_info[0], sys.version_info[1])"


@dataclass(frozen=True, slots=True)
class Check:
    """A command of the installed package and what its standard output must satisfy."""

    arguments: tuple[str, ...]
    satisfied: Callable[[str], bool]


CHECKS = (
    Check(("--version",), lambda out: out.strip().endswith(_version())),
    Check(("--help",), lambda out: out.startswith("Usage: modelscan")),
    Check(
        ("catalog", "search", "qwen3", "8b", "--json"),
        lambda out: any(row["id"].endswith("qwen3-8b") for row in json.loads(out)["models"]),
    ),
    Check(
        ("plan", "qwen3-8b", "--gpu", "RTX 4090", "--json"),
        lambda out: bool(json.loads(out)["plan"]["quantization"]),
    ),
    Check(
        ("estimate", "qwen3-8b", "--gpu", "RTX 4090", "--quantization", "Q4_K_M", "--json"),
        lambda out: json.loads(out)["total_bytes"] > 4 * 2**30,
    ),
    Check(("config", "show", "--json"), lambda out: bool(json.loads(out)["settings"])),
    Check(("completion", "bash"), lambda out: "modelscan" in out),
    Check(("docs", "serve"), lambda out: out.startswith("# One endpoint")),
    Check(("docs", "--no-browser"), lambda out: _is_page(Path(out.strip()))),
)


def _is_page(file: Path) -> bool:
    return "The manual of modelscan" in file.read_text(encoding="utf-8")


def _version() -> str:
    text = (REPOSITORY / "modelscan" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found.group(1)


def build(folder: Path) -> Path:
    """The wheel, built from the checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def content_faults(wheel: Path) -> Iterator[str]:
    """What is missing in the wheel and what should not be there."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in _NEEDED:
        if not any(name.startswith(needed) for name in names):
            yield f"{wheel.name}: {needed} is missing"
    for name in names:
        if _UNWANTED.search(name):
            yield f"{wheel.name}: {name} does not belong in it"


def pythons() -> dict[tuple[int, int], str]:
    """One interpreter of each minor version from 3.10, the running one first."""
    names = [f"python3.{minor}" for minor in range(_OLDEST[1], 20)]
    folders = os.environ.get("PATH", "").split(os.pathsep)
    candidates = [Path(folder) / name for folder in folders for name in names]
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin/python3"))
    found: dict[tuple[int, int], str] = {}
    for candidate in (Path(sys.executable), *candidates):
        version = _version_of(candidate)
        if version is not None and version >= _OLDEST:
            found.setdefault(version, str(candidate))
    return found


def _version_of(python: Path) -> tuple[int, int] | None:
    """Its minor version; None for a file that is not there or a shim without its interpreter."""
    if not python.is_file():
        return None
    done = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def installed(python: str, wheel: Path, folder: Path) -> Path:
    """The bin folder of a new environment that has the wheel and its dependencies only."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / "bin"
    target = ["--python", str(programs / "python")]
    command = [sys.executable, "-m", "pip", *target, "install", "-qq"]
    subprocess.run([*command, "--disable-pip-version-check", str(wheel)], check=True)
    return programs


def faults(programs: Path, home: Path) -> Iterator[str]:
    """The checks that fail in one environment."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    env = {**kept, "PATH": f"{programs}:/usr/bin:/bin", "MODELSCAN_HOME": str(home)}
    where = _output([str(programs / "python"), "-c", _WHERE], env, home)
    if where is None or not where.strip().startswith(str(programs.parent)):
        yield f"import modelscan: {where}"
    for check in CHECKS:
        out = _output([str(programs / "modelscan"), *check.arguments], env, home)
        if out is None or not check.satisfied(out):
            yield f"modelscan {' '.join(check.arguments)}: {(out or 'failed')[:400]}"


_WHERE = "import modelscan; print(modelscan.__file__)"


def _output(command: Sequence[str], env: dict[str, str], folder: Path) -> str | None:
    """Standard output of a command that ends with 0; its errors are shown otherwise."""
    done = subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        return None
    return done.stdout


@dataclass(frozen=True, slots=True)
class Result:
    """What one Python showed."""

    label: str
    python: str
    problems: tuple[str, ...]
    seconds: float


def check(version: tuple[int, int], python: str, wheel: Path, folder: Path) -> Result:
    """Install the wheel for one Python and run every check."""
    started = time.monotonic()
    label = f"{version[0]}.{version[1]}"
    home = folder / f"home-{label}"
    home.mkdir()
    problems = tuple(faults(installed(python, wheel, folder / label), home))
    return Result(label, python, problems, time.monotonic() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--one", action="store_true", help="only with the running Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelscan-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        sys.stdout.write(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB\n")
        failed = _report((*content_faults(wheel), *difference_faults(folder)))
        failed = _report(tuple(tool_faults(wheel, folder))) or failed
        found = {sys.version_info[:2]: sys.executable} if options.one else pythons()
        with ThreadPoolExecutor(max_workers=2) as pool:
            results = pool.map(
                lambda row: check(row[0], row[1], wheel, folder), sorted(found.items())
            )
            for result in results:
                failed = _report(result.problems) or failed
                _print_result(result)
    return 1 if failed else 0


def _print_result(result: Result) -> None:
    outcome = "failed" if result.problems else "passed"
    sys.stdout.write(
        f"Python {result.label} ({result.python}): {outcome}, {len(CHECKS) + 1} checks, "
        f"{result.seconds:.0f} s\n"
    )


def _report(problems: Sequence[str]) -> bool:
    for problem in problems:
        sys.stdout.write(f"  {problem}\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
