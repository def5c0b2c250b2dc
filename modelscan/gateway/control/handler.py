"""The type of a handler of the control application, and handlers that are imported when used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from modelscan.gateway.control.threads import in_thread

Handler = Callable[[Request], Awaitable[Response]]


class LateHandlers:
    """Handlers whose modules are imported with the first request, so that ``serve`` starts fast.

    ``make`` imports them and returns them by their paths; it runs once, in a thread.
    """

    def __init__(self, make: Callable[[], Mapping[str, Handler]]) -> None:
        self._make = make
        self._made: Mapping[str, Handler] | None = None
        self._making = asyncio.Lock()

    def at(self, paths: Iterable[str]) -> dict[str, Handler]:
        """A handler for each of these paths."""
        return {path: self._handler(path) for path in paths}

    def _handler(self, path: str) -> Handler:
        async def handler(request: Request) -> Response:
            if self._made is None:
                async with self._making:
                    if self._made is None:
                        self._made = await in_thread(self._make)
            return await self._made[path](request)

        return handler
