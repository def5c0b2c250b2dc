"""The pulled weights on this machine, as values with one JSON form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.deploy import cached
from modelscan.deploy.cached import Cached, Checked, Update

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class CacheList:
    """Every pulled revision, and the bytes that all of them occupy on the disk."""

    total_bytes: int
    items: tuple[Cached, ...]


@dataclass(frozen=True, slots=True)
class CacheVerified:
    """Every file with its status; ``damaged`` counts damaged and missing ones."""

    files: tuple[Checked, ...]
    damaged: int


@dataclass(frozen=True, slots=True)
class CachePruned:
    """The revisions that no deployment uses; ``deleted``: whether they were deleted."""

    deleted: bool
    freed_bytes: int
    items: tuple[Cached, ...]


@dataclass(frozen=True, slots=True)
class CacheUpdates:
    """Every pulled revision with the hub's newest; ``changed`` counts the outdated ones."""

    items: tuple[Update, ...]
    changed: int


def list_cache(config: Config) -> CacheList:
    """Every pulled revision: size, completeness, deployments that use it."""
    items = cached.list_cached(config)
    return CacheList(sum(item.size_bytes for item in items), items)


def verify_cache(
    config: Config, names: Sequence[str], progress: Callable[[str], None]
) -> CacheVerified:
    """Compare the SHA-256 of every file of these repositories or deployments (none: all).

    ``progress`` receives each file. Raises UsageError for a name without a pull.
    """
    rows = []
    for row in cached.verify(config, names):
        progress(f"{row.repo}: {row.file}")
        rows.append(row)
    return CacheVerified(tuple(rows), sum(row.status in ("damaged", "missing") for row in rows))


def prune_cache(config: Config, *, delete: bool) -> CachePruned:
    """The revisions that no deployment uses; removes them only with ``delete``."""
    items = cached.prune(config, dry_run=not delete)
    return CachePruned(delete, sum(item.size_bytes for item in items), items)


def cache_updates(config: Config) -> CacheUpdates:
    """Compare with the hubs' newest revisions; raises UsageError with ``--offline``."""
    if config.offline:
        raise UsageError(
            "updates needs the hubs, and --offline forbids requests", hint="leave out --offline"
        )
    items = tuple(cached.updates(config))
    return CacheUpdates(items, sum(row.status == "changed" for row in items))
