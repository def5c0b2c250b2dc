"""A GPUStack server's own catalogue: fetch. The parser is ``gpustack_parse``.

Version 2 serves ``/v2/model-sets`` and the recipes of each set apart; the recipes differ by
cluster, so those of every cluster would have to be asked for. Without a cluster all are sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.catalog.http import HttpClient
from modelscan.catalog.http_errors import HttpError
from modelscan.catalog.records import SourceRecord
from modelscan.catalog.repo_info import mapping, rows
from modelscan.catalog.sources.gpustack_parse import record
from modelscan.core.errors import AuthError, RemoteError


def fetch(http: HttpClient, server: str, key: str | None) -> tuple[SourceRecord, ...]:
    """Every model set of a server with its recipes; raises AuthError, RemoteError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    sets = _items(_get(http, f"{server}/v2/model-sets?page=-1", headers), "model sets")
    if not sets:
        raise RemoteError(f"{server} has an empty catalogue")
    found = {}
    for entry in sets:
        if isinstance(entry.get("name"), str) and isinstance(entry.get("id"), int):
            url = f"{server}/v2/model-sets/{entry['id']}/specs?page=-1"
            specs = _items(_get(http, url, headers), f"recipes of {entry['name']}")
            made = record(entry, specs=specs)
            found[made.key] = made
    return tuple(found.values())


def _get(http: HttpClient, url: str, headers: Mapping[str, str]) -> Any:
    try:
        return http.get(url, headers=headers, cached=True).json()
    except HttpError as error:
        if error.status in (401, 403):
            raise AuthError(
                f"the GPUStack server refused the key ({error.status})",
                hint="check the key and that its scope covers management",
                details={"url": url, "status": error.status},
            ) from error
        raise


def _items(payload: Any, what: str) -> list[Mapping[str, Any]]:
    items = mapping(payload).get("items")
    if not isinstance(items, list):
        raise RemoteError(f"the GPUStack server sent something that is not a list of {what}")
    return rows(items)
