"""Server-sent events from lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; ``id`` None: it has none."""

    event: str
    data: str
    id: str | None = None


@dataclass(slots=True)
class _Fields:
    event: str = ""
    data: list[str] = field(default_factory=list)
    id: str | None = None


def read_events(lines: Iterable[str]) -> Iterator[ServerSentEvent]:
    """The events of a stream; comments and events without data are left out."""
    fields = _Fields()
    for line in lines:
        if line:
            _add(fields, line)
            continue
        if fields.data:
            name = fields.event or "message"
            yield ServerSentEvent(name, "\n".join(fields.data), fields.id)
        fields = _Fields()


def _add(fields: _Fields, line: str) -> None:
    name, _, value = line.partition(":")
    value = value.removeprefix(" ")
    if name == "event":
        fields.event = value
    elif name == "data":
        fields.data.append(value)
    elif name == "id" and "\0" not in value:
        fields.id = value
