"""A log as its engine wrote it, and the last start in it that has an error. Pure.

The log of a deployment is the engine's own output. One from elsewhere may have what journald,
Docker, Kubernetes or a terminal added to each line, and several starts one after the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.engines.base import EngineFailure

Explain = Callable[[Sequence[str]], "EngineFailure | None"]

_MOST = 0.8  # of the lines: then the prefix is of what carried the log, not of its engine
_LAYERS = 3  # a pod's journal: one prefix before the other
_TIME = r"\d{4}-\d\d-\d\d[T ][\d:.,]{8,}(?:Z|[+-]\d\d:?\d\d)"
_CARRIERS = (
    re.compile(rf"(?:\w{{3}} [ \d]\d [\d:]{{8}}|{_TIME}) \S+ [\w@.-]+\[\d+\]: ?"),  # journald
    re.compile(rf"{_TIME} (?:stdout|stderr) [FP] "),  # Kubernetes' own files
    re.compile(r"[\w.-]+ +\| "),  # docker compose
    re.compile(r"\[pod/[^\]\s]+\] "),  # kubectl --prefix
    re.compile(r"\[[A-Z]+\] \S*llama\.cpp\S* \([^)]*\) \S+ pid=\d+ "),  # LM Studio's stream
    re.compile(r"\[\d{4}-\d\d-\d\d [\d:.]+\]\[[A-Z]+\] ?"),  # LM Studio's files
    re.compile(rf"{_TIME} "),  # --timestamps
)
# Docker's files, and what ``logs -f --json`` prints: the line is one member of an object.
_JSON = re.compile(r'\{(?=.{0,200}?"(?P<member>log|line)": ?")')


def log_rows(log: str) -> list[str]:
    """The lines without what carried the log; a progress bar is what a terminal shows last.

    The number of a line is the same as in the log.
    """
    rows = [row.rstrip("\r").rpartition("\r")[2] for row in log.split("\n")]
    rows = [_of_json(row) for row in rows]
    for _ in range(_LAYERS):
        carrier = _carrier(rows)
        if carrier is None:
            break
        rows = [carrier.sub("", row, count=1) if carrier.match(row) else row for row in rows]
    return rows


def _of_json(row: str) -> str:
    match = _JSON.match(row)
    if match is None:
        return row
    try:
        return str(json.loads(row)[match["member"]]).rstrip("\n")
    except (ValueError, KeyError, RecursionError):
        return row


def _carrier(rows: Sequence[str]) -> re.Pattern[str] | None:
    filled = [row for row in rows if row.strip()]
    needed = max(1, _MOST * len(filled))
    counts = ((one, sum(one.match(row) is not None for row in filled)) for one in _CARRIERS)
    return next((one for one, count in counts if count >= needed), None)


def last_failure(log: str, begins: re.Pattern[str], explain: Explain) -> EngineFailure | None:
    """The failure of the last start that has one. ``begins``: lines with which a start begins."""
    rows = log_rows(log)
    starts = [0, *(at for at, row in enumerate(rows) if at and begins.search(row[:_LONGEST]))]
    for start, end in zip(reversed(starts), reversed([*starts[1:], len(rows)]), strict=True):
        failure = explain(rows[start:end])
        if failure is not None:
            line = None if failure.line is None else failure.line + start
            return replace(failure, line=line)
    return None


_LONGEST = 4000  # characters of a line that are looked at
