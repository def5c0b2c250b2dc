"""Answers kept for conditional requests: a body and the validators that came with it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from modelscan.net.errors import public
from modelscan.state.files import write_atomic


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored answer. ``retrieved_at``: when the server last said that it holds."""

    body: bytes
    etag: str | None
    last_modified: str | None
    retrieved_at: str


class AnswerCache:
    """Two files per address: the body, and a small record that names its hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _files(self, url: str, private: bool) -> tuple[Path, Path]:
        key = hashlib.sha256(f"{url}|{private}".encode()).hexdigest()[:32]
        return self.folder / f"{key}.json", self.folder / f"{key}.body"

    def load(self, url: str, *, private: bool = False) -> Kept | None:
        """The stored answer; None when there is none or its two halves do not belong together."""
        record, body = self._files(url, private)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            meta = json.loads(record.read_bytes())
            data = body.read_bytes()
            if meta["url"] == public(url) and meta["sha256"] == hashlib.sha256(data).hexdigest():
                return Kept(data, meta["etag"], meta["last_modified"], meta["retrieved_at"])
        return None

    def store(self, url: str, kept: Kept, *, private: bool = False) -> None:
        """Keep it; the record goes last, so a crash in between costs one download, no more."""
        record, body = self._files(url, private)
        write_atomic(body, kept.body)
        meta = {
            "url": public(url),
            "etag": kept.etag,
            "last_modified": kept.last_modified,
            "retrieved_at": kept.retrieved_at,
            "sha256": hashlib.sha256(kept.body).hexdigest(),
        }
        write_atomic(record, json.dumps(meta))
