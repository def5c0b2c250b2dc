"""``engine install``: what it would do (``prepare``), and doing it (``carry_out``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.nearest import nearest
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine, engines
from modelscan.state.locks import hold
from modelscan.supervisor.engines import environment_install, folders, release_install
from modelscan.supervisor.engines.selected import select
from modelscan.supervisor.launch.llama_server import inspect_program

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from modelscan.core.gpu import Inventory
    from modelscan.core.plan import ResolvedModel
    from modelscan.hub.downloads.types import Report
    from modelscan.state.config import Config
    from modelscan.supervisor.engines.folders import InstallRecord
    from modelscan.supervisor.engines.offer import EngineOffer, InstallWishes

_PATIENCE_S = 24 * 3600.0  # a second installation of the same engine waits for the first


def prepare(
    name: str,
    config: Config,
    hardware: Inventory,
    wishes: InstallWishes,
    model: ResolvedModel | None = None,
) -> EngineOffer:
    """The version and build for this machine, with sizes, checksums and commands.

    Reads the release list of a release build; changes nothing. Raises UsageError,
    NotDeployableError (``no_build``), RemoteError, OfflineError.
    """
    _check_name(name)
    one = engine(name)
    if one.own_server:
        raise UsageError(
            f"{one.title} is a server of its own, which its own installer installs",
            hint="modelscan config get ollama_endpoint   (the server that is used)",
            code="not_installable",
        )
    if isinstance(one, PoolEngine):
        return environment_install.offer(one, config, hardware, wishes, model)
    return release_install.offer(config, hardware, wishes)


def _check_name(name: str) -> None:
    names = [one.name for one in engines()]
    if name not in names:
        near = [*nearest(name, names), names[0]][0]
        raise UsageError(
            f"there is no engine '{name}'",
            hint=f"modelscan engine install {near}",
            code="unknown_engine",
        )


def is_installed(offer: EngineOffer) -> bool:
    """Whether exactly this version in this build is installed and answers."""
    record = folders.read_record(offer.folder)
    return record is not None and _answers(offer)


def _answers(offer: EngineOffer) -> bool:
    record = folders.read_record(offer.folder)
    if record is None:
        return False
    if not offer.files:
        return True
    try:
        inspect_program(offer.folder / record.program)
    except ModelscanError:
        return False
    return True


def carry_out(
    offer: EngineOffer, config: Config, report: Report | None, say: Callable[[str], None]
) -> tuple[InstallRecord, bool]:
    """Install the offer and select it; returns its record, and whether it was installed now.

    Other versions stay. A second process waits for the first and finds its result. Raises
    ModelscanError, and then the selection is what it was.
    """
    with lock(config, offer.engine):
        folders.sweep(config, offer.engine)
        there = folders.read_record(offer.folder) if is_installed(offer) else None
        record = there or _install(offer, config, report, say)
        select(config, offer.engine, record.id)
    return record, there is None


def _install(
    offer: EngineOffer, config: Config, report: Report | None, say: Callable[[str], None]
) -> InstallRecord:
    one = engine(offer.engine)
    if isinstance(one, PoolEngine):
        return environment_install.install(one, offer, config, say)
    return release_install.install(offer, config, report)


def lock(config: Config, name: str) -> AbstractContextManager[None]:
    """The lock of an engine's installations and selection."""
    file = config.paths.locks_dir / f"engine-{name}.lock"
    return hold(file, timeout_s=_PATIENCE_S, what=f"the installation of {name}")
