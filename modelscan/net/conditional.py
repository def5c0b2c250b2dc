"""Conditional requests: stored answers, their validators, and the effect of a 304. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A stored response body. ``retrieved_at``: when the server last confirmed it."""

    body: bytes
    etag: str | None
    last_modified: str | None
    retrieved_at: str


class AnswerStore(Protocol):
    """Stores answers by address, those to requests with credentials (``private``) separately."""

    def load(self, url: str, *, private: bool = False) -> StoredAnswer | None:
        """The stored answer of an address; None if there is none or it is damaged."""

    def store(self, url: str, answer: StoredAnswer, *, private: bool = False) -> None:
        """Store the answer, replacing an earlier one."""


def validators(stored: StoredAnswer | None) -> dict[str, str]:
    """Request headers that make the server send the body only if it has changed."""
    if stored and stored.etag:
        return {"If-None-Match": stored.etag}
    if stored and stored.last_modified:
        return {"If-Modified-Since": stored.last_modified}
    return {}


def renewed(
    stored: StoredAnswer | None, status: int, headers: Mapping[str, str], body: bytes, at: str
) -> StoredAnswer:
    """The answer to store after a response: the confirmed one (304) or the new one."""
    if status == 304 and stored is not None:
        return replace(stored, retrieved_at=at)
    return StoredAnswer(body, headers.get("etag"), headers.get("last-modified"), at)
