"""Fetches a GPUStack server's own catalog. The parser is ``gpustack_parse``.

The list of sets and the recipes of each set are separate requests. Without a cluster id, the server
sends recipes for all hardware. Version 2 has ``/v2``, version 0.7 ``/v1``; the server states its
version at ``/version``.
"""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.catalog.sources.gpustack_parse import record
from modelscan.core.errors import AuthError, RemoteError
from modelscan.core.foreign import mapping, rows, text
from modelscan.formats.repo_names import short
from modelscan.net.address import public
from modelscan.net.errors import HttpError

if TYPE_CHECKING:
    from modelscan.catalog.records import SourceRecord
    from modelscan.core.model import Spec
    from modelscan.net.client import HttpClient

AT_ONCE = 6


def fetch(http: HttpClient, server: str, key: str | None) -> tuple[SourceRecord, ...]:
    """All model sets of a server with their recipes. Raises AuthError, RemoteError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    prefix = _prefix(http, server)
    base = f"{server}/{prefix}/model-sets"
    sets = _items(_get(http, f"{base}?page=-1", headers), "model sets")
    valid = [s for s in sets if isinstance(s.get("name"), str) and isinstance(s.get("id"), int)]
    if not valid:
        raise RemoteError(f"{public(server)} has an empty catalog")

    def complete(entry: Mapping[str, Any]) -> tuple[SourceRecord, ...]:
        payload = _get(http, f"{base}/{entry['id']}/specs?page=-1", headers)
        whole = record(entry, specs=_items(payload, f"recipes of {entry['name']}"))
        return by_repository(whole) if prefix == "v1" else (whole,)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(complete, entry) for entry in valid]
        try:
            records = [record for future in futures for record in future.result()]
        finally:
            for future in futures:
                future.cancel()
    return tuple({record.key: record for record in records}.values())


def by_repository(family: SourceRecord) -> tuple[SourceRecord, ...]:
    """Split version 0.7's sets, which have recipes for all sizes of a family, by repository.

    The family's own facts (context, capabilities) may not apply to each repository.
    """
    shared = ("license", "task", "open_weights", "release_date")
    facts = {name: family.facts[name] for name in shared if name in family.facts}
    specs: dict[str, list[Spec]] = {}
    for spec in family.specs:
        specs.setdefault(spec.repo, []).append(spec)
    return tuple(
        replace(
            family,
            key=f"{family.key} {repo}",
            name=short(repo),
            repos=(repo,) if any(s.source == "huggingface" for s in own) else (),
            facts=facts,
            specs=tuple(own),
        )
        for repo, own in sorted(specs.items())
    )


def _prefix(http: HttpClient, server: str) -> str:
    """``v2``, or ``v1`` for servers before version 2. Raises RemoteError if it is not GPUStack."""
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
                hint="check the key; its scope must include management",
                details={"url": public(url), "status": error.status},
            ) from error
        raise


def _items(payload: Any, what: str) -> list[Mapping[str, Any]]:
    items = mapping(payload).get("items")
    if not isinstance(items, list):
        raise RemoteError(f"the GPUStack server sent something that is not a list of {what}")
    return rows(items)
