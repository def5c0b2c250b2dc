"""Sends requests: a closed loop keeps so many open, an open loop starts them at their times.

Answers are only recorded while a load runs; they are measured after it (``stream.measured``).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns, process_time
from typing import NamedTuple

from modelscan.bench.http_stream import RawAnswer, Server, StreamConnection
from modelscan.bench.stream import RequestResult, failed, measured

MOST_OPEN = 1_000
_HELD_BYTES = 256 << 20  # recorded answers beyond it are measured at once


class Turn(NamedTuple):
    """One request of a conversation: its body, made from the answers before it."""

    case: str
    body: Callable[[Sequence[str]], bytes]


Conversation = Sequence[Turn]


class LoadLimits(NamedTuple):
    """When a load ends: after so many conversations, or seconds (None: no limit). ``timeout_s``:
    of one request."""

    conversations: int | None
    duration_s: float | None
    timeout_s: float


@dataclass(slots=True)
class LoadResult:
    """The requests of a load. ``late_s``: how late requests of an open loop were sent, at most."""

    results: list[RequestResult] = field(default_factory=list)
    cpu_s: float = 0.0
    late_s: float = 0.0


class LoadGenerator:
    """Connections to one server, and the requests over them. One event loop, closed at its end."""

    def __init__(self, server: Server, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._idle: list[StreamConnection] = []
        self._raw: list[tuple[str, RawAnswer]] = []
        self._held = 0
        self._results: list[RequestResult] = []

    async def closed(
        self, conversations: Iterator[Conversation], concurrency: int, limits: LoadLimits
    ) -> LoadResult:
        """Keep ``concurrency`` conversations open until the limits are reached."""
        end = None if limits.duration_s is None else perf_counter() + limits.duration_s
        source = itertools.islice(conversations, limits.conversations)

        async def worker() -> None:
            for conversation in source:
                await self._converse(conversation)
                if end is not None and perf_counter() >= end:
                    return

        await self._connect(concurrency)
        return await self._run([worker] * concurrency)

    async def open(
        self,
        conversations: Iterator[Conversation],
        times: Iterator[float],
        limits: LoadLimits,
    ) -> LoadResult:
        """Start each conversation at its time (seconds from now), whatever is still open."""
        late = [0.0]

        async def all_of_them() -> None:
            begin = perf_counter()
            open_ones: set[asyncio.Task[None]] = set()
            source = itertools.islice(conversations, limits.conversations)
            for conversation, at in zip(source, times, strict=False):
                if limits.duration_s is not None and at >= limits.duration_s:
                    break
                await asyncio.sleep(max(0.0, begin + at - perf_counter()))
                if len(open_ones) >= MOST_OPEN:
                    await asyncio.wait(open_ones, return_when=asyncio.FIRST_COMPLETED)
                late[0] = max(late[0], perf_counter() - begin - at)
                task = asyncio.ensure_future(self._converse(conversation))
                open_ones.add(task)
                task.add_done_callback(open_ones.discard)
            if open_ones:
                await asyncio.wait(open_ones)

        await self._connect(1)
        result = await self._run([all_of_them])
        result.late_s = late[0]
        return result

    async def one(self, turn: Turn) -> RequestResult:
        """A single request."""
        result = await self.closed(iter([(turn,)]), 1, LoadLimits(1, None, self._timeout_s))
        return result.results[0]

    def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _run(self, workers: Sequence[Callable[[], Awaitable[None]]]) -> LoadResult:
        self._results = []
        gc.disable()  # a collection stops the clock's reader, and nothing here makes circles
        cpu = process_time()
        try:
            await asyncio.gather(*(worker() for worker in workers))
        finally:
            gc.enable()
        self._measure()
        return LoadResult(self._results, process_time() - cpu)

    async def _connect(self, count: int) -> None:
        """Open connections beforehand, so that no request waits for its own."""
        while len(self._idle) < count:
            try:
                self._idle.append(await StreamConnection.open(self._server))
            except (OSError, asyncio.TimeoutError):
                return  # the requests report it

    async def _converse(self, conversation: Conversation) -> None:
        answers: list[str] = []
        for turn in conversation:
            raw = await self._send(turn.body(answers))
            self._raw.append((turn.case, raw))
            self._held += sum(len(part.data) for part in raw.parts)
            if len(conversation) > 1:  # the next turn needs the text
                self._measure()
                if self._results[-1].error is not None:
                    return
                answers.append(self._results[-1].text)
            elif self._held > _HELD_BYTES:
                self._measure()

    async def _send(self, body: bytes) -> RawAnswer:
        """One request; on a connection that its server had closed meanwhile, again on a new one."""
        answer = await self._sent(body)
        if answer.error == "broken" and answer.reused and answer.status is None:
            self.close()
            answer = await self._sent(body)
        return answer

    async def _sent(self, body: bytes) -> RawAnswer:
        connection = await self._connection()
        if isinstance(connection, RawAnswer):
            return connection
        answer = await connection.send(body, self._timeout_s)
        if not connection.closed:
            self._idle.append(connection)
        return answer

    async def _connection(self) -> StreamConnection | RawAnswer:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        begin = perf_counter_ns()
        try:
            return await StreamConnection.open(self._server)
        except (OSError, asyncio.TimeoutError) as error:
            why = str(error) or "no connection in time"
            answer = RawAnswer(begin, end_ns=perf_counter_ns(), error="broken", reason=why)
            await asyncio.sleep(0.05)  # a server that refuses is not asked in a busy loop
            return answer

    def _measure(self) -> None:
        """Turn the recorded answers into measurements."""
        for case, raw in self._raw:
            result = _measured(raw)
            result.case = case
            self._results.append(result)
        self._raw.clear()
        self._held = 0


def poisson_times(rate: float, seed: int) -> Iterator[float]:
    """The times of requests that come independently of each other, ``rate`` per second."""
    gap = random.Random(seed).expovariate  # noqa: S311 — no secret
    return itertools.accumulate(gap(rate) for _ in itertools.count())


def run_loop(main: Callable[[], Awaitable[LoadResult]]) -> LoadResult:
    """Run on uvloop where it is installed: it costs the load generator a third."""

    async def wrapped() -> LoadResult:
        return await main()

    try:
        import uvloop
    except ImportError:
        return asyncio.run(wrapped())
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(wrapped())
    finally:
        loop.close()


def _measured(raw: RawAnswer) -> RequestResult:
    if raw.error is None:
        result = measured(raw.t0_ns, raw.parts, raw.end_ns)
        result.status = raw.status
        return result
    return failed(raw.error, raw.reason or "", raw.t0_ns, raw.end_ns, raw.status)
