"""What an engine's log says, without a deployment: the cause of a failed start, and what to try."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.engines.base import EngineFailure, FailureKind
from modelscan.engines.registry import engine, engines

if TYPE_CHECKING:
    from modelscan.engines.engine import Engine


@dataclass(frozen=True, slots=True)
class LogExplained:
    """The cause that a log names. ``line``: its number in the log; None, like ``reason``: no error.

    ``kind`` is None for an error that no rule recognises. ``retry``: options of ``deploy`` that may
    help, ``--context 8192``; empty if none is known. ``port``: the one that the log says is taken.
    """

    backend: str | None
    kind: FailureKind | None
    reason: str | None
    hint: str | None
    retry: str
    line: int | None
    port: int | None = None


def explain_log(text: str, backend: str | None = None, log: str = "LOG") -> LogExplained:
    """The cause in a log. Without ``backend`` the engine is recognised by its own words.

    Of an engine that is not recognised, the hint asks for it where engines have different remedies
    (``log``: how a command names the log). Raises UsageError for an unknown backend.
    """
    one = engine(backend) if backend else written_by(text)
    if one is not None:
        return _explained(one.name, one.failure(text))
    # An engine in Python has errors that are its own; those of llama.cpp are plain words.
    ordered = sorted(engines(), key=lambda other: other.runs_gguf)
    failures = {other.name: failure for other in ordered if (failure := other.failure(text))}
    named = {name: failure for name, failure in failures.items() if failure.kind is not None}
    if len({failure.hint for failure in named.values()}) < 2:
        return _explained(None, next(iter((named or failures).values()), None))
    name, failure = next(iter(named.items()))
    hint = f"modelscan explain {shlex.quote(log)} --backend {name}"
    return _explained(None, replace(failure, hint=hint, remedy=None))


def _explained(backend: str | None, failure: EngineFailure | None) -> LogExplained:
    if failure is None:
        return LogExplained(backend, None, None, None, "", None)
    retry = " ".join(failure.remedy.options()) if failure.remedy else ""
    return LogExplained(
        backend, failure.kind, failure.reason, failure.hint, retry, failure.line, failure.port
    )


def written_by(text: str) -> Engine | None:
    """The engine whose own words occur most often; None if there are none.

    One that runs another engine is recognised by one of its marks: most words are the other's.
    """
    for one in engines():
        if one.log_mark and re.search(one.log_mark, text):
            return one
    counts = [
        (len(re.findall(one.log_words, text, re.M)), one) for one in engines() if one.log_words
    ]
    best = max(counts, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] else None
