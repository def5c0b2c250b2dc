"""``catalog sync``: ask the sources side by side, each failing alone, then swap the index.

Nothing that was good is lost: a source that fails keeps its last records, files are replaced
atomically, the index last of all. A process killed at any point leaves the old index.
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
_REQUESTS_LONG = 6  # a source may take as long as that many slow requests


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source. Counts are records; ``before`` was there already."""

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
class Report:
    """The whole sync. ``models`` is the number of merged models, None where nothing was built."""

    sources: tuple[Outcome, ...]
    snapshots: tuple[SourceSnapshot, ...]
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.sources if outcome.result == FAILURE)

    @property
    def nothing_came(self) -> bool:
        """Every source that was asked on the network failed."""
        asked = [o for o in self.sources if o.result != SKIPPED and o.source != USER]
        return bool(asked) and all(o.result == FAILURE for o in asked)


def choose(names: Sequence[str], config: Config) -> tuple[tuple[Source, ...], list[Source]]:
    """(sources to ask, sources with nothing to ask); raises UsageError, OfflineError."""
    named = [find_source(name) for name in names]
    wanted = [s for s in SOURCES if not named or s in named]
    lacking = [s for s in wanted if not s.configured(config)]
    if named and lacking:
        raise UsageError(f"no {lacking[0].name} server is configured", hint=lacking[0].hint)
    asked = tuple(s for s in wanted if s not in lacking)
    remote = [s.name for s in asked if not s.local]
    if config.offline and remote:
        raise OfflineError(
            f"offline: {', '.join(remote)} cannot be asked",
            hint="run it without --offline (and unset MODELSCAN_OFFLINE)",
        )
    return asked, lacking


def last_of(stored: Mapping[str, SourceSnapshot]) -> Callable[[str], SourceSnapshot]:
    """The stored snapshot of a source, an empty one where there is none."""
    return lambda name: stored.get(name) or SourceSnapshot(name, None)


def fetch_all(
    sources: Sequence[Source],
    config: Config,
    last: Callable[[str], SourceSnapshot],
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, tuple[Fetch | ModelscanError, float, int]]:
    """Source -> (what came or why not, seconds, bytes). Ctrl-C stops every request at once."""
    clients = {source.name: http_client(config) for source in sources}
    done: dict[str, tuple[Fetch | ModelscanError, float, int]] = {}

    def run(source: Source) -> tuple[Fetch | ModelscanError, float, int]:
        client, started = clients[source.name], time.monotonic()
        try:
            got: Fetch | ModelscanError = _as_read(source.fetch(client, config, last(source.name)))
        except ModelscanError as error:
            got = error
        return got, time.monotonic() - started, client.received_bytes

    pool = concurrent.futures.ThreadPoolExecutor(max(1, len(sources)))
    try:
        waiting = {pool.submit(run, source): source for source in sources}
        until = time.monotonic() + config.http_timeout_s * _REQUESTS_LONG
        while waiting:
            if time.monotonic() > until:  # a server may be slow page after page
                for source in waiting.values():
                    clients[source.name].cancel()
            progress("asking " + ", ".join(sorted(s.name for s in waiting.values())))
            ready, _ = concurrent.futures.wait(waiting, _POLL_S, concurrent.futures.FIRST_COMPLETED)
            for future in ready:
                done[waiting.pop(future).name] = future.result()
    finally:
        for client in clients.values():
            client.cancel()
        pool.shutdown(wait=True, cancel_futures=True)
        for client in clients.values():
            client.close()
    return done


def _as_read(fetched: Fetch) -> Fetch:
    """The snapshot as it will be read from disk, so that it compares with the last one."""
    return replace(fetched, snapshot=load(dump(fetched.snapshot)))


def report(
    asked: Sequence[Source],
    skipped: Sequence[Source],
    got: dict[str, tuple[Fetch | ModelscanError, float, int]],
    last: Callable[[str], SourceSnapshot],
) -> Report:
    """Outcomes and the snapshots to keep: new ones, and old ones marked failed. Pure."""
    outcomes: list[Outcome] = []
    snapshots: list[SourceSnapshot] = []
    warnings: list[str] = []
    for source in sorted({s.name: s for s in (*asked, *skipped)}.values(), key=lambda s: s.name):
        before = last(source.name)
        if source.name not in got:
            outcomes.append(_outcome(before, before, SKIPPED))
            continue
        result, elapsed_s, moved = got[source.name]
        if isinstance(result, ModelscanError):
            kept = replace(before, state=FAILED, error=result.message)
            outcome = replace(_outcome(before, kept, FAILURE), error=result.message)
            warnings.append(f"{source.name}: {result.message}; its last data is kept")
        else:
            kept = replace(result.snapshot, state=LIVE, error=None)
            outcome = _outcome(before, kept, None)
            warnings += result.warnings
            if outcome.models * 2 < outcome.before:
                now, then = outcome.models, outcome.before
                warnings.append(f"{source.name}: {now} entries now, {then} before")
        snapshots.append(kept)
        outcomes.append(replace(outcome, elapsed_s=round(elapsed_s, 3), moved_bytes=moved))
    return Report(tuple(outcomes), tuple(snapshots), tuple(warnings))


def _outcome(before: SourceSnapshot, after: SourceSnapshot, result: str | None) -> Outcome:
    old, new = _by_key(before), _by_key(after)
    added, removed = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    changed = sum(new[key] != old[key] for key in new.keys() & old.keys())
    return Outcome(
        source=after.source,
        state=after.state,
        result=result or (UPDATED if added or removed or changed else UNCHANGED),
        models=len(new),
        before=len(old),
        added=added,
        removed=removed,
        changed=changed,
        retrieved_at=after.retrieved_at,
        origin=after.origin,
    )


def _by_key(snapshot: SourceSnapshot) -> dict[tuple[str, str], SourceRecord]:
    return {(record.kind, record.key): record for record in snapshot.records}
