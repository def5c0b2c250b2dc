"""Parts of the gateway that end by an error: reported, started again, and not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control import supervised
from modelscan.gateway.control.events import ServeEvent
from modelscan.gateway.control.supervised import MOST_RESTARTS, PartFault, PartSupervisor


class Part:
    """A loop that ends by an error so many times."""

    def __init__(self, failures: int, error: type[Exception] = ZeroDivisionError) -> None:
        self.failures, self.error = failures, error
        self.begun = self.cancelled = 0
        self.runs = asyncio.Event()

    async def loop(self) -> None:
        self.begun += 1
        if self.begun <= self.failures:
            raise self.error(f"number {self.begun}")
        self.runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "_PAUSE_S", 0.001)


def supervisor() -> tuple[PartSupervisor, list[ServeEvent], dict[str, PartFault]]:
    events: list[ServeEvent] = []
    faults: dict[str, PartFault] = {}
    return PartSupervisor(events.append, faults), events, faults


def test_a_part_that_ends_is_reported_and_runs_again() -> None:
    async def check() -> None:
        watched, events, faults = supervisor()
        part = Part(2)
        task = asyncio.ensure_future(watched.run("part", part.loop))
        await part.runs.wait()
        assert [one.name for one in events] == ["fault", "fault"]
        assert "ZeroDivisionError: number 2" in events[1].text
        assert "in loop" in events[1].values["traceback"]
        assert (faults["part"].count, faults["part"].recent) == (2, True)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert part.cancelled == 1  # it ended before the supervisor did

    asyncio.run(check())


def test_a_part_that_always_ends_ends_the_gateway() -> None:
    watched, _, faults = supervisor()
    part = Part(1000)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(watched.run("part", part.loop))
    assert part.begun == faults["part"].count == MOST_RESTARTS + 1


@pytest.mark.parametrize(("final", "begun"), [((ModelscanError,), 1), ((), 3)])
def test_some_errors_are_final(final: tuple[Any, ...], begun: int) -> None:
    async def check() -> None:
        watched, events, _ = supervisor()
        part = Part(2, ModelscanError)
        task = asyncio.ensure_future(watched.run("part", part.loop, final=final))
        await asyncio.wait([task, asyncio.ensure_future(part.runs.wait())],
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        assert (part.begun, bool(events)) == (begun, begun > 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(check())


def test_the_same_error_is_not_reported_each_time() -> None:
    watched, events, faults = supervisor()
    for _ in range(100):
        watched.note("probe", ValueError("the same"))
    assert (len(events), faults["probe"].count) == (1, 100)
    watched.note("probe", ValueError("another"))
    assert len(events) == 2


def test_a_part_that_returns_is_no_error() -> None:
    async def loop() -> None:
        return None

    watched, events, _ = supervisor()
    asyncio.run(watched.run("worker", loop))
    assert events == []
