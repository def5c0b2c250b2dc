"""Fetches the catalog's sources, independent of each other, and builds a new index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.catalog import sync
from modelscan.catalog.index import publish
from modelscan.hub.failed_queries import FailedQueries

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """The result of a sync. ``models`` is None if no index was built."""

    dry_run: bool
    sources: tuple[sync.SourceOutcome, ...]
    models: int | None
    index_updated: bool
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """True if any source failed."""
        return any(outcome.result == "failed" for outcome in self.sources)

    @property
    def nothing_came(self) -> bool:
        """True if all fetched remote sources failed."""
        remote = [o for o in self.sources if o.result != "skipped" and o.source != "user"]
        return bool(remote) and all(outcome.result == "failed" for outcome in remote)


def no_progress(_: str) -> None:
    """The default progress function: does nothing."""


def refresh(
    names: Sequence[str],
    config: Config,
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] = no_progress,
) -> SyncAnswer:
    """Fetch these sources (empty: all) and publish a new index.

    A source that fails keeps its last good data. Raises UsageError for an unknown source,
    OfflineError if the network may not be used.
    """
    sources, skipped = sync.choose(names, config)
    if not dry_run:
        publish.prepare(config.paths)
    last = sync.last_of(publish.stored_snapshots(config.paths))
    report = sync.report(sources, skipped, sync.fetch_all(sources, config, last, progress), last)
    models = None
    if not dry_run:
        progress("building the index")
        models = publish.publish(config.paths, report.snapshots).models
        _query_again(report, config)
    return SyncAnswer(dry_run, report.sources, models, models is not None, report.warnings)


def _query_again(report: sync.SyncReport, config: Config) -> None:
    """Plans query the hubs that answered, even if they did not a minute ago."""
    failures = FailedQueries.at(config.paths)
    for outcome in report.sources:
        if outcome.result in (sync.UPDATED, sync.UNCHANGED):
            failures.forget(outcome.source)
