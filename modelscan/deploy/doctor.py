"""Checks of this machine and this installation, each with the command that repairs a fault."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelscan.core.container import RUNTIMES
from modelscan.core.errors import ModelscanError
from modelscan.core.machine import ENGINE_MISSING
from modelscan.core.units import GIB, counted, format_bytes
from modelscan.deploy.check import Check
from modelscan.deploy.network_checks import network, remote
from modelscan.engines import ollama, vllm
from modelscan.state.paths import paths

if TYPE_CHECKING:
    from modelscan.state.config import Config

MIN_FREE_BYTES = 2 * GIB
EXTRAS = (
    ("xllamacpp", "the embedded llama.cpp engine"),
    ("huggingface_hub", "downloads from Hugging Face"),
)
TOOLS = (
    "nvidia-smi",
    "amd-smi",
    "rocm-smi",
    "xpu-smi",
    "npu-smi",
    *RUNTIMES,
    "llama-server",
    vllm.NAME,
    ollama.NAME,
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every check; ``errors`` counts those with the status ``error``."""

    checks: tuple[Check, ...]
    errors: int


def diagnose(load: Callable[[], Config], *, probe: bool = False) -> Diagnosis:
    """Run every check. ``load`` reads the settings and may raise; the network is used only with
    ``probe``."""
    checks = tuple(check for group in _groups(load, probe) for check in group())
    return Diagnosis(checks, sum(check.status == "error" for check in checks))


def _groups(load: Callable[[], Config], probe: bool) -> list[Callable[[], Iterator[Check]]]:
    """The groups of checks; with unreadable settings only those that need no settings."""
    try:
        config = load()
    except ModelscanError as error:
        broken = Check("settings", "error", error.message, error.hint)
        return [_python, lambda: iter((broken,)), _folders, _extras, _tools]
    with_config = (
        network, _store, _routing, _targets, _catalog, _gpus, _engines, _selected, _missing_engines,
    )  # fmt: skip
    groups: list[Callable[[], Iterator[Check]]] = [
        _python, functools.partial(_settings, config), _folders, _extras,
        *(functools.partial(check, config) for check in with_config), _tools,
    ]  # fmt: skip
    return [*groups, functools.partial(remote, config)] if probe else groups


def _python() -> Iterator[Check]:
    from modelscan import __version__

    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("modelscan", "ok", f"{__version__} on Python {version}, {sys.platform}")


def _settings(config: Config) -> Iterator[Check]:
    for problem in config.problems:
        yield Check("settings", "error", problem.message, problem.hint)
    if config.problems:
        return
    changed = [f"{key} ({origin})" for key, origin in config.origins.items() if origin != "default"]
    yield Check("settings", "ok", ", ".join(changed) or "all defaults")


def _folders() -> Iterator[Check]:
    where = paths()
    for name in ("config", "cache", "data", "state"):
        folder: Path = getattr(where, name)
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        yield _folder(f"{name} folder", folder, existing)


def _folder(name: str, folder: Path, existing: Path) -> Check:
    import os

    if not existing.is_dir():
        return Check(name, "error", f"{existing} is not a folder", "set MODELSCAN_HOME")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check(name, "error", f"{folder} cannot be written", "set MODELSCAN_HOME")
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        detail = f"{folder}: only {format_bytes(free)} free"
        return Check(name, "warning", detail, "set MODELSCAN_HOME to a folder on another disk")
    return Check(name, "ok", f"{folder}, {format_bytes(free)} free")


def _extras() -> Iterator[Check]:
    from importlib import metadata

    for package, purpose in EXTRAS:
        try:
            yield Check(package, "ok", f"{metadata.version(package)}, {purpose}")
        except metadata.PackageNotFoundError:
            hint = f"pip install {package}"
            yield Check(package, "absent", f"not installed: {purpose}", hint)


