"""Checks approved tags again while the gateway runs: results grow old, and policies change."""

from __future__ import annotations

import asyncio
import socket

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.threads import in_database
from modelscan.registry.curation import Curation
from modelscan.registry.desk import CurationDesk
from modelscan.state.server.audit import Actor

_EVERY_S = 30.0


class Reassessment:
    """The task. A policy file that is wrong is reported once, and changes no tag."""

    def __init__(self, gateway: Gateway, report: Report) -> None:
        self._desk = CurationDesk(gateway.database, gateway.config)
        self._report = report
        self._who = Actor("gateway", socket.gethostname())
        self._fault: str | None = None

    async def run(self) -> None:
        """Check now, and every half minute."""
        while True:
            await self.step()
            await asyncio.sleep(_EVERY_S)

    async def step(self) -> None:
        """Check every approved tag once."""
        try:
            changed = await in_database(self._desk.reassess, self._who)
        except ModelscanError as error:
            if error.message != self._fault:
                text = f"approved tags cannot be checked: {error.message}"
                self._report(ServeEvent("warning", text))
            self._fault = error.message
            return
        self._fault = None
        for one in changed:
            self._report(ServeEvent("warning", _sentence(one)))


def _sentence(one: Curation) -> str:
    place = f"the tag '{one.tag}' of {one.place}"
    if one.flagged is not None:
        taken = "" if one.tagged else " and was taken away"
        return f"{place} is flagged{taken}: {one.flagged.reason}"
    return f"{place}: {one.reason or 'its gates are met again'}"
