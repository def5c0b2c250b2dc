"""What the parts of a worker know of each other, so that none of them imports the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.errors import RefusedError
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.reuse import ReusableAnswers
from modelscan.gateway.data.state import GatewayState, LiveBackend, LiveKey, LiveRoute
from modelscan.gateway.data.waiting import Waiter
from modelscan.gateway.data.writes import Writes


class Work(Protocol):
    """An exchange, as its client's connection sees it."""

    request: ClientRequest
    plan: RoutePlan
    deadline: float

    def cancel(self) -> None:
        """The client left."""

    def time_out(self) -> None:
        """The deadline passed."""

    def refuse_upload(self, refusal: RefusedError) -> None:
        """The body is not acceptable after all."""

    def progress(self) -> None:
        """More of the body arrived."""

    def keep_alive(self, now: float) -> None:
        """The backend may be silent."""

    def pause(self) -> None:
        """The client does not read fast enough."""

    def resume(self) -> None:
        """The client reads again."""


class Queued(Waiter, Protocol):
    """An exchange that waits; ``line``: whose turn it uses."""

    waiting_at: list[Attempt]

    @property
    def line(self) -> str:
        """The line of its key."""


class WaitingLines(Protocol):
    """The queues of full backends."""

    def has_room(self, choices: Sequence[Attempt], limit: int) -> bool:
        """Whether one more may wait."""

    def estimate_s(self, backend: LiveBackend) -> int:
        """Seconds until a place may be free."""

    def add(self, exchange: Queued) -> None:
        """Wait for ``waiting_at``."""

    def remove(self, exchange: Queued, choices: Sequence[Attempt]) -> None:
        """Wait no more."""


class WakingWork(Protocol):
    """An exchange that waits for a deployment to wake."""

    plan: RoutePlan

    def woken(self) -> None:
        """The backend may be tried."""

    def not_woken(self, refusal: RefusedError) -> None:
        """It does not wake now."""


class WakingRequests(Protocol):
    """Requests that wait for deployments to wake."""

    def add(self, exchange: WakingWork, backend: LiveBackend) -> None:
        """Wait for a backend's deployment."""

    def remove(self, exchange: WakingWork, backend: LiveBackend) -> None:
        """Wait no more."""


class Services(Protocol):
    """The worker, as connections and exchanges see it."""

    loop: asyncio.AbstractEventLoop
    now: float
    wall: float
    timing: Timing
    counters: Counters
    state: GatewayState
    control: LiveRoute | None
    stopping: bool
    reusable: ReusableAnswers
    writes: Writes

    @property
    def queues(self) -> WaitingLines:
        """Requests that wait."""

    def trace_id(self) -> str:
        """An id that no other request has."""

    @property
    def waking(self) -> WakingRequests:
        """Requests that wait for a wake."""

    def poll_queues(self) -> None:
        """Look soon whether a place is free."""

    def hold(self, count: int) -> None:
        """Count bytes in memory."""

    def release(self, count: int) -> None:
        """Bytes in memory are released."""

    def reset_on_close(self, transport: asyncio.Transport) -> None:
        """End a connection by a reset."""

    def same_key(self, facts: HeadFacts) -> LiveKey | None:
        """The key of an older head, in the newest state."""

    def client_arrived(self, client: Any) -> bool:
        """Count a connection; False: too many."""

    def client_left(self, client: Any) -> None:
        """A connection is closed."""

    def exchange_begins(self, exchange: Any) -> None:
        """Count a request."""

    def exchange_over(self, exchange: Any) -> None:
        """A request is over."""

    def refused(self, client: ClientSide, request: ClientRequest, refusal: RefusedError) -> None:
        """A request was refused before a backend was chosen."""

    def count_failure(self, backend: LiveBackend) -> None:
        """Count a failed attempt."""

    def live_backend(self, spec: Any) -> LiveBackend:
        """A backend outside the table."""


class ClientSide(Protocol):
    """A client's connection, as its requests see it."""

    worker: Services
    address: str
    active: Work | None
    queue: deque[ClientRequest]
    request: ClientRequest | None
    facts: HeadFacts | None
    closing: bool
    write_paused: bool

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def hold(self, count: int) -> None:
        """Count bytes in memory."""

    def request_done(self, request: ClientRequest, drain: bool = False) -> None:
        """An answer is complete."""

    def answer_refusal(
        self, request: ClientRequest, refusal: RefusedError, drain: bool = False
    ) -> None:
        """Answer a request that was received."""

    def break_off(self, old: bool) -> None:
        """End an answer that is not complete."""

    def pause_upload(self) -> None:
        """Read no more of a body."""

    def resume_upload(self) -> None:
        """Read on."""
