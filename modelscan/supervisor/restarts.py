"""Whether and when an engine that ended is restarted, and the text of the reason.

The supervisor decides, so it works while no command runs. An engine that never became ready is not
restarted: the same cause would prevent each start.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from modelscan.supervisor.rundir import Ended, ProcessSpec

if TYPE_CHECKING:
    from modelscan.core.deployment_state import RestartPolicy

NO: RestartPolicy = "no"
ON_FAILURE: RestartPolicy = "on-failure"
ALWAYS: RestartPolicy = "always"
LONGEST_DELAY_S = 60.0
_LOCAL_WISHES = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
)  # signals with which users end programs


def again(spec: ProcessSpec, ended: Ended, *, was_ready: bool) -> bool:
    """Whether the restart policy applies to this end, apart from the limit."""
    if spec.restart == NO or ended.on_purpose or not was_ready:
        return False
    return spec.restart == ALWAYS or is_failure(ended)


def is_failure(ended: Ended) -> bool:
    """Neither exit code 0 nor a signal with which users end programs."""
    return ended.code != 0 and ended.signal not in _LOCAL_WISHES


def delay_s(spec: ProcessSpec, count: int) -> float:
    """Seconds before the ``count``-th restart (from 1): doubled each time, at most 60."""
    return min(LONGEST_DELAY_S, spec.restart_delay_s * 2.0 ** (count - 1))


def how(ended: Ended, words: list[str]) -> str:
    """``the engine was killed by signal 6 (SIGABRT): last log lines``.

    SIGKILL is sent from outside, so the log does not explain it.
    """
    if ended.signal is None:
        text = f"the engine ended with code {ended.code}"
    else:
        text = f"the engine was killed by signal {ended.signal} ({_name(ended.signal)})"
        words = [] if ended.signal in (signal.SIGKILL, *_LOCAL_WISHES) else words
    detail = "; ".join(words)
    return text + (f": {detail}" if detail else "")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"  # real-time signals have no name
