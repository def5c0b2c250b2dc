"""The documents of the ``engine`` commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.installed_engine import InstalledEngine
from modelscan.supervisor.engines import folders
from modelscan.supervisor.engines.offer import EngineOffer
from modelscan.supervisor.engines.sources import engines_of

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class EngineList:
    """Every engine of this machine; ``unfinished``: ids of interrupted installations."""

    engines: tuple[InstalledEngine, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineInstalled:
    """``engine`` None: nothing was installed (``--dry-run``). ``installed``: just now, and not
    before."""

    installed: bool
    engine: InstalledEngine | None
    offer: EngineOffer


@dataclass(frozen=True, slots=True)
class EngineSelected:
    """The engine that deployments of its name start with from now on."""

    engine: InstalledEngine


def engine_list(config: Config) -> EngineList:
    """Every engine of this machine, with versions and devices; starts their programs for that."""
    left = folders.unfinished(config)
    ids = tuple(f"{p.parent.name}@{p.name}" for p in left if not p.name.startswith("."))
    return EngineList(engines_of(config), ids)
