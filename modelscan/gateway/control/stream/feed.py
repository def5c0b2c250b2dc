"""The newest events in memory, for any number of readers: the table is read once for all of them.

Readers have a position and no queue of their own. A slow one falls behind the newest events and
gets a reset; it never costs memory.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.stream.frames import EventFrame, frame_of
from modelscan.gateway.control.threads import in_database
from modelscan.registry.events import events_after, last_event_id, oldest_event_id
from modelscan.state.server.database import ServerDatabase

POLL_S = 0.1
_AWAY_S = 1.0
PAGE = 500
MOST_FRAMES, MOST_FRAME_BYTES = 10_000, 8 << 20


class EventFeed:
    """The newest events, followed by one task. All of it runs on one event loop."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database
        self._frames: list[EventFrame] = []
        self._bytes = 0
        self._base = 0  # the id before the first frame
        self._newest: int | None = None
        self._arrival: asyncio.Future[None] | None = None
        self.readers = 0
        self.closed = False

    @property
    def newest(self) -> int:
        """The id of the newest known event."""
        return self._newest or 0

    async def run(self) -> None:
        """Follow the table; while the database is away, readers only wait longer."""
        while True:
            try:
                more = await self.step()
                await asyncio.sleep(0 if more else POLL_S)
            except ModelscanError:
                await asyncio.sleep(_AWAY_S)

    async def step(self) -> bool:
        """Read what is new; True where there may be more. Without readers nothing is read."""
        if not self.readers:
            self._newest = None
            return False
        if self._newest is None:
            self._start(await in_database(self._last))
            return False
        frames = await self.page(self._newest)
        self._take(frames)
        return len(frames) == PAGE

    async def started(self) -> None:
        """Return once the newest event is known: a reader without a position begins after it."""
        if self._newest is None:
            newest = await in_database(self._last)
            if self._newest is None:
                self._start(newest)

    def after(self, position: int) -> Sequence[EventFrame] | None:
        """The known events after a position; None: some of them are not in memory."""
        if position < self._base:
            return None
        if position >= self.newest:
            return ()
        start = bisect_right(self._frames, position, key=lambda frame: frame.id)
        return self._frames[start : start + PAGE]

    async def page(self, position: int) -> list[EventFrame]:
        """The next events after a position, from the table."""
        return await in_database(self._page, position)

    async def kept_since(self, position: int) -> bool:
        """Whether every event after a position is still in the table."""
        first, last = await in_database(self._bounds)
        return position <= last and (position >= last or position >= first - 1)

    async def arrival(self, timeout_s: float) -> None:
        """Wait for the next event, for at most so many seconds."""
        if self.closed:
            return
        if self._arrival is None:
            self._arrival = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._arrival,), timeout=timeout_s)

    def close(self) -> None:
        """End every reader: the gateway stops."""
        self.closed = True
        self._announce()

    def _start(self, newest: int) -> None:
        self._frames.clear()
        self._bytes, self._base, self._newest = 0, newest, newest

    def _take(self, frames: Sequence[EventFrame]) -> None:
        if not frames:
            return
        self._frames.extend(frames)
        self._bytes += sum(len(frame.data) for frame in frames)
        while len(self._frames) > MOST_FRAMES or self._bytes > MOST_FRAME_BYTES:
            self._forget(max(1, len(self._frames) // 4))
        self._newest = frames[-1].id
        self._announce()

    def _forget(self, count: int) -> None:
        oldest = self._frames[:count]
        del self._frames[:count]
        self._base = oldest[-1].id
        self._bytes -= sum(len(frame.data) for frame in oldest)

    def _announce(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None and not arrival.done():
            arrival.set_result(None)

    def _page(self, position: int) -> list[EventFrame]:
        with self._database.reading() as connection:
            return [frame_of(one) for one in events_after(connection, position, limit=PAGE)]

    def _last(self) -> int:
        with self._database.reading() as connection:
            return last_event_id(connection)

    def _bounds(self) -> tuple[int, int]:
        with self._database.reading() as connection:
            return oldest_event_id(connection), last_event_id(connection)
