"""Causes of a deployment's end: an enum, and its text."""

from __future__ import annotations

import enum


class EndCause(str, enum.Enum):
    """Why a deployment does not run. Decisions depend on this value, never on text."""

    STOPPED_BY_USER = "stopped_by_user"  # stop, remove, replaced, Ctrl-C
    IDLE = "idle"  # --ttl passed without a request; a request may start it again
    SWAPPED = "swapped"  # made room for another model; a request may start it again
    PUT_TO_SLEEP = "put_to_sleep"  # stop --sleep; a request may start it again
    MACHINE_RESTARTED = "machine_restarted"
    TOLD_TO_STOP = "told_to_stop"  # SIGTERM from outside, e.g. a shutdown
    CRASHED = "crashed"  # an exit code or a signal after it was ready
    KILLED = "killed"  # together with its supervisor
    OUT_OF_MEMORY = "out_of_memory"
    FAILED_TO_START = "failed_to_start"  # the engine ended before it was ready
    TIMED_OUT = "timed_out"  # not ready in time
    NO_ANSWER = "no_answer"  # ready, but a test request got no answer
    PORT_TAKEN = "port_taken"
    INTERRUPTED = "interrupted"  # the command ended before the engine was started
    SUPERVISOR_FAILED = "supervisor_failed"
    UNSCHEDULABLE = "unschedulable"  # no worker of the cluster has room
    RESTART_LOOP = "restart_loop"
    STOPPED_AT_TARGET = "stopped_at_target"  # stopped by another user of that server
    DELETED_AT_TARGET = "deleted_at_target"
    NOT_SERVED = "not_served"  # its server no longer lists the model
    FAILED = "failed"  # ``reason`` says why


SLEEP_CAUSES = (EndCause.IDLE, EndCause.SWAPPED, EndCause.PUT_TO_SLEEP)
"""Ends after which a request through the gateway starts a deployment again."""


def reason_text(cause: EndCause, words: str | None = None) -> str | None:
    """The text for a cause, with the engine's or server's message; None if there is neither."""
    text = _TEXTS.get(cause)
    if text is None or words is None:
        return text or words
    return f"{text}: {words}"


_TEXTS = {
    EndCause.IDLE: "idle",
    EndCause.SWAPPED: "made room for another deployment",
    EndCause.PUT_TO_SLEEP: "put to sleep by modelscan stop --sleep",
    EndCause.MACHINE_RESTARTED: "the machine was restarted",
    EndCause.TOLD_TO_STOP: "the engine received SIGTERM",
    EndCause.KILLED: "the engine and its supervisor were killed",
    EndCause.SUPERVISOR_FAILED: "its supervisor failed",
}
