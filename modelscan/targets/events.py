"""Events while a deployment starts: typed values that the caller renders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.deployment_state import State
from modelscan.core.jsonform import to_json


@dataclass(frozen=True, slots=True)
class Planning:
    """The plan is being made."""

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made and the weights are on this machine."""

    name: str
    backend: str
    quantization: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Downloading:
    """``progress`` in percent of all files together; ``reason`` is the rate as text."""

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
    """The engine was started and loads the model."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class PortMoved:
    """The port was taken between its choice and the engine's bind: another one is used."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class AtServer:
    """A server's own state: ``raw`` is its own term, ``progress`` of a download in percent."""

    name: str
    state: State
    reason: str | None = None
    progress: float | None = None
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Verifying:
    """The model is loaded and a test request is sent."""

    name: str


@dataclass(frozen=True, slots=True)
class Running:
    """The test request was answered, and the route is written."""

    name: str
    endpoint: str | None


@dataclass(frozen=True, slots=True)
class RequestsCut:
    """The engine is ended while requests run or wait, after ``waited_s`` seconds.

    ``running`` and ``waiting`` are None if the engine did not say, ``unknown`` says why;
    ``connections`` are open connections of clients, None where the system does not list them.
    """

    name: str
    running: int | None
    waiting: int | None
    connections: int | None
    waited_s: float
    unknown: str | None = None

    @property
    def text(self) -> str:
        """The warning: what was cut, after how long."""
        after = f"after {self.waited_s:g} s" if self.waited_s else "without waiting"
        if self.running is None or self.waiting is None:
            links = "" if self.connections is None else f" ({self.connections} open connections)"
            because = f": {self.unknown}" if self.unknown else ""
            cut = f"whether requests were cut is unknown{links}{because}"
            return f"{self.name} was ended {after}; {cut}"
        return (
            f"{self.name} was ended {after}: {self.running} running and {self.waiting} waiting "
            "requests were cut"
        )


Event = (
    Planning
    | Planned
    | Downloading
    | Starting
    | PortMoved
    | AtServer
    | Verifying
    | Running
    | RequestsCut
)
Events = Callable[[Event], None]

_NAMES: Mapping[type[Any], str] = {
    Planning: "planning", Planned: "planned", Downloading: "downloading", Starting: "starting",
    PortMoved: "port_moved", Verifying: "verifying", Running: "running",
    RequestsCut: "requests_cut",
}  # fmt: skip


def no_events(_: Event) -> None:
    """An event callback that does nothing."""


def event_name(event: Event) -> str:
    """The ``event`` field of its JSON line; for a server's state, the state's name."""
    if isinstance(event, AtServer):
        return "verifying" if event.state is State.RUNNING else event.state.value
    return _NAMES[type(event)]


def event_fields(event: Event) -> dict[str, Any]:
    """The other fields of its JSON line."""
    fields: dict[str, Any] = to_json(event)
    fields.pop("state", None)
    return fields
