"""The states of a deployment, apart from its record: most modules need only these."""

from __future__ import annotations

import enum
from typing import Literal

Health = Literal["ok", "unhealthy", "unknown"]
RestartPolicy = Literal["no", "on-failure", "always"]


class State(str, enum.Enum):
    """The states of a deployment, as stored and as shown."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


ACTIVE_STATES = (
    State.PENDING,
    State.DOWNLOADING,
    State.STARTING,
    State.RUNNING,
    State.STOPPING,
)
