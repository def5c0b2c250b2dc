"""The pulled weights on this machine, as values with one JSON form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.deploy import cached
from modelscan.deploy.cached import Cached, Checked, Update
from modelscan.hub.partial import PartialDownload, partial_downloads
from modelscan.hub.partial import delete as delete_part

if TYPE_CHECKING:
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class CacheList:
    """Every pulled revision and every interrupted download, and the bytes of all of them."""

    total_bytes: int
    items: tuple[Cached, ...]
    partial: tuple[PartialDownload, ...]


@dataclass(frozen=True, slots=True)
class CacheVerified:
    """Every file with its status; ``damaged`` counts damaged and missing ones."""

    files: tuple[Checked, ...]
    damaged: int


@dataclass(frozen=True, slots=True)
class CachePruned:
    """The revisions that no deployment uses, and interrupted downloads; ``deleted``: whether they
    were deleted.
    """

    deleted: bool
    freed_bytes: int
    items: tuple[Cached, ...]
    partial: tuple[PartialDownload, ...]


@dataclass(frozen=True, slots=True)
class CacheUpdates:
    """Every pulled revision with the hub's newest; ``changed`` counts the outdated ones."""

    items: tuple[Update, ...]
    changed: int


def list_cache(config: Config) -> CacheList:
    """Every pulled revision: size, completeness, deployments that use it; interrupted downloads."""
    items, parts = cached.list_cached(config), partial_downloads(config)
    return CacheList(_size(items, parts), items, parts)


def _size(items: Sequence[Cached], parts: Sequence[PartialDownload]) -> int:
    return sum(item.size_bytes for item in items) + sum(part.size_bytes for part in parts)


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
    """The revisions that no deployment uses and the interrupted downloads; removes them only with
    ``delete``. What a download writes now is left.
    """
    items = cached.prune(config, dry_run=not delete)
    parts = tuple(part for part in partial_downloads(config) if not part.active)
    if delete:
        parts = tuple(part for part in parts if delete_part(part, config))
    return CachePruned(delete, _size(items, parts), items, parts)


def cache_updates(config: Config) -> CacheUpdates:
    """Compare with the hubs' newest revisions; raises UsageError with ``--offline``."""
    if config.offline:
        raise UsageError(
            f"{config.offline_because('')}, and updates are known to the hubs only",
            hint=config.online_hint(),
        )
    items = tuple(cached.updates(config))
    return CacheUpdates(items, sum(row.status == "changed" for row in items))
