"""A deployment as it is remembered and shown."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class State(str, enum.Enum):
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


@dataclass(frozen=True, slots=True)
class Deployment:
    """``plan`` is the JSON form of the Plan that was launched, ``measured`` what the engine said.

    ``request`` is what was asked for: a second deploy that asks the same changes nothing.
    ``launch`` is how its target starts it, so that ``start`` needs no new plan. ``run_id`` names
    one start: a process of another run is not ours. ``pid`` counts only together with
    ``pid_started_at`` (epoch seconds): pids are reused.
    """

    name: str
    model: str
    target: str  # local | the name of a configured target
    backend: str
    quantization: str | None
    state: State
    endpoint: str | None  # the server's root; clients add /v1
    context_tokens: int | None
    gpus: tuple[int, ...]
    created_at: str  # RFC 3339 UTC
    updated_at: str
    served_model: str | None = None
    reason: str | None = None  # why failed
    task: str = "chat"
    pid: int | None = None
    pid_started_at: float | None = None
    port: int | None = None
    api_key: str | None = None  # a reference (env:, file:), never a key
    log_path: str | None = None
    managed: bool = True
    health: str | None = None  # ok | unhealthy | unknown
    plan: Mapping[str, Any] | None = None
    measured: Mapping[str, Any] | None = None
    remote: Mapping[str, Any] | None = None  # cluster ids and raw state
    request: Mapping[str, Any] | None = None
    launch: Mapping[str, Any] | None = None
    run_id: str | None = None
    route: str | None = None  # its entry in the routing file; None: not wanted there
    routed: bool = False  # the entry is written and enabled
    started_at: str | None = None  # when it last became ready
    restart: str | None = None  # a crashed engine is started again: no | on-failure | always
    restarts: int = 0  # of this start, by its supervisor
    ttl_s: float | None = None  # ended after so long without a request
    drift: tuple[str, ...] = ()  # fields that somebody changed at the target behind our back
