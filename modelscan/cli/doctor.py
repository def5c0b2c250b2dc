"""``modelscan doctor``: what is installed, writable, reachable and broken here, with the fix."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document, Note, Table
from modelscan.cli.framework import single
from modelscan.core.errors import EXIT_FAILED, ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.core.units import GIB, format_bytes
from modelscan.engines import ollama, vllm
from modelscan.state.config import Config
from modelscan.state.paths import paths

MIN_FREE_BYTES = 2 * GIB
EXTRAS = (
    ("xllamacpp", "local", "the embedded llama.cpp engine"),
    ("huggingface_hub", "hub", "downloads from Hugging Face"),
    ("aiohttp", "gateway", "the gateway"),
)
TOOLS = (
    "nvidia-smi",
    "amd-smi",
    "rocm-smi",
    "xpu-smi",
    "npu-smi",
    "llama-server",
    vllm.NAME,
    ollama.NAME,
)


@dataclass(frozen=True, slots=True)
class Check:
    """``status``: ok | warning | error | absent (optional and not here)."""

    name: str
    status: str
    detail: str
    hint: str | None = None


def doctor(
    probe: Annotated[
        bool, typer.Option("--probe", help="Also ask the configured catalogs and hubs.")
    ] = False,
) -> Document:
    """Check this machine and this installation. Sends nothing unless --probe is given."""
    checks = [check for group in _groups(probe) for check in group()]
    table = Table(
        ("CHECK", "STATUS", "DETAIL", "HINT"),
        [(check.name, check.status, check.detail, check.hint) for check in checks],
    )
    errors = [check for check in checks if check.status == "error"]
    summary = f"{len(checks)} checks, {_count(len(errors), 'error')}"
    return Document(
        "doctor",
        {"checks": to_json(checks), "errors": len(errors)},
        [table, Note(summary)],
        [check.name for check in errors],
        exit_code=EXIT_FAILED if errors else 0,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _groups(probe: bool) -> list[Callable[[], Iterator[Check]]]:
    """What can be checked; where the settings are broken, only what does not depend on them."""
    free = [_python, _settings, _folders, _extras]
    try:
        _config()
    except ModelscanError:
        return [*free, _tools]
    groups = [*free, _store, _routing, _catalog, _gpus, _tools]
    return [*groups, _remote] if probe else groups


def _python() -> Iterator[Check]:
    from modelscan import __version__

    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("modelscan", "ok", f"{__version__} on Python {version}, {sys.platform}")


def _config() -> Config:
    return current().config


def _settings() -> Iterator[Check]:
    try:
        config = _config()
    except ModelscanError as error:
        yield Check("settings", "error", error.message, error.hint)
        return
    changed = [
        f"{key} ({value.origin})"
        for key, value in config.values.items()
        if value.origin != "default"
    ]
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

    for package, extra, purpose in EXTRAS:
        try:
            yield Check(package, "ok", f"{metadata.version(package)}, {purpose}")
        except metadata.PackageNotFoundError:
            hint = f"pip install 'modelscan-deploy[{extra}]'"
            yield Check(package, "absent", f"not installed: {purpose}", hint)


def _store() -> Iterator[Check]:
    from modelscan.state.store import Store

    file = _config().paths.store_file
    if not file.exists():
        yield Check("store", "ok", f"{file}: not there yet")
        return
    try:
        with Store.look(file) as store:
            yield Check("store", "ok", f"{file}: {_count(len(store.all()), 'deployment')}")
    except ModelscanError as error:
        yield Check("store", "error", error.message, error.hint)


def _routing() -> Iterator[Check]:
    from modelscan.routing.file import check

    path = _config().routing_file
    file = check(path)
    if file.errors:
        detail = f"{path}: {_count(len(file.errors), 'error')}"
        yield Check("routing file", "error", detail, "modelscan route validate")
    else:
        state = f"{len(file.routes)} entries" if path.exists() else "not there yet"
        yield Check("routing file", "ok", f"{path}: {state}")


def _catalog() -> Iterator[Check]:
    from modelscan.catalog.index.write import open_index

    try:
        with open_index(_config().paths) as index:
            yield Check("catalog", "ok", f"{index.count()} models")
    except ModelscanError as error:
        yield Check("catalog", "error", error.message, error.hint)


def _gpus() -> Iterator[Check]:
    from modelscan.gpu.inventory import inventory

    found = inventory(None)
    names = [f"{gpu.name} {format_bytes(gpu.memory_bytes)}" for gpu in found.gpus]
    detail = ", ".join(names) or f"none; CPU with {format_bytes(found.host.memory_bytes)} of memory"
    yield Check("GPUs", "ok", detail)
    for problem in found.problems:
        yield Check("GPUs", "warning", problem.message, problem.hint)


def _tools() -> Iterator[Check]:
    for tool in TOOLS:
        path = shutil.which(tool)
        yield Check(tool, "ok" if path else "absent", path or "not on PATH (optional)")


def _remote() -> Iterator[Check]:
    import httpx

    config = _config()
    for key in ("modelsdev_endpoint", "hf_endpoint", "modelscope_endpoint"):
        url = config.text(key)
        if config.offline:
            yield Check(url, "absent", "not asked: --offline")
            continue
        try:
            status = httpx.head(url, timeout=config.number("http_timeout_s")).status_code
            yield Check(url, "ok", f"answered {status}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            yield Check(url, "warning", str(error) or type(error).__name__, f"check {key}")


app = single(doctor)
