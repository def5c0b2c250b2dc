"""Wakes deployments for the requests that wait in the workers: gathers, decides, acts, publishes.

Runs in the serving process's event loop. The decisions are ``schedule``'s; starts and ends run in
threads, one job per deployment. Records of this machine are the only state that outlives it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.threads import in_thread, set_within
from modelscan.gateway.control.wake.backoff import FailedWake, after_failure
from modelscan.gateway.control.wake.effects import WakeEffects
from modelscan.gateway.control.wake.gather import gathered, wakes_of
from modelscan.gateway.control.wake.observed import Observed, Waiting, Waits
from modelscan.gateway.control.wake.schedule import schedule
from modelscan.gateway.control.wake.situation import (
    Action,
    Close,
    Refuse,
    Reopen,
    Situation,
    StartNow,
    Unload,
)
from modelscan.gateway.snapshot import WaitingForWake
from modelscan.targets.local.room import MemoryNow

_ACTIVE_S, _QUIET_S = 0.1, 1.0
_LOOK_AGAIN_S = 5.0
_BUSY_AGAIN_S = 1.0
_NO_MEMORY_S = 10.0
NOTHING = MemoryNow({}, {}, {}, {})


class Waker:
    """``publish`` sends the workers the gateway's state, ``reload`` reads files and records."""

    def __init__(
        self,
        gateway: Gateway,
        effects: WakeEffects,
        publish: Callable[[], None],
        reload: Callable[[], Awaitable[object]],
        report: Report,
        note_error: Callable[[str, BaseException], None],
    ) -> None:
        self._gateway = gateway
        self._effects = effects
        self._publish = publish
        self._reload = reload
        self._report = report
        self._note_error = note_error
        self._waits = Waits()
        self._seen = Observed()
        self._changed = asyncio.Event()
        self._stamp = 0
        self._jobs: set[asyncio.Task[None]] = set()

    def waiting(self, worker: int, waiting: tuple[WaitingForWake, ...]) -> None:
        """What waits in one worker now."""
        self._waits.put(worker, waiting)
        self._changed.set()

    async def run(self) -> None:
        """Decide after changes, and from time to time, until cancelled."""
        while True:
            try:
                pause = await self.step()
            except ModelscanError as error:
                self._say("warning", f"nothing was woken: {error.message}")
                pause = _QUIET_S
            await set_within(self._changed, pause)
            self._changed.clear()

    async def step(self) -> float:
        """Gather, decide and act once; returns the seconds until the next look."""
        await self._read_changes()
        now = time.time()
        waiting = self._waits.by_deployment(self._gateway)
        self._seen.note(self._gateway, waiting, now)
        memory = NOTHING
        rows = self._gateway.loaded.deployments
        if any(self._seen.phase(rows.get(name)) == "asleep" for name in waiting):
            memory = await in_thread(self._effects.memory)
        sleepables = gathered(self._gateway, self._seen, waiting, memory)
        limits = self._gateway.table.limits
        situation = Situation(now, sleepables, memory.free, limits.residence_s)
        for action in schedule(situation):
            self._act(action, now)
        for name in list(self._seen.to_look_at(self._gateway, waiting, now)):
            self._seen.looking.add(name)
            self._begin(name, self._look(name))
        self._show(waiting, now)
        return _ACTIVE_S if waiting or self._seen.is_busy else _QUIET_S

    async def _read_changes(self) -> None:
        """Take over what other commands changed in the records."""
        stamp = await in_thread(self._effects.stamp)
        if stamp != self._stamp:
            self._stamp = stamp
            await self._reload()

    def _act(self, action: Action, now: float) -> None:
        seen, name = self._seen, action.name
        if isinstance(action, StartNow):
            seen.starting.add(name)
            self._say("wake", f"starting {name} for a request", deployment=name, state="starting")
            self._begin(name, self._start(name))
        elif isinstance(action, Close):
            seen.closing[name] = now
        elif isinstance(action, Reopen):
            del seen.closing[name]
            seen.ready_since[name] = now  # its own requests have their turn
        elif isinstance(action, Unload):
            seen.stopping.add(name)
            self._begin(name, self._unload(name, action.by))
        elif isinstance(action, Refuse):
            seen.refused[name] = action

    def _begin(self, name: str, job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._finished(name, job))
        self._jobs.add(task)
        task.add_done_callback(lambda done: self._job_over(name, done))

    def _job_over(self, name: str, task: asyncio.Task[None]) -> None:
        """A job that ended by an error of this program is not tried again at once."""
        self._jobs.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._seen.not_before[name] = time.time() + _LOOK_AGAIN_S
            self._note_error(f"waking of {name}", error)

    async def _finished(self, name: str, job: Awaitable[None]) -> None:
        try:
            await job
            await self._reload()
        finally:
            self._seen.done(name)
            self._changed.set()

    async def _start(self, name: str) -> None:
        before = self._seen.failures.get(name)
        reason = f"the start of {name} ended unexpectedly"
        self._seen.failures[name] = after_failure(before, reason, time.time())
        try:
            await in_thread(lambda: self._effects.start(name))
        except ModelscanError as error:
            self._failed(name, error, before)
        else:
            self._seen.failures.pop(name, None)
            self._seen.verified.add(name)
            self._say("wake", f"{name} is ready", deployment=name, state="ready")

    def _failed(self, name: str, error: ModelscanError, before: FailedWake | None) -> None:
        """Leave it alone for a while; too little memory is no fault of its own."""
        hint = f" ({error.hint})" if error.hint else ""
        begin = f"{name} did not start: "
        reason = f"{begin}{error.message.removeprefix(begin)}{hint}"
        now = time.time()
        if error.code == "does_not_fit":
            failure = FailedWake(0, now + _NO_MEMORY_S, reason)
        else:
            failure = after_failure(before, reason, now)
        self._seen.failures[name] = failure
        self._say("wake", reason, deployment=name, state="failed")

    async def _unload(self, name: str, by: str) -> None:
        try:
            ended = await in_thread(lambda: self._effects.sleep(name, by))
        except ModelscanError as error:
            self._seen.not_before[name] = time.time() + _LOOK_AGAIN_S
            self._say("warning", f"{name} does not make room for {by}: {error.message}")
            return
        if ended:
            self._seen.closing.pop(name, None)
            self._say("wake", f"{name} made room for {by}", deployment=name, state="asleep")
        else:
            self._seen.not_before[name] = time.time() + _BUSY_AGAIN_S

    async def _look(self, name: str) -> None:
        self._seen.looks[name] = time.time()
        try:
            row = await in_thread(lambda: self._effects.look(name))
        except ModelscanError as error:
            self._seen.refused[name] = Refuse(name, error.message, None)
            return
        self._seen.looked_at(row, time.time())

    def _show(self, waiting: Mapping[str, Waiting], now: float) -> None:
        wakes, closed = wakes_of(self._gateway, self._seen, waiting, now)
        changed = self._gateway.show_wakes(wakes, closed)
        if changed or self._seen.publish_again:
            self._seen.publish_again = False
            self._gateway.compile()
            self._publish()

    def _say(self, name: str, text: str, **values: object) -> None:
        self._report(ServeEvent(name, text, values))  # type: ignore[arg-type]
