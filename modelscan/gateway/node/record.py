"""What this machine remembers as a node, in two files of its state folder.

``node.json`` has the host's id, for good, and the control plane that it joined; commands change it.
``node-status.json`` is rewritten by the running agent after each message.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.core.tls import TlsFiles
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold

AgentState = Literal["joined", "unreachable", "refused", "left"]


@dataclass(frozen=True, slots=True)
class Membership:
    """The control plane of a node. ``key`` is a reference (env:, file:)."""

    url: str
    key: str | None
    files: TlsFiles = field(default_factory=TlsFiles)
    joined_at: str | None = None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """``membership`` None: this machine is in no cluster, or it left. ``accepted``: a control plane
    knows the id, which then never changes.
    """

    host_id: str
    display_name: str | None = None
    membership: Membership | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class ReportedService:
    """A service as it was last sent."""

    service_id: str
    model: str
    endpoint: str
    health: str
    load_state: str
    accepts: bool
    engine: str | None = None
    context_tokens: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """The state of the agent after its last message. Times are RFC 3339 UTC."""

    state: AgentState
    pid: int
    pid_started_at: float
    gateway: str | None
    beat_s: float
    instance: str
    sequence: int
    last_beat_at: str | None = None
    problem: str | None = None
    services: tuple[ReportedService, ...] = ()


def record_file(state: Path) -> Path:
    """Where the record is."""
    return state / "node.json"


def load_record(state: Path) -> NodeRecord:
    """The record; one with a new id is written where there is none.

    Raises ModelscanError for a file that cannot be read: another id would be another host.
    """
    record = look_at_record(state)
    return change_record(state, lambda kept: kept) if record is None else record


def look_at_record(state: Path) -> NodeRecord | None:
    """The record, or None; writes nothing. Raises ModelscanError for an unreadable file."""
    file = record_file(state)
    try:
        return from_json(NodeRecord, json_value(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, NotReadable) as error:
        raise ModelscanError(
            f"{file} cannot be read: {error}",
            hint=f"mv '{file}' '{file}.old' (this machine then is a new host)",
            code="node_record",
        ) from error


def change_record(state: Path, change: Callable[[NodeRecord], NodeRecord]) -> NodeRecord:
    """Change the record under its lock and return the new one."""
    with hold(state / ".node.lock", what="the record of this node"):
        before = look_at_record(state)
        after = change(before or NodeRecord(new_host_id()))
        if after != before:
            write_json(record_file(state), after)
        return after


def new_host_id() -> str:
    """The machine's name and a random part: two machines may have the same name."""
    return f"{_slug(os.uname().nodename)[:40]}-{secrets.token_hex(4)}"


def joining(kept: NodeRecord, membership: Membership, name: str | None) -> NodeRecord:
    """The record of a machine that joins. ``name`` is also its id, unless it has a known one."""
    host_id = _slug(name) if name and not kept.accepted else kept.host_id
    return replace(kept, host_id=host_id, membership=membership, display_name=name)


def accepted(kept: NodeRecord) -> NodeRecord:
    """The record of a machine that a control plane knows."""
    return replace(kept, accepted=True)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")[:60] or "node"


def left(record: NodeRecord) -> NodeRecord:
    """The record of a machine that is in no cluster."""
    return replace(record, membership=None)


def status_file(state: Path) -> Path:
    """Where the agent writes its status."""
    return state / "node-status.json"


def load_status(state: Path) -> AgentStatus | None:
    """The agent's last status; None where there is none that can be read."""
    try:
        return from_json(AgentStatus, json_value(status_file(state).read_bytes()))
    except (OSError, ValueError, NotReadable):
        return None


def started_at(pid: int) -> float | None:
    """When a process started (UNIX time); None: there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_running(status: AgentStatus) -> bool:
    """Whether the agent that wrote it is running: a pid alone may be another process by now."""
    began = started_at(status.pid)
    return began is not None and abs(began - status.pid_started_at) < 1.0


def write_json(file: Path, value: object) -> None:
    """Replace a file by a value's JSON form. Raises ModelscanError where that fails."""
    write_atomic(file, json.dumps(to_json(value), indent=1) + "\n")
