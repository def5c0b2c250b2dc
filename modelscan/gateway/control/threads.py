"""Calls that block, in threads that do not keep the process alive.

Each call has a thread of its own: one that hangs (a database whose machine stopped, a name service
that does not answer) delays no other call, and not the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from modelscan.core.errors import RemoteError
from modelscan.state.server.failures import UNREACHABLE

DATABASE_S = 30.0  # longer than every wait for a lock, a connection or a server that is away
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

    threading.Thread(target=run, name="call", daemon=True).start()
    return await done


async def in_database(call: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """The same for a call of the server's database. RemoteError where it has no result in time.

    The thread stays until the database answers or its connection ends; what it wrote then counts.
    """
    try:
        return await asyncio.wait_for(in_thread(call, *values, **named), DATABASE_S)
    except asyncio.TimeoutError:
        raise RemoteError(
            f"the database did not answer within {DATABASE_S:g} s",
            hint="modelscan server status",
            code=UNREACHABLE,
        ) from None
