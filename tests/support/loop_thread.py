"""An event loop in a thread, for servers of tests that run next to the test itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class LoopThread:
    """Runs ``begin`` and then the loop, until ``stop`` ends all tasks and transports."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def begin(self, listen: Coroutine[Any, Any, None]) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(listen, self._loop).result()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):  # transports close in later turns of the loop
        await asyncio.sleep(0)
