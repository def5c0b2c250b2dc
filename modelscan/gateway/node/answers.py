"""The answers of ``modelscan node status|leave``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.gateway.node import record
from modelscan.gateway.node.join import leave
from modelscan.gateway.node.record import ReportedService
from modelscan.state.config import Config

NodeStatusState = Literal["joined", "unreachable", "refused", "not_running", "not_joined"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """This machine as a node. ``state`` not_running: it joined, and no agent runs.

    ``services``: as they were last reported; times are RFC 3339 UTC.
    """

    state: NodeStatusState
    host_id: str | None
    display_name: str | None
    control_plane: str | None
    joined_at: str | None
    gateway: str | None
    pid: int | None
    beat_s: float
    last_beat_at: str | None
    problem: str | None
    services: tuple[ReportedService, ...]


@dataclass(frozen=True, slots=True)
class NodeLeft:
    """``problem``: why the control plane did not get the message; it notices within two beats."""

    host_id: str | None
    control_plane: str | None
    problem: str | None


def node_status(config: Config) -> NodeStatus:
    """The state of this machine as a node; sends nothing. Raises ModelscanError for a record that
    cannot be read.
    """
    kept = record.look_at_record(config.paths.state)
    status = record.load_status(config.paths.state)
    membership = None if kept is None else kept.membership
    running = status is not None and record.is_running(status)
    state: NodeStatusState = "not_joined"
    if membership is not None:
        state = "not_running"
        if status is not None and running and status.state != "left":
            state = status.state
    shown = status if state not in ("not_joined", "not_running") else None
    return NodeStatus(
        state=state,
        host_id=None if kept is None else kept.host_id,
        display_name=None if kept is None else kept.display_name,
        control_plane=None if membership is None else membership.url,
        joined_at=None if membership is None else membership.joined_at,
        gateway=None if shown is None else shown.gateway,
        pid=None if shown is None else shown.pid,
        beat_s=config.node_beat_s if shown is None else shown.beat_s,
        last_beat_at=None if status is None else status.last_beat_at,
        problem=None if shown is None else shown.problem,
        services=() if shown is None else shown.services,
    )


def node_left(config: Config) -> NodeLeft:
    """Leave, also where the control plane does not answer. Raises UsageError where this machine is
    in no cluster.
    """
    before, delivery = leave(config)
    membership = before.membership
    return NodeLeft(
        before.host_id, None if membership is None else membership.url, delivery.problem
    )
