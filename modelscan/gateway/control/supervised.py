"""The gateway's loops, watched: one that ends by an error is reported and started again.

A loop that ends again and again is a fault that a restart does not cure: then its error ends the
gateway, so that whatever supervises the process (systemd, a container) starts a new one.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from modelscan.gateway.control.events import Report, ServeEvent

MOST_RESTARTS, WITHIN_S = 5, 60.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_RECENT_S = 600.0
Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class PartFault:
    """Errors of a part of the gateway that should have none; it went on after each.

    ``at`` and ``reported_at``: UNIX times of the last one, and of the last that was reported.
    """

    part: str
    count: int
    error: str
    at: float
    reported_at: float

    @property
    def recent(self) -> bool:
        """Whether it is worth a look."""
        return time.time() - self.at < _RECENT_S


class PartSupervisor:
    """Runs loops; ``faults`` gets each part that ended by an error."""

    def __init__(self, report: Report, faults: dict[str, PartFault]) -> None:
        self._report = report
        self._faults = faults

    async def run(
        self, part: str, loop: Loop, *, final: tuple[type[BaseException], ...] = ()
    ) -> None:
        """Run a loop until it returns or is cancelled.

        Raises its error if it is one of ``final``, or after ``MOST_RESTARTS`` within a minute.
        """
        ended: deque[float] = deque(maxlen=MOST_RESTARTS)
        while (error := await _end_of(loop)) is not None:
            now = time.monotonic()
            often = len(ended) == MOST_RESTARTS and now - ended[0] < WITHIN_S
            if isinstance(error, final):
                raise error
            self.note(part, error)
            if often:
                raise error
            ended.append(now)
            recent = sum(now - one < WITHIN_S for one in ended)
            await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2**recent))

    def note(self, part: str, error: BaseException) -> None:
        """Count an error of a part, and report it with where it happened: the same one at most
        once a minute."""
        text = f"{type(error).__name__}: {error}"
        before, now = self._faults.get(part), time.time()
        count = 1 if before is None else before.count + 1
        same = before is not None and before.error == text and now - before.reported_at < WITHIN_S
        reported_at = before.reported_at if before is not None and same else now
        self._faults[part] = PartFault(part, count, text, now, reported_at)
        if not same:
            lines = "".join(traceback.format_exception(error))
            values = {"part": part, "count": count, "error": text, "traceback": lines}
            self._report(ServeEvent("fault", f"{part}: an error; going on: {text}", values))


async def _end_of(loop: Loop) -> BaseException | None:
    """Run a loop to its end; the error that ended it."""
    task = asyncio.ensure_future(loop())
    try:
        await asyncio.wait([task])
    finally:
        if not task.done():  # this one is cancelled: the loop cleans up first
            task.cancel()
            await asyncio.wait([task])
    return task.exception()
