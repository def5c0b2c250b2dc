"""Runs an unpacked ``llama-server``: its version, and the devices that it can use."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.engines.llamacpp.release_builds import ReleaseBuild
from modelscan.supervisor.launch.llama_server import PROGRAM, Program, inspect_program

_TIMEOUT_S = 60.0
_BUILD = re.compile(r"b(\d+)")
_DRIVERS = {
    "vulkan": "sudo apt install libvulkan1 mesa-vulkan-drivers   (the Vulkan driver, on Debian)",
    "rocm": "modelscan engine install llama.cpp --build vulkan   (or install AMD's ROCm)",
    "cuda": "modelscan engine install llama.cpp --build vulkan   (or update the NVIDIA driver)",
}  # fmt: skip


def find_program(folder: Path) -> Path:
    """The server in an unpacked archive. Raises ModelscanError where there is none."""
    names = (PROGRAM, f"{PROGRAM}.exe")
    found = sorted(p for name in names for p in folder.rglob(name) if p.is_file())
    if not found:
        raise ModelscanError(
            f"the archive has no {PROGRAM}",
            hint="modelscan engine install llama.cpp --version TAG   (another release)",
            code="not_an_engine",
        )
    return found[0]


def verify(program: Path, tag: str, build: ReleaseBuild) -> Program:
    """The program answers, is that release's, and lists a device if the build is for GPUs.

    Raises ModelscanError (``engine_broken``) otherwise.
    """
    try:
        answered = inspect_program(program)
    except UsageError as error:
        raise _broken(tag, build, _first_words(program) or error.message) from error
    number = _BUILD.fullmatch(tag)
    stated = re.search(r"\d+", answered.version or "")
    if number and stated and int(stated[0]) != int(number[1]):
        raise _broken(tag, build, f"its version is {answered.version}, not {tag}")
    if build.accelerator != "cpu" and not answered.devices:
        raise _broken(tag, build, "it starts, but --list-devices lists no GPU")
    return answered


def _broken(tag: str, build: ReleaseBuild, why: str) -> ModelscanError:
    cpu = "modelscan engine install llama.cpp --build cpu"
    return ModelscanError(
        f"llama.cpp {tag} ({build.label}) does not work on this machine: {why}",
        hint=_DRIVERS.get(build.accelerator, cpu),
        code="engine_broken",
        details={"asset": build.asset},
    )


def _first_words(program: Path) -> str | None:
    """What the program prints on stderr where it cannot start (a missing library)."""
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return done.stderr.strip().partition("\n")[0][:300] or None
