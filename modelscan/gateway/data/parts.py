"""What the parts of a worker know of each other, so that none of them imports the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.errors import Refusal
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.plan import Plan
from modelscan.gateway.data.request import Request
from modelscan.gateway.data.state import LiveBackend, LiveKey, LiveRoute, State
from modelscan.gateway.data.waiting import Waiter


class Work(Protocol):
    """An exchange, as its client's connection sees it."""

    request: Request
    plan: Plan
    deadline: float

    def cancel(self) -> None: ...

    def time_out(self) -> None: ...

    def refuse_upload(self, refusal: Refusal) -> None: ...

    def progress(self) -> None: ...

    def keep_alive(self, now: float) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Queued(Waiter, Protocol):
    """An exchange that waits; ``line``: whose turn it uses."""

    waiting_at: list[Attempt]

    @property
    def line(self) -> str: ...


class Lines(Protocol):
    """The queues of full backends."""

    def has_room(self, choices: Sequence[Attempt], limit: int) -> bool: ...

    def estimate_s(self, backend: LiveBackend) -> int: ...

    def add(self, exchange: Queued) -> None: ...

    def remove(self, exchange: Queued, choices: Sequence[Attempt]) -> None: ...


class Services(Protocol):
    """The worker, as connections and exchanges see it."""

    loop: asyncio.AbstractEventLoop
    now: float
    wall: float
    timing: Timing
    counters: Counters
    state: State
    control: LiveRoute | None
    stopping: bool

    @property
    def queues(self) -> Lines: ...

    def poll_queues(self) -> None: ...

    def hold(self, count: int) -> None: ...

    def release(self, count: int) -> None: ...

    def reset_on_close(self, transport: asyncio.Transport) -> None: ...

    def same_key(self, facts: HeadFacts) -> LiveKey | None: ...

    def client_arrived(self, client: Any) -> bool: ...

    def client_left(self, client: Any) -> None: ...

    def exchange_begins(self, exchange: Any) -> None: ...

    def exchange_over(self, exchange: Any) -> None: ...

    def refused(self, client: Client, request: Request, refusal: Refusal) -> None: ...

    def count_failure(self, backend: LiveBackend) -> None: ...

    def live_backend(self, spec: Any) -> LiveBackend: ...


class Client(Protocol):
    """A client's connection, as its requests see it."""

    worker: Services
    address: str
    active: Work | None
    queue: deque[Request]
    request: Request | None
    facts: HeadFacts | None
    closing: bool
    write_paused: bool

    def write(self, data: bytes) -> None: ...

    def hold(self, count: int) -> None: ...

    def request_done(self, request: Request, drain: bool = False) -> None: ...

    def answer_refusal(self, request: Request, refusal: Refusal, drain: bool = False) -> None: ...

    def break_off(self, old: bool) -> None: ...

    def pause_upload(self) -> None: ...

    def resume_upload(self) -> None: ...
