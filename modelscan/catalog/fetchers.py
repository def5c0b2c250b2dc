"""Every source that ``catalog sync`` can ask: its name, what people call it, how it is fetched.

Adding a source is one function and one line here. A fetcher gets the last good snapshot, so that a
part that is missing upstream can stay as it was; it raises ModelscanError for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.catalog.http import HttpClient, utc_now
from modelscan.catalog.http_errors import public
from modelscan.catalog.hub import Hub
from modelscan.catalog.records import (
    GPUSTACK,
    HUGGINGFACE,
    LIVE,
    MODELSCOPE,
    MODELSDEV,
    USER,
    SourceRecord,
    SourceSnapshot,
)
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.state.config import Config

HUB_MODELS = 2000  # the most downloaded text models: two requests
SCOPE_MODELS = 500  # ten requests


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a fetcher produced."""

    snapshot: SourceSnapshot
    warnings: tuple[str, ...] = ()


Fetcher = Callable[[HttpClient, "Config", SourceSnapshot], Fetch]


@dataclass(frozen=True, slots=True)
class Source:
    """``needs`` is the setting without which there is nothing to ask."""

    name: str
    aliases: tuple[str, ...]
    fetch: Fetcher
    needs: str | None = None
    local: bool = False


def _live(source: str, origin: str, records: tuple[SourceRecord, ...], when: str) -> SourceSnapshot:
    return SourceSnapshot(source, when, records, state=LIVE, origin=public(origin))


def _modelsdev(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import modelsdev

    endpoint = config.text("modelsdev_endpoint").rstrip("/")
    got = modelsdev.fetch(http, endpoint)
    records = got.records
    if got.warning:
        records += tuple(record for record in last.records if record.kind == "model")
    warnings = (got.warning,) if got.warning else ()
    return Fetch(_live(MODELSDEV, endpoint, records, got.retrieved_at), warnings)


def _gpustack(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import gpustack
    from modelscan.state.secrets import resolve

    server = config.text("gpustack_url").rstrip("/")
    reference = config.get("gpustack_key")
    key = resolve(str(reference)) if reference is not None else None
    records = gpustack.fetch(http, server, key)
    own = {record.key for record in records}
    kept = tuple(r for r in last.records if r.key not in own and r.key.startswith("modelscope:"))
    return Fetch(_live(GPUSTACK, server, (*records, *kept), utc_now()))


def _huggingface(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    hub = Hub.from_config(config, http).huggingface
    return Fetch(_live(HUGGINGFACE, hub.endpoint, hub.popular(HUB_MODELS), utc_now()))


def _modelscope(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    hub = Hub.from_config(config, http).modelscope
    return Fetch(_live(MODELSCOPE, hub.endpoint, hub.popular(SCOPE_MODELS), utc_now()))


def _user(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import overlay

    read = overlay.read(config.paths.overlay_dir)
    return Fetch(read.snapshot, read.warnings)


SOURCES: tuple[Source, ...] = (
    Source(MODELSDEV, ("modelsdev", "models-dev"), _modelsdev),
    Source(GPUSTACK, ("gpu-stack",), _gpustack, needs="gpustack_url"),
    Source(HUGGINGFACE, ("hf", "hugging-face"), _huggingface),
    Source(MODELSCOPE, ("ms", "model_scope"), _modelscope),
    Source(USER, ("overlay", "local"), _user, local=True),
)


def find_source(name: str) -> Source:
    """The source of that name or alias; raises UsageError with all names."""
    wanted = name.strip().lower()
    for source in SOURCES:
        if wanted == source.name or wanted in source.aliases:
            return source
    raise UsageError(
        f"there is no source '{name}'",
        hint="modelscan catalog sync --source " + "|".join(s.name for s in SOURCES),
    )
