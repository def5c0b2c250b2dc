"""The first half of an exchange: which backend works on a request, and when it is sent."""

from __future__ import annotations

import time
from abc import abstractmethod

from modelscan.gateway.data.answer import RelayedAnswer
from modelscan.gateway.data.attempts import Attempt, BackendAttempts
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.left import LeftBytes
from modelscan.gateway.data.outgoing import Outgoing
from modelscan.gateway.data.parts import ClientSide
from modelscan.gateway.data.plan import RoutePlan, relocate
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.state import LiveBackend
from modelscan.gateway.data.upload import Upload
from modelscan.gateway.data.upstream import SendFailure, Upstream
from modelscan.gateway.data.waiting import Room
from modelscan.gateway.data.waking import refused_now

MAX_WAKES = 3
"""How often one request waits for a deployment that is put to sleep again before it is sent."""


class Dispatch:
    """Tries one backend after the other; also a waiter in the queues of full ones."""

    __slots__ = (
        "answer", "attempt", "attempts", "client", "deadline", "error", "failures", "first_at",
        "left", "opened_at", "outgoing", "over", "plan", "queued_s", "refused_wake",
        "request", "sent_at", "started_at", "status", "tried_again", "upload", "upstream",
        "waiting_at", "wake_s", "wakes", "waking_at",
    )  # fmt: skip

    def __init__(
        self, client: ClientSide, request: ClientRequest, plan: RoutePlan, outgoing: Outgoing
    ) -> None:
        self.client = client
        self.request = request
        self.plan = plan
        self.outgoing = outgoing
        self.upload: Upload | None = outgoing.upload
        worker = client.worker
        self.attempts = BackendAttempts(plan, worker.counters)
        self.attempt: Attempt | None = None
        self.upstream: Upstream | None = None
        self.answer: RelayedAnswer | None = None
        self.over = self.tried_again = False
        self.failures: list[str] = []
        self.waiting_at: list[Attempt] = []
        self.error: str | None = None
        self.status = 0
        self.left: LeftBytes | None = None
        self.started_at = time.perf_counter()
        self.first_at = self.sent_at = self.queued_s = self.wake_s = 0.0
        self.waking_at: LiveBackend | None = None
        self.wakes = 0
        self.opened_at = 0.0
        self.refused_wake: RefusedError | None = None
        self.deadline = 0.0

    # Choosing

    def choose(self) -> None:
        """Try the next backend, or wait for a full one, or give up."""
        attempt = self.attempts.take()
        if attempt is None:
            self._give_up(SendFailure.NOT_SENT)
        elif self.plan.state.wakes and attempt.backend.asleep:
            self._wait_for_wake(attempt)
        elif attempt.backend.take():
            self._try(attempt)
        else:
            self._wait(attempt)

    @property
    def line(self) -> str:
        """Each key has its own line in a queue; without keys, each client address."""
        key = self.plan.key
        return key.key.name if key is not None else self.client.address

    def _wait(self, attempt: Attempt) -> None:
        """Wait for the first free place at any backend of the route."""
        self.attempts.put_back(attempt)
        choices = self.attempts.of_route()
        if self.plan.state.wakes:
            choices = [one for one in choices if not one.backend.asleep]
        limits = self.plan.state.limits
        queues = self.client.worker.queues
        if not queues.has_room(choices, limits.queue):
            text = f"{limits.queue} requests wait for {attempt.backend.spec.name} already"
            wait = queues.estimate_s(attempt.backend)
            self._refuse(RefusedError(Cause.QUEUE_FULL, text, wait))
            return
        self.waiting_at = choices
        self.queued_s -= time.perf_counter()
        self.deadline = self.client.worker.now + limits.queue_timeout_s
        queues.add(self)
        self.client.worker.poll_queues()

    # Waking

    def _wait_for_wake(self, attempt: Attempt) -> None:
        """Wait until the backend's deployment is ready; where that failed lately, go on."""
        name, state = attempt.backend.spec.name, self.plan.state
        refusal = refused_now(state.wakes, name, self.client.worker.wall)
        if refusal is None and self.wakes >= MAX_WAKES:
            refusal = RefusedError(Cause.ASLEEP, f"{name} was put to sleep again", retry_after=1)
        if refusal is None and not self.client.worker.queues.has_room(
            [attempt], state.limits.queue
        ):
            text = f"{state.limits.queue} requests wait for {name} to load already"
            refusal = RefusedError(Cause.QUEUE_FULL, text, retry_after=5)
        if refusal is None:
            self.wait_for(attempt.backend, state.limits.wake_timeout_s)
        else:
            self.refused_wake = refusal
            self.failures.append(f"{name}: {refusal.message}")
            self.choose()

    def wait_for(self, backend: LiveBackend, seconds: float) -> None:
        """Wait for a backend's deployment, at most so long."""
        self.wakes += 1
        self.waking_at = backend
        self.wake_s -= time.perf_counter()
        self.deadline = self.client.worker.now + seconds
        self.client.worker.waking.add(self, backend)

    def leave_wake(self) -> None:
        """Wait for a wake no more."""
        backend, self.waking_at = self.waking_at, None
        if backend is not None:
            self.client.worker.waking.remove(self, backend)
            self.wake_s += time.perf_counter()

    def woken(self) -> None:
        """The deployment is ready: choose again, in the newest table."""
        self.leave_wake()
        try:
            relocate(self.plan, self.client.worker.state)
        except RefusedError as refusal:
            self._refuse(refusal)
            return
        self.attempts = BackendAttempts(self.plan, self.client.worker.counters)
        self.choose()

    def not_woken(self, refusal: RefusedError) -> None:
        """It does not wake now: try the other backends, if there are any."""
        backend = self.waking_at
        self.leave_wake()
        self.refused_wake = refusal
        if backend is not None:
            self.failures.append(f"{backend.spec.name}: {refusal.message}")
        self.choose()

    def _leave_queues(self) -> list[Attempt]:
        choices, self.waiting_at = self.waiting_at, []
        if choices:
            self.client.worker.queues.remove(self, choices)
            self.queued_s += time.perf_counter()
        return choices

    def start(self, backend: Room) -> None:
        """A place became free, and is counted already."""
        choices = self._leave_queues()
        chosen = next(attempt for attempt in choices if attempt.backend is backend)
        self.attempts.choose(chosen)
        self._try(chosen)

    def choose_again(self) -> None:
        self._leave_queues()
        self.choose()

    def _try(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.attempts.made += 1
        self.tried_again = False
        self.sent_at = time.perf_counter()
        self.deadline = self.client.worker.now + self.plan.state.limits.request_timeout_s
        self._send(attempt, fresh=not self.outgoing.repeatable)

    def _send(self, attempt: Attempt, fresh: bool) -> None:
        head, body = self.outgoing.for_attempt(self.request, self.plan, attempt)
        if attempt.backend.elsewhere:
            self.left = self.left or LeftBytes(self.plan.operation)
            self.left.add(attempt.backend.spec.host, body)
        attempt.backend.pool.send(self, head, body, fresh)

    def connected(self, upstream: Upstream | None) -> bool:
        """The connection of this attempt."""
        if self.over:
            return False
        self.upstream = upstream
        return True

    def start_upload(self) -> None:
        """The head is sent, the body may follow."""
        if self.upload is not None and self.upstream is not None:
            self.upload.start(self.upstream, self.outgoing.chunked)

    # Ends of an attempt

    def progress(self) -> None:
        """The client sent more of the body."""
        if not self.waiting_at and self.waking_at is None:
            self.deadline = self.client.worker.now + self.plan.state.limits.request_timeout_s

    def _stop_upload(self) -> None:
        if self.upload is not None:
            self.upload.stop()

    def _name(self) -> str:
        return self.attempt.backend.spec.name if self.attempt is not None else ""

    def _attempt_over(self) -> None:
        if self.upload is not None:
            self._stop_upload()
        if self.attempt is not None and self.sent_at:
            self.sent_at = 0.0
            self.attempt.backend.give_back()

    # The other half

    @abstractmethod
    def answer_begins(self, upstream: Upstream) -> bool:
        """The head of an answer."""

    @abstractmethod
    def answer_continues(self, data: bytes) -> None:
        """More of its body."""

    @abstractmethod
    def answer_ends(self, data: bytes) -> None:
        """The rest of its body."""

    @abstractmethod
    def failed(self, reason: str, failure: SendFailure) -> None:
        """The attempt broke off."""

    @abstractmethod
    def _refuse(self, refusal: RefusedError) -> None: ...

    @abstractmethod
    def _give_up(self, failure: SendFailure) -> None: ...
