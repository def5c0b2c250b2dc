"""One command of modelscan in a thread of this process: its document in milliseconds.

For commands that only read: a thread cannot be ended like a process. A call that was cancelled is
answered at once; its thread goes on until its command ends, and counts until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelscan.gateway.control.threads import in_thread
from modelscan.mcp.child import OnEvent, Printed, document_of

AT_ONCE = 4
Command = Callable[[Sequence[str]], Printed]


@dataclass(slots=True)
class InsideCommands:
    """Runs command lines by ``command``, which prints into memory; at most ``AT_ONCE``."""

    command: Command
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def __call__(
        self, words: Sequence[str], on_event: OnEvent, *, offline: bool
    ) -> dict[str, Any]:
        """The document, without events; raises CommandError with the error that was printed."""
        await self._room.acquire()
        flags = ["--offline"] if offline else []
        task = asyncio.ensure_future(in_thread(self.command, [*flags, *words]))
        task.add_done_callback(self._ended)
        return document_of(await asyncio.shield(task))

    def _ended(self, task: asyncio.Future[Printed]) -> None:
        self._room.release()
        if not task.cancelled():
            task.exception()  # asyncio reports an exception that is never read
