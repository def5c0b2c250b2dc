"""Installs an official release build of llama.cpp: chosen, shown, downloaded, checked, moved.

The build is unpacked into a folder next to its final place and run there; only one that answers is
renamed to its place, so an interrupted or failed installation leaves the earlier versions as they
are.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, OfflineError, UsageError
from modelscan.engines.llamacpp import NAME, release_builds
from modelscan.engines.llamacpp.release_builds import BuildTarget, ReleaseBuild, choose, target_of
from modelscan.hub.http_client import http_client
from modelscan.state.clock import now_text
from modelscan.state.files import ensure_dir, explain_os_errors
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.fetch import (
    check_space,
    deleted_on_failure,
    fetch,
    missing_bytes,
)
from modelscan.supervisor.engines.folders import Downloaded, InstallRecord
from modelscan.supervisor.engines.offer import UNPACKED, EngineOffer, InstallWishes
from modelscan.supervisor.engines.releases import Release, releases, remember, remembered
from modelscan.supervisor.engines.unpack import unpack
from modelscan.supervisor.engines.verify import find_program, verify

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.engines.llamacpp.release_builds import BuildChoice
    from modelscan.hub.downloads.types import Report
    from modelscan.state.config import Config


def offer(config: Config, hardware: Inventory, wishes: InstallWishes) -> EngineOffer:
    """The build for this machine and its files; reads the release list, changes nothing.

    Raises NotDeployableError where no build is published for this machine, UsageError for an
    unknown version or a release without SHA-256, RemoteError or OfflineError.
    """
    target = _target(hardware)
    reasons: list[str] = []
    for release in _releases(config, wishes.version):
        choice = choose(release.names, target, wishes.build)
        if choice.build is not None:
            return _offer(config, release, choice, wishes.sha256)
        reasons += [f"{release.tag}: {reason}" for reason in choice.reasons]
    if wishes.build is not None:
        raise NotDeployableError(
            f"there is no {wishes.build} build for this machine: {'; '.join(reasons)}",
            hint=f"modelscan engine install {NAME}   (the build for this machine)",
            code="no_build",
        )
    raise _no_build(target, reasons, config)


def _target(hardware: Inventory) -> BuildTarget:
    usable = [gpu for gpu in hardware.gpus if NAME in gpu.backends]
    target = target_of(platform.system(), platform.machine(), usable or hardware.gpus)
    if target is None:
        raise NotDeployableError(
            f"llama.cpp publishes no builds for {platform.system()}",
            hint="modelscan config set llama_server PATH_OF_A_LLAMA_SERVER",
            code="no_build",
        )
    return target


def _releases(config: Config, version: str | None) -> Iterator[Release]:
    if not config.offline:
        with http_client(config) as http:
            yield from releases(config, http, version)
        return
    yield from remembered(config, version)


def _offer(
    config: Config, release: Release, choice: BuildChoice, given: Sequence[str]
) -> EngineOffer:
    assert choice.build is not None
    builds = (choice.build, *choice.parts)
    files = tuple(
        _file(build.asset, release, given[number : number + 1])
        for number, build in enumerate(builds)
    )
    total = sum(file.size_bytes for file in files)
    label = choice.build.label
    return EngineOffer(
        NAME, release.tag, label, folders.folder_of(config, NAME, release.tag, label), files, (),
        missing_bytes(files, config), UNPACKED * total, choice.reasons,
    )  # fmt: skip


def _file(name: str, release: Release, given: Sequence[str]) -> Downloaded:
    """The archive with its SHA-256: the published one, else the user's."""
    asset = release.asset(name)
    own = given[0].lower() if given else None
    if own and asset.sha256 and own != asset.sha256:
        raise UsageError(
            f"--sha256 {own[:12]}… is not what the release states for {name}: {asset.sha256}",
            hint="modelscan engine install llama.cpp   (without --sha256)",
            code="wrong_checksum",
        )
    sha256 = asset.sha256 or own
    if sha256 is None:
        raise UsageError(
            f"the release {release.tag} publishes no SHA-256 of {name}, so it cannot be checked",
            hint=f"modelscan engine install llama.cpp --version {release.tag} --sha256 HEX   (from "
            "a source that you trust)",
            code="no_checksum",
        )
    return Downloaded(name, asset.url, sha256, asset.size_bytes)


def _no_build(
    target: BuildTarget, reasons: Sequence[str], config: Config
) -> NotDeployableError | OfflineError:
    if config.offline and not reasons:
        return OfflineError(
            "no archive of llama.cpp for this machine was downloaded before, and --offline is set",
            hint="modelscan engine install llama.cpp   (with a network)",
        )
    image, commands = release_builds.container(target), release_builds.source_build(target)
    return NotDeployableError(
        "llama.cpp publishes no build that runs on this machine: "
        + "; ".join(dict.fromkeys(reasons))
        + f". The container {image} has one, and the source can be built here",
        hint=commands,
        code="no_build",
        details={"container": image, "source_build": commands},
    )


def install(offer: EngineOffer, config: Config, report: Report | None) -> InstallRecord:
    """Download, check, unpack, run and move it to its place. The caller holds the engine's lock.

    Raises ModelscanError, and then nothing has changed but the kept downloads.
    """
    build = release_builds.read_name(offer.files[0].name)
    assert build is not None
    check_space(config.paths.engine_downloads_dir, offer.download_bytes, offer.id)
    check_space(config.paths.engines_dir, offer.download_bytes + offer.disk_bytes, offer.id)
    with http_client(config) as http:
        archives = fetch(offer.files, config, http, report)
    remember(config, offer.version, offer.files)
    ensure_dir(offer.folder.parent)
    with explain_os_errors(offer.folder.parent):
        incoming = Path(tempfile.mkdtemp(prefix=folders.INCOMING, dir=offer.folder.parent))
    with deleted_on_failure(incoming):
        record = _prepared(incoming, archives, offer, build)
        _move(incoming, offer.folder)
    return record


def _prepared(
    incoming: Path, archives: Sequence[Path], offer: EngineOffer, build: ReleaseBuild
) -> InstallRecord:
    """The unpacked build, with its record as the last file."""
    unpack(archives[0], incoming / "build")
    program = find_program(incoming / "build")
    for archive in archives[1:]:
        unpack(archive, incoming / "libraries")
        _join_libraries(incoming / "libraries", program.parent)
    answered = verify(program, offer.version, build)
    record = InstallRecord(
        NAME, offer.version, offer.build, str(program.relative_to(incoming)), answered.devices,
        offer.files, folders.size_bytes(incoming), now_text(),
    )  # fmt: skip
    folders.write_record(incoming, record)
    return record


def _join_libraries(source: Path, target: Path) -> None:
    """Move the libraries to the program, where it searches them."""
    with explain_os_errors(target):
        for file in (p for p in source.rglob("*") if p.is_symlink() or p.is_file()):
            file.replace(target / file.name)
        shutil.rmtree(source)


def _move(incoming: Path, folder: Path) -> None:
    with explain_os_errors(folder):
        if folder.exists():  # without a record: an interrupted or a damaged one
            shutil.rmtree(folder)
        incoming.rename(folder)
