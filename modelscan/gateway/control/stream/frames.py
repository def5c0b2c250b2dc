"""Events as server-sent events: framing, filters, and where a reader goes on. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelscan.registry.types import RegistryEvent

KINDS = ("model", "version", "tag", "alias", "curation", "eval", "deployment", "node", "route")
REGISTRY_KINDS = ("model", "version", "tag", "alias", "curation", "eval")
GROUP = "registry"
"""``?kind=registry``: all kinds of the registry."""
OPENING = b"retry: 1000\n: connected\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class EventFrame:
    """An event as it is sent; ``kind`` is the first part of its ``name``."""

    id: int
    name: str
    slug: str | None
    data: bytes

    @property
    def kind(self) -> str:
        """Whose event it is: ``alias`` of ``alias.set``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader gets, ``kinds`` by kind or by whole name; None: all."""

    kinds: frozenset[str] | None = None
    slugs: frozenset[str] | None = None

    def passes(self, frame: EventFrame) -> bool:
        """Whether a reader gets an event."""
        if self.kinds is not None and self.kinds.isdisjoint((frame.kind, frame.name)):
            return False
        return self.slugs is None or frame.slug in self.slugs


def frame_of(event: RegistryEvent) -> EventFrame:
    """An event's frame: ``id``, ``event``, and ``data`` as one line of JSON."""
    data: dict[str, Any] = {
        **_plain(event.data), "slug": event.slug, "version": event.version, "etag": event.etag,
        "at": event.at, "actor": event.actor,
    }  # fmt: skip
    return EventFrame(event.id, event.event, event.slug, _framed(event.id, event.event, data))


def reset_frame(newest: int) -> bytes:
    """What a reader is sent who missed events that are not kept: everything may have changed."""
    return _framed(newest, "reset", {"last_event_id": newest})


def _framed(number: int, event: str, data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, separators=(",", ":"))  # ASCII only: no line break but its own escape
    return f"id: {number}\nevent: {event}\ndata: {text}\n\n".encode()


def _plain(data: Mapping[str, object]) -> dict[str, object]:
    return {str(key): value for key, value in data.items()}


def kinds_of(texts: Sequence[str]) -> tuple[frozenset[str] | None, str | None]:
    """The kinds of ``?kind=`` (repeated, or separated by commas), and the first unknown one.

    The name of an event, as ``alias.set``, asks for these alone.
    """
    names = [name for text in texts for name in text.split(",") if name]
    if not names:
        return None, None
    unknown = next((n for n in names if n != GROUP and n.partition(".")[0] not in KINDS), None)
    kinds = {name for name in names if name != GROUP}
    return frozenset(kinds | set(REGISTRY_KINDS if GROUP in names else ())), unknown


def joined(frames: Collection[EventFrame], wanted: EventFilter) -> bytes:
    """The frames that a reader gets, in order, as bytes."""
    return b"".join(frame.data for frame in frames if wanted.passes(frame))
