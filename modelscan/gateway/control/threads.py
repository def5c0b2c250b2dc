"""Calls that block, in threads that do not keep the process alive.

Each call has a thread of its own while it runs: one that hangs (a database whose machine stopped, a
name service that does not answer) delays no other call, and not the end of the process. A thread
that has finished is used again: starting one costs more than most calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import ClassVar, ParamSpec, TypeVar

from modelscan.core.errors import RemoteError
from modelscan.state.server.failures import UNREACHABLE

DATABASE_S = 30.0  # longer than every wait for a lock, a connection or a server that is away
_MOST_IDLE = 16
P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """The call's result; its exception is raised here.

    The gateway ends without waiting for it: what an engine's start had written by then is enough
    for another process to go on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = call(*values, **named), None
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            outcome = None, error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    _start(run)
    return await done


class _CallThread:
    """A thread for one call after another; it ends where enough others are idle."""

    idle: ClassVar[list[_CallThread]] = []

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, name="call", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.calls.get()()
            if len(self.idle) >= _MOST_IDLE:
                return
            self.idle.append(self)


def _start(call: Callable[[], None]) -> None:
    try:
        thread = _CallThread.idle.pop()
    except IndexError:
        thread = _CallThread()
    thread.calls.put(call)


async def in_database(call: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """The same for a call of the server's database. RemoteError where it has no result in time.

    The thread stays until the database answers or its connection ends; what it wrote then counts.
    """
    # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the result,
    # and a loop that was cancelled went on for ever.
    task = asyncio.ensure_future(in_thread(call, *values, **named))
    try:
        await asyncio.wait((task,), timeout=DATABASE_S)
        if task.done():
            return task.result()
    finally:
        task.cancel()
    raise RemoteError(
        f"the database did not answer within {DATABASE_S:g} s",
        hint="modelscan server status",
        code=UNREACHABLE,
    )


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for at most so long; whether it is set. For loops that are cancelled."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((waiting,), timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()
