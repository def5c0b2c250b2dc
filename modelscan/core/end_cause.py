"""Why a deployment does not run: a closed set, and the sentence that a person reads."""

from __future__ import annotations

import enum


class EndCause(str, enum.Enum):
    """Why a deployment does not run. What happens next depends on this, never on a sentence."""

    STOPPED_BY_USER = "stopped_by_user"  # stop, remove, replaced, Ctrl-C
    IDLE = "idle"  # its --ttl passed without a request: a request may bring it back
    MACHINE_RESTARTED = "machine_restarted"
    TOLD_TO_STOP = "told_to_stop"  # SIGTERM that was not ours: a shutdown, say
    CRASHED = "crashed"  # an exit code or a signal after it was ready
    KILLED = "killed"  # together with its supervisor
    OUT_OF_MEMORY = "out_of_memory"
    FAILED_TO_START = "failed_to_start"  # the engine ended before it was ready
    TIMED_OUT = "timed_out"  # not ready in time
    NO_ANSWER = "no_answer"  # ready, but a real request was not answered
    PORT_TAKEN = "port_taken"
    INTERRUPTED = "interrupted"  # the command ended before the engine was started
    SUPERVISOR_FAILED = "supervisor_failed"
    UNSCHEDULABLE = "unschedulable"  # no worker of the cluster has room
    RESTART_LOOP = "restart_loop"
    STOPPED_AT_TARGET = "stopped_at_target"  # by another user of that server
    DELETED_AT_TARGET = "deleted_at_target"
    NOT_SERVED = "not_served"  # its server does not serve it any more
    FAILED = "failed"  # the words say why


def reason_text(cause: EndCause, words: str | None = None) -> str | None:
    """The sentence for a cause and the engine's (or server's) own words; None: nothing to add."""
    text = _TEXTS.get(cause)
    if text is None or words is None:
        return text or words
    return f"{text}: {words}"


_TEXTS = {
    EndCause.IDLE: "idle",
    EndCause.MACHINE_RESTARTED: "the machine was restarted",
    EndCause.TOLD_TO_STOP: "the engine was told to stop (SIGTERM)",
    EndCause.KILLED: "it was killed together with its supervisor",
    EndCause.SUPERVISOR_FAILED: "its supervisor failed",
}
