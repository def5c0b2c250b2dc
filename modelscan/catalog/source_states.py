"""The catalog's sources and the age of their data."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelscan.catalog.index.current import open_index

if TYPE_CHECKING:
    from modelscan.catalog.index.read import SourceState
    from modelscan.state.config import Config

SourceCondition = Literal["bundled", "live", "stale", "failed"]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source: ``models`` with a fact from it, ``entries`` in its own data."""

    name: str
    state: SourceCondition
    retrieved_at: str | None
    models: int
    entries: int
    origin: str | None
    licence: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class SourcesAnswer:
    """All sources, the number of merged models, and the path of the index."""

    sources: tuple[SourceRow, ...]
    models: int
    index: str
    warnings: tuple[str, ...] = ()


def source_states(config: Config) -> SourcesAnswer:
    """Per source: state, number of models, time of its data, and its last error."""
    index = open_index(config.paths)
    try:
        states, total = index.sources(), index.count()
    finally:
        index.close()
    rows = tuple(_source_row(state, config.catalog_max_age_s) for state in states)
    warnings = tuple(f"{row.name}: {row.error}" for row in rows if row.error)
    return SourcesAnswer(rows, total, str(index.path), warnings)


def _source_row(state: SourceState, max_age_s: float) -> SourceRow:
    values: dict[str, Any] = state._asdict()
    if state.state == "live" and _age_s(state.retrieved_at) > max_age_s:
        values["state"] = "stale"
    return SourceRow(**values)


def _age_s(retrieved_at: str | None) -> float:
    """Seconds since that time; infinite if unknown or invalid."""
    try:
        then = datetime.datetime.fromisoformat((retrieved_at or "").replace("Z", "+00:00"))
    except ValueError:
        return float("inf")
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()
