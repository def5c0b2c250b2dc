"""pytest plugins of a mutation run: which lines a test runs, and running only chosen tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest

Lines = set[tuple[str, int]]


@dataclass(slots=True)
class Run:
    """One test of the baseline: its result, its time in seconds and the lines it ran."""

    passed: bool = True
    seconds: float = 0.0
    lines: Lines = field(default_factory=set)


class Baseline:
    """Runs every test once and records the lines of the modules in ``paths``.

    ``paths`` maps the absolute file name to the name under which lines are recorded.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.paths = paths
        self.runs: dict[str, Run] = {}
        self._lines: Lines = set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        run = self.runs[item.nodeid] = Run()
        self._lines = run.lines
        started = time.process_time()
        sys.settrace(self._trace)
        yield
        sys.settrace(None)
        run.seconds = time.process_time() - started

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.runs[report.nodeid].passed = False

    def _trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = self.paths.get(frame.f_code.co_filename)
        if name is None:
            return None
        lines = self._lines
        lines.add((name, frame.f_lineno))

        def local(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line":
                lines.add((name, frame.f_lineno))
            return local

        return local


class Chosen:
    """Keeps only these tests, in this order."""

    def __init__(self, nodeids: Sequence[str]) -> None:
        self.order = {nodeid: index for index, nodeid in enumerate(nodeids)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order),
            key=lambda item: self.order[item.nodeid],
        )


class QuietHypothesis:
    """The same examples in every run, and no search for a smaller failing one."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", derandomize=True, database=None, phases=phases)
        settings.load_profile("mutation")
