"""Fetches the sources of ``catalog sync`` in parallel, independent of each other.

No good data is lost: a source that fails keeps its last records, files are replaced atomically, the
index last. A process killed at any time leaves the old index.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.catalog.fetchers import SOURCES, Fetch, Source, find_source
from modelscan.catalog.records import (
    FAILED,
    LIVE,
    USER,
    SourceRecord,
    SourceSnapshot,
    dump,
    load,
)
from modelscan.core.errors import ModelscanError, OfflineError, UsageError
from modelscan.hub.http_client import http_client

if TYPE_CHECKING:
    from modelscan.state.config import Config

UPDATED, UNCHANGED, FAILURE, SKIPPED = "updated", "unchanged", "failed", "skipped"
_POLL_S = 0.1
_REQUESTS_LONG = 6  # time limit of a source, in slow requests


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """The outcome for one source. Counts are records; ``before``: the number before the sync."""

    source: str
    state: str
    result: str  # updated | unchanged | failed | skipped
    models: int
    before: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    retrieved_at: str | None = None
    origin: str | None = None
    error: str | None = None
    elapsed_s: float | None = None
    moved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The outcomes and snapshots of a sync."""

    sources: tuple[SourceOutcome, ...]
    snapshots: tuple[SourceSnapshot, ...]
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[SourceOutcome, ...]:
        """The sources that failed."""
        return tuple(outcome for outcome in self.sources if outcome.result == FAILURE)

    @property
    def nothing_came(self) -> bool:
        """True if all fetched remote sources failed."""
        fetched = [o for o in self.sources if o.result != SKIPPED and o.source != USER]
        return bool(fetched) and all(o.result == FAILURE for o in fetched)


def choose(names: Sequence[str], config: Config) -> tuple[tuple[Source, ...], list[Source]]:
    """(sources to fetch, sources that are not configured). Raises UsageError, OfflineError."""
    requested = [find_source(name) for name in names]
    candidates = [s for s in SOURCES if not requested or s in requested]
    unconfigured = [s for s in candidates if not s.configured(config)]
    if requested and unconfigured:
        raise UsageError(
            f"no {unconfigured[0].name} server is configured", hint=unconfigured[0].hint
        )
    fetchable = tuple(s for s in candidates if s not in unconfigured)
    remote = [s.name for s in fetchable if not s.local]
    if config.offline and remote:
        raise OfflineError(
            f"offline: {', '.join(remote)} cannot be fetched",
            hint=config.online_hint(),
        )
    return fetchable, unconfigured


def last_of(stored: Mapping[str, SourceSnapshot]) -> Callable[[str], SourceSnapshot]:
    """A function from a source's name to its stored snapshot, or to an empty one."""
    return lambda name: stored.get(name) or SourceSnapshot(name, None)


def fetch_all(
    sources: Sequence[Source],
    config: Config,
    last: Callable[[str], SourceSnapshot],
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, tuple[Fetch | ModelscanError, float, int]]:
    """Source -> (result or error, seconds, bytes). Ctrl-C stops all requests at once."""
    clients = {source.name: http_client(config, source=source.name) for source in sources}
    results: dict[str, tuple[Fetch | ModelscanError, float, int]] = {}

    def run(source: Source) -> tuple[Fetch | ModelscanError, float, int]:
        client, started = clients[source.name], time.monotonic()
        try:
            result: Fetch | ModelscanError = _as_read(
                source.fetch(client, config, last(source.name))
            )
        except ModelscanError as error:
            result = error
        return result, time.monotonic() - started, client.received_bytes

    pool = concurrent.futures.ThreadPoolExecutor(max(1, len(sources)))
    try:
        running = {pool.submit(run, source): source for source in sources}
        deadline = time.monotonic() + config.http_timeout_s * _REQUESTS_LONG
        while running:
            if time.monotonic() > deadline:  # a server may be slow on each of many pages
                for source in running.values():
                    clients[source.name].cancel()
            progress("fetching " + ", ".join(sorted(s.name for s in running.values())))
            ready, _ = concurrent.futures.wait(running, _POLL_S, concurrent.futures.FIRST_COMPLETED)
            for future in ready:
                results[running.pop(future).name] = future.result()
    finally:
        for client in clients.values():
            client.cancel()
        pool.shutdown(wait=True, cancel_futures=True)
        for client in clients.values():
            client.close()
    return results


def _as_read(fetched: Fetch) -> Fetch:
    """The snapshot as it will be read from disk, to compare it with the last one."""
    return replace(fetched, snapshot=load(dump(fetched.snapshot)))


def report(
    fetched: Sequence[Source],
    skipped: Sequence[Source],
    results: dict[str, tuple[Fetch | ModelscanError, float, int]],
    last: Callable[[str], SourceSnapshot],
) -> SyncReport:
    """Outcomes and the snapshots to store: new ones, and old ones marked as failed. Pure."""
    outcomes: list[SourceOutcome] = []
    snapshots: list[SourceSnapshot] = []
    warnings: list[str] = []
    for source in sorted({s.name: s for s in (*fetched, *skipped)}.values(), key=lambda s: s.name):
        before = last(source.name)
        if source.name not in results:
            outcomes.append(_outcome(before, before, SKIPPED))
            continue
        result, elapsed_s, moved = results[source.name]
        if isinstance(result, ModelscanError):
            snapshot = replace(before, state=FAILED, error=result.message)
            outcome = replace(_outcome(before, snapshot, FAILURE), error=result.message)
            warnings.append(f"{source.name}: {result.message}; its last good data stays in use")
        else:
            snapshot = replace(result.snapshot, state=LIVE, error=None)
            outcome = _outcome(before, snapshot, None)
            warnings += result.warnings
            if outcome.models * 2 < outcome.before:
                now, then = outcome.models, outcome.before
                warnings.append(f"{source.name}: now {now} entries, previously {then}")
        snapshots.append(snapshot)
        outcomes.append(replace(outcome, elapsed_s=round(elapsed_s, 3), moved_bytes=moved))
    return SyncReport(tuple(outcomes), tuple(snapshots), tuple(warnings))


def _outcome(before: SourceSnapshot, after: SourceSnapshot, result: str | None) -> SourceOutcome:
    old_records, new_records = _by_key(before), _by_key(after)
    added, removed = (
        len(new_records.keys() - old_records.keys()),
        len(old_records.keys() - new_records.keys()),
    )
    changed = sum(
        new_records[key] != old_records[key] for key in new_records.keys() & old_records.keys()
    )
    return SourceOutcome(
        source=after.source,
        state=after.state,
        result=result or (UPDATED if added or removed or changed else UNCHANGED),
        models=len(new_records),
        before=len(old_records),
        added=added,
        removed=removed,
        changed=changed,
        retrieved_at=after.retrieved_at,
        origin=after.origin,
    )


def _by_key(snapshot: SourceSnapshot) -> dict[tuple[str, str], SourceRecord]:
    return {(record.kind, record.key): record for record in snapshot.records}
