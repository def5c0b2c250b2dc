"""Runs an unpacked ``llama-server``: its version, and the devices that it can use."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.engines.llamacpp.release_builds import ReleaseBuild
from modelscan.engines.llamacpp.server_help import devices
from modelscan.supervisor.launch.llama_server import PROGRAM, Program

_TIMEOUT_S = 60.0
_BUILD = re.compile(r"b(\d+)")
_STATED = re.compile(r"version:?\s*b?(\d+)")
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
    version = _answer(program, "--version")
    if isinstance(version, _Failed):
        raise _broken(tag, build, version.why)
    number, stated = _BUILD.fullmatch(tag), _STATED.search(version)
    if number and stated and int(stated[1]) != int(number[1]):
        raise _broken(tag, build, f"its version is {stated[1]}, not {tag}")
    listed = _answer(program, "--list-devices")
    if isinstance(listed, _Failed):
        raise _broken(tag, build, listed.why)
    found = devices(listed)
    if build.accelerator != "cpu" and not found:
        raise _broken(tag, build, "it starts, but --list-devices lists no GPU")
    return Program(str(program), stated[1] if stated else None, found)


def answers(program: Path) -> bool:
    """Whether the program still starts."""
    return not isinstance(_answer(program, "--version"), _Failed)


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a program does not answer."""

    why: str


def _answer(program: Path, option: str) -> str | _Failed:
    """What the program prints; with a missing library, the loader's message."""
    try:
        done = subprocess.run(
            [str(program), option], capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _Failed(f"{option} did not end within {_TIMEOUT_S:g} s")
    except OSError as error:
        return _Failed(f"{option}: {error.strerror or error}")
    text = done.stdout + done.stderr
    if done.returncode != 0 or not text.strip():
        words = done.stderr.strip().partition("\n")[0][:300] or "nothing was printed"
        return _Failed(f"{option} ended with code {done.returncode}: {words}")
    return text


def _broken(tag: str, build: ReleaseBuild, why: str) -> ModelscanError:
    cpu = "modelscan engine install llama.cpp --build cpu"
    return ModelscanError(
        f"llama.cpp {tag} ({build.label}) does not work on this machine: {why}",
        hint=_DRIVERS.get(build.accelerator, cpu),
        code="engine_broken",
        details={"asset": build.asset},
    )
