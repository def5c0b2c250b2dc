"""Where engines come from on this machine. A new source is one function here.

``supervisor.engines`` imports the other folders of this room, which must not import it: they take
``core.installed_engine``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from modelscan.core.installed_engine import InstalledEngine

if TYPE_CHECKING:
    from modelscan.state.config import Config

EngineList = Callable[["Config"], Iterable[InstalledEngine]]

SOURCES: tuple[EngineList, ...] = ()


def engines_of(config: Config) -> tuple[InstalledEngine, ...]:
    """Every engine of this machine, by source."""
    return tuple(one for source in SOURCES for one in source(config))
