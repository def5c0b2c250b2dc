"""Whether an engine that ended by itself is started again, when, and what is told about it.

The supervisor asks, so it works while no command runs. An engine that never became ready is not
started again: what kept it from starting once would do so each time.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from modelscan.supervisor.rundir import Ended, Spec

if TYPE_CHECKING:
    from modelscan.core.deployment_state import RestartPolicy

NO: RestartPolicy = "no"
ON_FAILURE: RestartPolicy = "on-failure"
ALWAYS: RestartPolicy = "always"
LONGEST_DELAY_S = 60.0
_LOCAL_WISHES = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # somebody ended it on purpose


def again(spec: Spec, ended: Ended, *, was_ready: bool) -> bool:
    """Whether the policy wants this end undone, the limit aside."""
    if spec.restart == NO or ended.on_purpose or not was_ready:
        return False
    return spec.restart == ALWAYS or is_failure(ended)


def is_failure(ended: Ended) -> bool:
    """Neither exit code 0 nor a signal with which people end programs."""
    return ended.code != 0 and ended.signal not in _LOCAL_WISHES


def delay_s(spec: Spec, count: int) -> float:
    """Before the ``count``-th restart (from 1): doubled each time."""
    return min(LONGEST_DELAY_S, spec.restart_delay_s * 2.0 ** (count - 1))


def how(ended: Ended, words: list[str]) -> str:
    """``the engine was killed by signal 6 (SIGABRT): its last words``.

    SIGKILL comes from outside, so what the engine said before does not explain it.
    """
    if ended.signal is None:
        text = f"the engine ended with code {ended.code}"
    else:
        text = f"the engine was killed by signal {ended.signal} ({_name(ended.signal)})"
        words = [] if ended.signal in (signal.SIGKILL, *_LOCAL_WISHES) else words
    said = "; ".join(words)
    return text + (f": {said}" if said else "")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"  # real-time signals have no name
