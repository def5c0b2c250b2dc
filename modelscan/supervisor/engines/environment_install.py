"""Installs a Python engine (vLLM, SGLang) in an environment of its own, with uv or venv and pip.

The environment is made in its final place, because environments cannot be moved; its record is
written last. Without a record it is never started, and the next installation continues in it: what
pip or uv have downloaded is in their caches. Packages in ``cache/engines/wheels`` are used first,
so that a machine without a network can be given them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.engines.pool_engine import PoolEngine
from modelscan.state.clock import now_text
from modelscan.state.files import ensure_dir, explain_os_errors
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.fetch import check_space
from modelscan.supervisor.engines.folders import InstallRecord
from modelscan.supervisor.engines.offer import EngineOffer, InstallWishes
from modelscan.supervisor.engines.programs import run_logged, torch_devices
from modelscan.supervisor.engines.version_choice import choose_version, wheels_for
from modelscan.supervisor.installed import forget, probe

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import ResolvedModel
    from modelscan.engines.engine import Wheels
    from modelscan.state.config import Config

_BUILDS = {"nvidia": "cuda", None: "cpu"}
_PYTHON = Path("bin", "python")
Command = tuple[str, ...]


def offer(
    engine: PoolEngine,
    config: Config,
    hardware: Inventory,
    wishes: InstallWishes,
    model: ResolvedModel | None,
) -> EngineOffer:
    """The version and the commands for this machine; changes nothing and sends nothing.

    Raises NotDeployableError where the package index has no build for its devices.
    """
    gpus = [] if wishes.build == "cpu" else _gpus(engine, hardware)
    wheels = _wheels(engine, gpus[0].vendor if gpus else None, wishes)
    version, reasons = wishes.version, tuple[str, ...]()
    if version is None:
        version, reasons = choose_version(
            engine, wheels, hardware, gpus, wishes.quantization, model
        )
    if not gpus and wishes.build is None:
        reasons = (*reasons, "no GPU that it supports was found: the build for the CPU")
    build = _BUILDS[wheels.vendor]
    folder = folders.folder_of(config, engine.name, version, build)
    commands = tuple(_commands(folder, f"{wheels.distribution}=={version}", wheels, config))
    return EngineOffer(
        engine.name, version, build, folder, (), commands, wheels.download_bytes,
        wheels.disk_bytes, reasons,
    )  # fmt: skip


def _gpus(engine: PoolEngine, hardware: Inventory) -> list[Gpu]:
    """The GPUs that the newest versions support, else those that earlier ones may."""
    current = [gpu for gpu in hardware.gpus if engine.name in gpu.backends]
    return current or [gpu for gpu in hardware.gpus if wheels_for(engine, gpu.vendor)]


def _wheels(engine: PoolEngine, vendor: str | None, wishes: InstallWishes) -> Wheels:
    wheels = wheels_for(engine, vendor)
    wrong = wishes.build is not None and wheels is not None and wishes.build != _BUILDS[vendor]
    if wheels is not None and not wrong:
        return wheels
    if vendor is None:
        raise NotDeployableError(
            f"{engine.title} needs a GPU, and none that it supports was found here",
            hint="modelscan gpu",
            code="no_build",
        )
    device = f"{wishes.build} on {vendor} GPUs" if wrong else f"{vendor} GPUs"
    version = engine.image_version(wishes.version)
    image = engine.images.name(vendor, version) if engine.images else None
    instead = f"the container {image} has one, or another environment" if image else "use another"
    raise NotDeployableError(
        f"the package index has no build of {engine.title} for {device}; {instead}",
        hint=f"modelscan engine install {engine.name} --runtime podman"
        if image
        else f"modelscan config set {engine.name} PATH_OF_THE_PYTHON_THAT_HAS_IT",
        code="no_build",
        details={"container": image},
    )


def _commands(folder: Path, requirement: str, wheels: Wheels, config: Config) -> Iterator[Command]:
    """What creates the environment and installs into it."""
    python = str(folder / _PYTHON)
    uv = shutil.which("uv")
    local = _local_packages(config, uv is not None)
    if uv is not None:
        yield (uv, "venv", "--allow-existing", "--python", sys.executable, str(folder))
        yield (uv, "pip", "install", "--python", python, *local, requirement)
        if wheels.unneeded:
            yield (uv, "pip", "uninstall", "--python", python, *wheels.unneeded)
        return
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input")
    yield (sys.executable, "-m", "venv", str(folder))
    yield (*pip, "install", *local, requirement)
    if wheels.unneeded:
        yield (*pip, "uninstall", "--yes", *wheels.unneeded)


def _local_packages(config: Config, uv: bool) -> Command:
    """The options for packages on this machine; ``--offline`` allows no others."""
    folder = config.paths.engine_downloads_dir / "wheels"
    links = ("--find-links", str(folder)) if folder.is_dir() else ()
    if not config.offline:
        return links
    return (*links, "--offline") if uv else (*links, "--no-index")


def install(
    engine: PoolEngine, offer: EngineOffer, config: Config, say: Callable[[str], None]
) -> InstallRecord:
    """Run the commands, check the result, write the record. The caller holds the engine's lock.

    Raises ModelscanError where a command fails or the engine does not answer; the folder stays for
    the next attempt.
    """
    check_space(config.paths.engines_dir, offer.disk_bytes, offer.id)
    ensure_dir(offer.folder.parent)
    log = offer.folder.parent / f"{offer.folder.name}.log"
    with explain_os_errors(log):
        log.unlink(missing_ok=True)
    made = (offer.folder / _PYTHON).exists() and (offer.folder / "bin/pip").exists()
    for command in offer.commands[1 if made else 0 :]:  # the first makes the environment
        run_logged(command, log, say)
    record = _checked(engine, offer)
    folders.write_record(offer.folder, record)
    return record


def _checked(engine: PoolEngine, offer: EngineOffer) -> InstallRecord:
    """The record of an environment that has the engine in that version and sees the GPUs."""
    python = str(offer.folder / _PYTHON)
    forget()
    found = probe(engine.name, python)
    if found is None or found.version != offer.version:
        has = "nothing" if found is None else f"version {found.version}"
        raise _broken(engine, offer, f"the environment has {has}, not {offer.version}")
    devices = () if offer.build == _BUILDS[None] else torch_devices(python)
    if offer.build != _BUILDS[None] and not devices:
        raise _broken(engine, offer, "PyTorch in it sees no GPU")
    return InstallRecord(
        engine.name, offer.version, offer.build, str(_PYTHON), devices, (),
        folders.size_bytes(offer.folder), now_text(),
    )  # fmt: skip


def _broken(engine: PoolEngine, offer: EngineOffer, why: str) -> ModelscanError:
    return ModelscanError(
        f"{engine.title} {offer.version} was installed, but does not work: {why}",
        hint=f"modelscan doctor, or: modelscan engine remove {offer.id}",
        code="engine_broken",
    )


def describe(commands: Sequence[Command]) -> str:
    """The programs of an offer in one word: ``uv`` or ``pip``."""
    return "uv" if commands and Path(commands[0][0]).name == "uv" else "pip"
