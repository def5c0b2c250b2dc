"""The log of an engine on a worker, kept while the engine restarts.

A worker gives each attempt a log of its own, and the server answers with the newest one. After a
restart that one is empty or has only begun, so the log that shows the error is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.units import MIB
from modelscan.engines.registry import engine
from modelscan.state.secrets import redact
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.logs import without_environment

if TYPE_CHECKING:
    from modelscan.engines.base import EngineFailure

_EXCERPT_LINES = 40
_AFTER_CAUSE = 10  # lines of the excerpt after the cause, if the cause is far from the end
_READ_LINES = 20 * _EXCERPT_LINES
_GLANCE_S = 20.0  # one read while waiting; a failed one is repeated at the end
_LAST_READ_S = 120.0
_MAX_BYTES = 16 * MIB
_CAUSE = 3  # of ``EngineLog.clarity``
_ENDED = frozenset({"error", "unreachable"})

Mark = tuple[Any, ...]
"""State, message, download progress and restart count of an instance: it changed if they differ."""


@dataclass(frozen=True, slots=True)
class EngineLog:
    """The redacted lines of one attempt, and the cause of its failure that the engine names."""

    lines: tuple[str, ...] = ()
    failure: EngineFailure | None = None

    @property
    def clarity(self) -> int:
        """How much it explains: 0 nothing, 1 it has lines, 2 an error, 3 an error with a kind."""
        if self.failure is None:
            return int(bool(self.lines))
        return 2 if self.failure.kind is None else 3

    def excerpt(self) -> list[str]:
        """At most 40 lines: the end, or the lines around the cause if that is further up."""
        end = len(self.lines)
        at = self.failure.line if self.failure is not None else None
        if at is not None and at <= end - _EXCERPT_LINES:
            end = max(at + _AFTER_CAUSE, _EXCERPT_LINES)
        return list(self.lines[max(0, end - _EXCERPT_LINES) : end])


def more_telling(known: EngineLog, new: EngineLog) -> EngineLog:
    """The log that explains more; of two that explain as much, the newer one."""
    return new if new.clarity >= known.clarity else known


def read_as(backend: str, lines: Iterable[str]) -> EngineLog:
    """A worker's log as one of ``backend``."""
    own = tuple(redact(line) for line in without_environment(lines))
    try:
        return EngineLog(own, engine(backend).failure("\n".join(own)))
    except UsageError:  # an engine that only the server has
        return EngineLog(own)


@dataclass(slots=True)
class LogKeeper:
    """The most telling log of a model's instances so far.

    ``look`` after each read of the instances: it reads the log of an attempt that has just ended.
    ``final`` reads once more, the attempt before and the current one.
    """

    client: Client
    model_id: int
    backend: str
    _best: EngineLog = EngineLog()
    _ended: frozenset[tuple[int, int]] = frozenset()

    def look(self, marks: Mapping[int, Mark]) -> None:
        """Read the logs of instances that failed or restarted since the last look."""
        ended = {(number, int(mark[-1] or 0)) for number, mark in marks.items() if _failed(mark)}
        for number, _ in sorted(ended - self._ended):
            self._take(number, _GLANCE_S)
            if self._best.clarity < _CAUSE:
                self._take(number, _GLANCE_S, previous=True)
        self._ended |= ended

    def final(self) -> EngineLog:
        """The log that explains a failure best; one without lines if none can be read."""
        deadline = time.monotonic() + _LAST_READ_S
        for number in self._failed_first():
            for previous in (True, False):
                self._take(number, max(0.1, deadline - time.monotonic()), previous=previous)
            if self._best.clarity == _CAUSE:
                break
        return self._best

    def _failed_first(self) -> list[int]:
        """Instances: those that failed and restarted most come first."""
        try:
            rows = self.client.list("model-instances", model_id=self.model_id)
            ours = [row for row in rows if row.get("model_id") == self.model_id]
            ours.sort(key=lambda row: (row.get("state") not in _ENDED, -_restarts(row)))
            return [int(row["id"]) for row in ours]
        except (ModelscanError, KeyError, TypeError, ValueError):
            return []

    def _take(self, number: int, within_s: float, *, previous: bool = False) -> None:
        """Read one log and keep it if it explains more. Errors of the server change nothing."""
        try:
            if previous and not self.client.dialect.modern:
                return  # 0.7 deletes it when the next attempt begins
            params = {"tail": _READ_LINES, "follow": "false"}
            if previous:
                params["previous"] = "true"
            with self.client.stream(
                f"model-instances/{number}/logs", what="read the log", params=params,
                within_s=within_s, max_bytes=_MAX_BYTES,
            ) as lines:  # fmt: skip
                self._best = more_telling(self._best, read_as(self.backend, lines))
        except ModelscanError:
            return


def _failed(mark: Mark) -> bool:
    return mark[0] in _ENDED or bool(mark[-1])


def _restarts(row: Mapping[str, Any]) -> int:
    return int(row.get("restart_count") or 0)
