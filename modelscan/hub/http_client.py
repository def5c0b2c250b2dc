"""Creates the HTTP client from the settings, with its disk cache of answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.net.address import public
from modelscan.net.client import HttpClient
from modelscan.net.conditional import StoredAnswer
from modelscan.net.exchange import BACKOFF_S, HttpSettings
from modelscan.state.files import write_atomic

if TYPE_CHECKING:
    from modelscan.state.config import Config

MAX_TIMEOUT_S = 86_400.0
_PAUSES_S = BACKOFF_S


class AnswerCache:
    """A cache with two files per address: the body, and a record with the body's hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _files(self, url: str, private: bool) -> tuple[Path, Path]:
        key = hashlib.sha256(f"{url}|{private}".encode()).hexdigest()[:32]
        return self.folder / f"{key}.json", self.folder / f"{key}.body"

    def load(self, url: str, *, private: bool = False) -> StoredAnswer | None:
        """The stored answer; None if there is none or its two files do not match."""
        record, body = self._files(url, private)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            meta = json_value(record.read_bytes())
            data = body.read_bytes()
            if meta["url"] == public(url) and meta["sha256"] == hashlib.sha256(data).hexdigest():
                return StoredAnswer(data, meta["etag"], meta["last_modified"], meta["retrieved_at"])
        return None

    def store(self, url: str, answer: StoredAnswer, *, private: bool = False) -> None:
        """Store an answer. The record is written last, so that a crash costs only one download."""
        record, body = self._files(url, private)
        write_atomic(body, answer.body)
        meta = {
            "url": public(url),
            "etag": answer.etag,
            "last_modified": answer.last_modified,
            "retrieved_at": answer.retrieved_at,
            "sha256": hashlib.sha256(answer.body).hexdigest(),
        }
        write_atomic(record, json.dumps(meta))


def http_client(
    config: Config, *, ca_file: str | None = None, source: str = "", within_s: float | None = None
) -> HttpClient:
    """The HTTP client for these settings; its cache is in the catalog's cache folder.

    ``ca_file`` (PEM) replaces the default certificate authorities; ``source`` is the hub that it is
    for, which may be the only one without requests. ``within_s``: requests that may be left out
    take at most this long and are sent once. Raises UsageError if ``http_timeout_s`` is out of
    range.
    """
    timeout_s = config.http_timeout_s
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(
            f"http_timeout_s is {timeout_s:g}: it must be above 0 and at most {MAX_TIMEOUT_S:g}",
            hint="modelscan config set http_timeout_s 20",
        )
    cache = AnswerCache(config.paths.catalog_dir / "http")
    pauses_s: tuple[float, ...] = _PAUSES_S
    if within_s is not None:
        timeout_s, pauses_s = min(timeout_s, within_s), ()
    because = config.offline_because(source)
    settings = HttpSettings(timeout_s, because is not None, ca_file, pauses_s, cache)
    return HttpClient(settings._replace(offline_because=because) if because else settings)
