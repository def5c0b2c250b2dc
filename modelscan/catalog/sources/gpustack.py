"""A GPUStack server's own catalogue: fetch. The parser is ``gpustack_parse``.

The list of sets and the recipes of each set are separate requests. Without a cluster's id the
recipes for every kind of hardware are sent. Version 2 serves ``/v2``, version 0.7 ``/v1``; which
one it is, the server says at ``/version``.
"""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Mapping
from typing import Any

from modelscan.catalog.http import HttpClient
from modelscan.catalog.http_errors import HttpError, public
from modelscan.catalog.records import SourceRecord
from modelscan.catalog.repo_info import mapping, rows, text
from modelscan.catalog.sources.gpustack_parse import record
from modelscan.core.errors import AuthError, RemoteError

AT_ONCE = 6


def fetch(http: HttpClient, server: str, key: str | None) -> tuple[SourceRecord, ...]:
    """Every model set of a server with its recipes; raises AuthError, RemoteError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    base = f"{server}/{_prefix(http, server)}/model-sets"
    sets = _items(_get(http, f"{base}?page=-1", headers), "model sets")
    known = [s for s in sets if isinstance(s.get("name"), str) and isinstance(s.get("id"), int)]
    if not known:
        raise RemoteError(f"{public(server)} has an empty catalogue")

    def complete(entry: Mapping[str, Any]) -> SourceRecord:
        payload = _get(http, f"{base}/{entry['id']}/specs?page=-1", headers)
        return record(entry, specs=_items(payload, f"recipes of {entry['name']}"))

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        made = [pool.submit(complete, entry) for entry in known]
        try:
            records = [future.result() for future in made]
        finally:
            for future in made:
                future.cancel()
    return tuple({record.key: record for record in records}.values())


def _prefix(http: HttpClient, server: str) -> str:
    """``v2``, or ``v1`` for servers before version 2."""
    version = text(mapping(http.get(f"{server}/version").json()).get("version"))
    match = re.match(r"v?(\d+)\.", version or "")
    if match is None:
        raise RemoteError(f"{public(server)} is not a GPUStack server: /version says {version!r}")
    return "v2" if int(match[1]) >= 2 else "v1"


def _get(http: HttpClient, url: str, headers: Mapping[str, str]) -> Any:
    try:
        return http.get(url, headers=headers, cached=True).json()
    except HttpError as error:
        if error.status in (401, 403):
            raise AuthError(
                f"the GPUStack server refused the key ({error.status})",
                hint="check the key and that its scope covers management",
                details={"url": public(url), "status": error.status},
            ) from error
        raise


def _items(payload: Any, what: str) -> list[Mapping[str, Any]]:
    items = mapping(payload).get("items")
    if not isinstance(items, list):
        raise RemoteError(f"the GPUStack server sent something that is not a list of {what}")
    return rows(items)
