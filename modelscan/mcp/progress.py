"""A command's events as the progress of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from modelscan.core.units import format_bytes

Report = Callable[[float, float | None, str | None], Awaitable[None]]
# The share of a deploy at which each step begins, in percent; a download has the room after it.
_STEPS = {"planning": 0.0, "downloading": 10.0, "planned": 60.0, "pending": 10.0, "starting": 70.0,
          "port_moved": 75.0, "verifying": 90.0, "running": 100.0}  # fmt: skip
_DOWNLOAD = 50.0


class DeployProgress:
    """Progress that only grows, as the protocol demands."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reached = -1.0

    async def event(self, event: Mapping[str, Any]) -> None:
        """Report one event of a command."""
        name = str(event.get("event"))
        if name not in _STEPS:
            return
        share = event.get("progress") if name == "downloading" else None
        reached = _STEPS[name] + _DOWNLOAD * (share or 0.0) / 100
        if reached > self._reached:
            self._reached = reached
            await self._report(reached, 100.0, text_of(name, event))


def text_of(name: str, event: Mapping[str, Any]) -> str:
    """An event as a short text."""
    subject = event.get("name") or ""
    text = f"{name.replace('_', ' ')} {subject}".strip()
    done, total = event.get("done_bytes"), event.get("total_bytes")
    if done is not None and total is not None:
        return f"{text}: {format_bytes(done)} of {format_bytes(total)}"
    return text
