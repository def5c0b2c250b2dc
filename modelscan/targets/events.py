"""What happens while a deployment is brought up: values, rendered by whoever shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.deployment_state import State
from modelscan.core.jsonform import to_json


@dataclass(frozen=True, slots=True)
class Planning:
    """The options are weighed."""

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; weights, where they had to be fetched, are here."""

    name: str
    backend: str
    quantization: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Downloading:
    """``progress`` in percent of all files together; ``reason`` is the pace in words."""

    name: str
    progress: float | None = None
    reason: str | None = None
    file: str | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    rate_bytes_per_s: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Starting:
    """The engine was started and loads."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class PortMoved:
    """The port was taken between its choice and the engine's bind: another one is used."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class AtServer:
    """A server's own state: ``raw`` in its words, ``progress`` of a download in percent."""

    name: str
    state: State
    reason: str | None = None
    progress: float | None = None
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Verifying:
    """It is loaded and is asked a real question."""

    name: str


@dataclass(frozen=True, slots=True)
class Running:
    """It answered, and its route is written."""

    name: str
    endpoint: str | None


Event = (
    Planning | Planned | Downloading | Starting | PortMoved | AtServer | Verifying | Running
)  # fmt: skip
Events = Callable[[Event], None]

_NAMES: Mapping[type[Any], str] = {
    Planning: "planning", Planned: "planned", Downloading: "downloading", Starting: "starting",
    PortMoved: "port_moved", Verifying: "verifying", Running: "running",
}  # fmt: skip


def no_events(_: Event) -> None:
    """For callers that show nothing."""


def event_name(event: Event) -> str:
    """The ``event`` field of its JSON line; a server's state names itself."""
    if isinstance(event, AtServer):
        return "verifying" if event.state is State.RUNNING else event.state.value
    return _NAMES[type(event)]


def event_fields(event: Event) -> dict[str, Any]:
    """The other fields of its JSON line."""
    fields: dict[str, Any] = to_json(event)
    fields.pop("state", None)
    return fields
