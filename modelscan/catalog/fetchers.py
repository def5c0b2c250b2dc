"""The sources of ``catalog sync``: name, aliases, fetch function.

A new source is one function and one line here. A fetch function receives the last good snapshot, to
keep parts that are missing upstream; it raises ModelscanError on failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from modelscan.hub.http_client import http_client
from modelscan.hub.repository import Hub
from modelscan.net.address import public
from modelscan.net.client import HttpClient
from modelscan.net.runner import utc_now

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.targets import TargetConfig

HUB_MODELS = 2000  # the most downloaded text models: two requests
SCOPE_MODELS = 500  # ten requests
ADD_TARGET = "modelscan target add NAME URL --key env:NAME"


@dataclass(frozen=True, slots=True)
class Fetch:
    """The result of fetching one source."""

    snapshot: SourceSnapshot
    warnings: tuple[str, ...] = ()


Fetcher = Callable[[HttpClient, "Config", SourceSnapshot], Fetch]


@dataclass(frozen=True, slots=True)
class Source:
    """A source. ``configured``: whether it can be fetched; ``hint``: how to configure it."""

    name: str
    aliases: tuple[str, ...]
    fetch: Fetcher
    local: bool = False
    configured: Callable[[Config], bool] = lambda config: True
    hint: str | None = None


def _live(source: str, origin: str, records: tuple[SourceRecord, ...], when: str) -> SourceSnapshot:
    return SourceSnapshot(source, when, records, state=LIVE, origin=public(origin))


def _modelsdev(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import modelsdev

    endpoint = config.modelsdev_endpoint.rstrip("/")
    fetched = modelsdev.fetch(http, endpoint)
    records = fetched.records
    if fetched.warning:
        records += tuple(record for record in last.records if record.kind == "model")
    warnings = (fetched.warning,) if fetched.warning else ()
    return Fetch(_live(MODELSDEV, endpoint, records, fetched.retrieved_at), warnings)


def gpustack_server(config: Config) -> TargetConfig | None:
    """The default GPUStack target, or None."""
    from modelscan.state import targets

    configured = targets.load(config.paths)
    return configured.get(configured.default) if configured.default else None


def _gpustack(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import gpustack
    from modelscan.state.secrets import resolve

    server = gpustack_server(config)
    if server is None:
        raise UsageError("no GPUStack server is configured", hint=ADD_TARGET)
    key = resolve(server.api_key) if server.api_key is not None else None
    with http_client(config, ca_file=server.ca_file) if server.ca_file else http as client:
        records = gpustack.fetch(client, server.url, key)
    names = {record.key for record in records}
    modelscope_sets = tuple(  # sets from ModelScope's file, which no server sends
        r for r in last.records if r.key not in names and r.key.startswith("modelscope:")
    )
    return Fetch(_live(GPUSTACK, server.url, (*records, *modelscope_sets), utc_now()))


def _huggingface(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import huggingface

    hub = Hub.from_config(config, http).huggingface
    records = huggingface.popular(hub, HUB_MODELS)
    return Fetch(_live(HUGGINGFACE, hub.endpoint, records, utc_now()))


def _modelscope(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import modelscope

    hub = Hub.from_config(config, http).modelscope
    records = modelscope.popular(hub, SCOPE_MODELS)
    return Fetch(_live(MODELSCOPE, hub.endpoint, records, utc_now()))


def _user(http: HttpClient, config: Config, last: SourceSnapshot) -> Fetch:
    from modelscan.catalog.sources import overlay

    result = overlay.read(config.paths.overlay_dir)
    return Fetch(result.snapshot, result.warnings)


SOURCES: tuple[Source, ...] = (
    Source(MODELSDEV, ("modelsdev", "models-dev"), _modelsdev),
    Source(
        GPUSTACK,
        ("gpu-stack",),
        _gpustack,
        configured=lambda config: gpustack_server(config) is not None,
        hint=ADD_TARGET,
    ),
    Source(HUGGINGFACE, ("hf", "hugging-face"), _huggingface),
    Source(MODELSCOPE, ("ms", "model_scope"), _modelscope),
    Source(USER, ("overlay", "local"), _user, local=True),
)


def find_source(name: str) -> Source:
    """The source with that name or alias. Raises UsageError with all names."""
    plain = name.strip().lower()
    for source in SOURCES:
        if plain == source.name or plain in source.aliases:
            return source
    raise UsageError(
        f"there is no source '{name}'",
        hint="modelscan catalog sync --source " + "|".join(s.name for s in SOURCES),
    )
