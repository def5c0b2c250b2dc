"""What ``modelscan serve`` reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

EventName = Literal[
    "ready",
    "reloaded",
    "invalid",
    "backend",
    "worker",
    "node",
    "database",
    "stopping",
    "stopped",
    "warning",
    "fault",
    "collector",
    "request",
    "wake",
]


@dataclass(frozen=True, slots=True)
class ServeEvent:
    """Something that happened, as a sentence and as values for scripts."""

    name: EventName
    text: str
    values: dict[str, Any] = field(default_factory=dict)


Report = Callable[[ServeEvent], None]
