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


@dataclass(frozen=True, slots=True)
class Deployment:
    """``plan`` is the JSON form of the Plan that was launched, ``measured`` what the engine said.

    ``pid`` counts only together with ``pid_started_at`` (epoch seconds): pids are reused.
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