def _store(config: Config) -> Iterator[Check]:
    from modelscan.state.store import Store

    file = config.paths.store_file
    if not file.exists():
        yield Check("store", "ok", f"{file}: does not exist yet")
        return
    try:
        with Store.look(file) as store:
            yield Check("store", "ok", f"{file}: {counted(len(store.all()), 'deployment')}")
    except ModelscanError as error:
        yield Check("store", "error", error.message, error.hint)


def _routing(config: Config) -> Iterator[Check]:
    from modelscan.routing.file import check

    path = config.routing_file
    file = check(path)
    if file.errors:
        detail = f"{path}: {counted(len(file.errors), 'error')}"
        yield Check("routing file", "error", detail, "modelscan route validate")
    else:
        state = (
            counted(len(file.routes), "entry", "entries") if path.exists() else "does not exist yet"
        )
        yield Check("routing file", "ok", f"{path}: {state}")


def _targets(config: Config) -> Iterator[Check]:
    from modelscan.state.targets import load

    try:
        names = [target.name for target in load(config.paths).items]
        yield Check("targets", "ok", ", ".join(names) or "none besides this machine")
    except ModelscanError as error:
        yield Check("targets", "error", error.message, error.hint)


def _catalog(config: Config) -> Iterator[Check]:
    from modelscan.catalog.index.current import open_index

    try:
        with open_index(config.paths) as index:
            yield Check("catalog", "ok", f"{index.count():,} models")
    except ModelscanError as error:
        yield Check("catalog", "error", error.message, error.hint)


def _gpus(config: Config) -> Iterator[Check]:
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    hardware = inventory(None, ProbeHost.from_config(config))
    names = [f"{gpu.name} {format_bytes(gpu.memory_bytes)}" for gpu in hardware.gpus]
    memory = format_bytes(hardware.host.memory_bytes)
    detail = ", ".join(names) or f"none; CPU with {memory} of memory"
    yield Check("GPUs", "ok", detail)
    for problem in hardware.problems:
        yield Check("GPUs", "warning", problem.message, problem.hint)


def _tools() -> Iterator[Check]:
    for tool in TOOLS:
        path = shutil.which(tool)
        yield Check(tool, "ok" if path else "absent", path or "not on PATH (optional)")


def _engines(config: Config) -> Iterator[Check]:
    """The engines that settings name, started for their version and devices."""
    from modelscan.engines.registry import engines
    from modelscan.targets.local.engines import configured_engine

    for key in filter(None, (one.program_setting for one in engines())):
        value = config.value(key)
        if value is None:
            continue
        name = f"setting {key}"
        try:
            engine = configured_engine(key, str(value))
        except ModelscanError as error:
            yield Check(name, "error", error.message, error.hint)
            continue
        assert engine is not None
        devices = (
            f", {', '.join(engine.devices) or 'the CPU only'}" if engine.devices is not None else ""
        )
        yield Check(name, "ok", f"{engine.path}, {engine.version or 'unknown version'}{devices}")


def _selected(config: Config) -> Iterator[Check]:
    """The engines that ``engine use`` or ``engine install`` selected are still there."""
    from modelscan.supervisor.engines.program import BUNDLED, program_of_id
    from modelscan.supervisor.engines.selected import selected

    for name, one in selected(config).items():
        if one != BUNDLED and program_of_id(one, name, config) is None:
            hint = f"modelscan engine install {name}"
            yield Check(f"engine {name}", "error", f"the selected {one} is gone", hint)
        else:
            yield Check(f"engine {name}", "ok", f"{one} is selected")


def _missing_engines(config: Config) -> Iterator[Check]:
    """The engines that this hardware could use and that are not installed."""
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost
    from modelscan.targets.local.engines import engines_here

    _, lacking = engines_here(inventory(None, ProbeHost.from_config(config)), config)
    for gap in lacking:
        status: Literal["warning", "absent"] = "absent" if gap.code == ENGINE_MISSING else "warning"
        yield Check(f"engine {gap.name}", status, gap.reason, gap.command)
