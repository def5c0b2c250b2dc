"""Keeps a running gateway in step with its files, keys, budgets and the health of its backends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.events import EventName, Report, ServeEvent
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway, GatewayInputs, read, sentence, spent_budgets
from modelscan.gateway.control.prober import HealthChange, Prober
from modelscan.gateway.control.watch import TICK_S, Watch
from modelscan.state.server.keys import KeyStore

_SCORES_EVERY_S = 15.0
_BUDGETS_EVERY_S = 1.0
_TOGETHER_S = 0.05


class Upkeep:
    """The loops that change the gateway's state; ``publish`` sends the workers the new one."""

    def __init__(
        self, gateway: Gateway, watch: Watch, report: Report, publish: Callable[[], None]
    ) -> None:
        self._gateway = gateway
        self._files = watch
        self._report = report
        self._publish = publish
        self._refused: tuple[str, ...] = ()
        self._scored = 0
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What has to run as tasks."""
        prober = Prober(self._gateway, self._health_changed)
        return [prober.run(), self._watch(), self._tidy(), self._apply_health()]

    def _health_changed(self, change: HealthChange) -> None:
        self._changed.set()
        if change.before is not change.after:
            self._report_backend(change)

    def _report_backend(self, change: HealthChange) -> None:
        state = change.after.value
        because = f": {change.reason}" if change.reason else ""
        quiet = change.before is HealthState.UNKNOWN and change.after is HealthState.UP
        if not quiet and change.after is not HealthState.HALF_OPEN:
            self._event(
                "backend", f"backend {change.backend} is {state}{because}",
                backend=change.backend, state=state, reason=change.reason,
            )  # fmt: skip

    async def _apply_health(self) -> None:
        """Make the table again after changes of health; several at once are one change."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_TOGETHER_S)
            self._changed.clear()
            self._gateway.compile()
            self._publish()

    async def _watch(self) -> None:
        """Read the files again when they change; where that fails, what was read stays in use."""
        gateway = self._gateway
        while True:
            references = [one.api_key for one in gateway.loaded.file.routes if one.api_key]
            if await asyncio.to_thread(self._files.changed, references):
                await self.reload()
            await asyncio.sleep(TICK_S)

    async def reload(self) -> None:
        """Read everything again and send the workers the new state."""
        gateway = self._gateway
        async with self._reading:  # an older reading never replaces a newer one
            await self._read(gateway)

    async def _read(self, gateway: Gateway) -> None:
        try:
            self._take(await asyncio.to_thread(read, gateway.config, gateway.database))
        except ModelscanError as error:
            self._event("warning", f"nothing was reloaded: {error.message}")

    def _take(self, loaded: GatewayInputs) -> None:
        gateway = self._gateway
        before = gateway.loaded
        valid = gateway.update(loaded)
        self._publish()
        errors = tuple(sentence(one) for one in gateway.refused)
        if not valid and errors != self._refused:
            self._event(
                "invalid",
                f"{gateway.config.routing_file} is invalid, the last valid version stays in use: "
                f"{errors[0]} (modelscan route validate)",
                errors=list(errors),
            )
        elif valid and (self._refused or gateway.loaded.file != before.file):
            names, revision = len(gateway.table.routes), gateway.table.revision
            self._event(
                "reloaded", f"routing file reloaded: {names} names", routes=names, revision=revision
            )
        self._refused = errors
        self.warn_missing(before.missing)

    def warn_missing(self, before: tuple[str, ...]) -> None:
        """Report each entry whose key is missing and was not before."""
        for text in self._gateway.loaded.missing:
            if text not in before:
                self._event("warning", text)

    async def _tidy(self) -> None:
        """Apply used-up budgets every second, and measured speeds to the scores now and then."""
        scores_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BUDGETS_EVERY_S)
            gateway = self._gateway
            await self._check_budgets()
            requests = gateway.runtime.requests.total()
            if loop.time() >= scores_at and requests != self._scored:
                scores_at = loop.time() + _SCORES_EVERY_S
                self._scored = requests
                gateway.compile()
                self._publish()

    async def _check_budgets(self) -> None:
        """Refuse who used up its tokens, and allow it again in the next period."""
        gateway = self._gateway
        loaded = gateway.loaded
        if not loaded.file.budgets and not any(key.limits.budget_tokens for key in loaded.keys):
            return
        with contextlib.suppress(ModelscanError):
            keys = tuple(await asyncio.to_thread(KeyStore(gateway.database).list))
            spent = await asyncio.to_thread(spent_budgets, loaded.file, gateway.database)
            if gateway.loaded is not loaded:
                return  # the file or the keys changed meanwhile, and everything was read again
            gateway.loaded = replace(loaded, keys=keys, spent=spent)
            before = [key.spent_out for key in loaded.keys]
            if [key.spent_out for key in keys] != before or spent != loaded.spent:
                gateway.compile()
                self._publish()

    def _event(self, name: EventName, text: str, **values: Any) -> None:
        self._report(ServeEvent(name, text, values))
