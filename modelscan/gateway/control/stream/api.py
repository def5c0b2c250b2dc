"""The handler of ``GET /v1/events``, and the response that streams to one reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.stream.feed import EventFeed
from modelscan.gateway.control.stream.frames import (
    GROUP,
    KEEP_ALIVE,
    KINDS,
    OPENING,
    EventFilter,
    joined,
    kinds_of,
    reset_frame,
)

KEEP_ALIVE_S = 15.0
SEND_S = 30.0
"""A reader that takes nothing for so long is disconnected."""
MOST_READERS = 5_000
_MOST_SLUGS = 100
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


def stream_handlers(feed: EventFeed) -> Mapping[str, Handler]:
    """The handlers of this module, by path."""

    async def events(request: Request) -> Response:
        """``kind``, ``slug`` (both repeatable), ``last_event_id``; the header wins over that."""
        query = request.query_params
        kinds, unknown = kinds_of(query.getlist("kind"))
        if unknown is not None:
            known = ", ".join((*KINDS, GROUP))
            raise HttpProblem(400, "invalid_query", f"kind '{unknown[:40]}' is none of {known}")
        slugs = frozenset(query.getlist("slug"))
        if len(slugs) > _MOST_SLUGS:
            raise HttpProblem(400, "invalid_query", f"at most {_MOST_SLUGS} slugs")
        if feed.readers >= MOST_READERS:
            detail = f"{MOST_READERS:,} readers are connected already"
            raise HttpProblem(503, "too_many_readers", detail, retry_s=5)
        wanted = EventFilter(kinds, slugs or None)
        last = request.headers.get("last-event-id") or query.get("last_event_id")
        return _EventStream(feed, EventReader(feed, wanted, last))

    return {"/v1/events": events}


class EventReader:
    """One reader's position in the events. ``last``: the id that it had last, as it sent it."""

    def __init__(self, feed: EventFeed, wanted: EventFilter, last: str | None) -> None:
        self._feed = feed
        self._wanted = wanted
        self._last = last

    async def pieces(self, keep_alive_s: float = KEEP_ALIVE_S) -> AsyncIterator[bytes]:
        """What to send, piece by piece, until the reader is too slow or the gateway stops."""
        feed = self._feed
        await feed.started()
        position = _position(self._last, feed.newest)
        yield OPENING
        if self._last and not await feed.kept_since(position):
            position = feed.newest
            yield reset_frame(position)
        caught_up = not self._last
        while not feed.closed:
            frames = feed.after(position)
            if frames is None:
                if caught_up:  # it was live, and fell behind everything that is in memory
                    yield reset_frame(feed.newest)
                    return
                frames = await feed.page(position)
            caught_up = caught_up or position >= feed.newest
            if frames:
                position = frames[-1].id
                piece = joined(frames, self._wanted)
                if piece:
                    yield piece
            else:
                before = feed.newest
                await feed.arrival(keep_alive_s)
                if feed.newest == before and not feed.closed:
                    yield KEEP_ALIVE


def _position(last: str | None, newest: int) -> int:
    """Where a reader goes on; -1, which is not kept, for an id that this server never sent."""
    if not last:
        return newest
    text = last.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1


class _EventStream(Response):
    """Streams to one reader, which is disconnected when it takes nothing for ``SEND_S``."""

    def __init__(self, feed: EventFeed, reader: EventReader) -> None:
        super().__init__(headers=_HEADERS)
        self._feed = feed
        self._reader = reader
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._feed.readers += 1
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.readers -= 1
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for piece in self._reader.pieces():
                body = {"type": "http.response.body", "body": piece, "more_body": True}
                await asyncio.wait_for(send(body), SEND_S)
        except ModelscanError:  # the database went away during a replay: the reader comes again
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
