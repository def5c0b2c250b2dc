"""What an engine's log says, without a deployment: the cause of a failed start, and what to try."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.engines.base import FailureKind
from modelscan.engines.registry import engine, engines

if TYPE_CHECKING:
    from modelscan.engines.engine import Engine


@dataclass(frozen=True, slots=True)
class LogExplained:
    """The cause that a log names. ``line``: its number in the log; None, like ``reason``: no error.

    ``kind`` is None for an error that no rule recognises. ``retry``: options of ``deploy`` that may
    help, ``--context 8192``; empty if none is known.
    """

    backend: str | None
    kind: FailureKind | None
    reason: str | None
    hint: str | None
    retry: str
    line: int | None


def explain_log(text: str, backend: str | None = None) -> LogExplained:
    """The cause in a log. Without ``backend`` the engine is recognised by its own words.

    Raises UsageError for an unknown backend.
    """
    one = engine(backend) if backend else written_by(text)
    candidates = [one] if one else list(engines())
    for candidate in candidates:
        failure = candidate.failure(text)
        if failure is not None:
            remedy = failure.remedy
            retry = " ".join(remedy.options()) if remedy else ""
            name = candidate.name if one else None
            return LogExplained(
                name, failure.kind, failure.reason, failure.hint, retry, failure.line
            )
    return LogExplained(one.name if one else None, None, None, None, "", None)


def written_by(text: str) -> Engine | None:
    """The engine whose own words occur most often; None if there are none."""
    counts = [(len(re.findall(one.log_words, text)), one) for one in engines() if one.log_words]
    best = max(counts, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] else None
