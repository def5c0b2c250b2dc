"""Which messages of nodes are accepted, and what a host's silence means. Pure: time is an argument.

A host's last sign of life is when its message arrived here. Its own clock is only compared with
itself, and with the gateway's to report how far they are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modelscan.core.node import (
    INTERVAL_S,
    HostWord,
    MessageExtra,
    NodeState,
    RegisteredService,
    Registration,
)
from modelscan.core.reach import in_networks
from modelscan.state.server.audit import Actor
from modelscan.state.server.nodes import Claims, HostRow

MISSED_BEATS = 2
_WORKERS_S = 0.75  # until every worker knows that a host is silent
SKEW_S = 5.0  # a clock that is further away is reported
MAX_HOSTS, MAX_HOSTS_OF_KEY, MAX_RETIRED = 4096, 1024, 16
KEPT_LEFT_S, KEPT_STALE_S = 86_400.0, 30 * 86_400.0  # then a host is forgotten
NO_EXTRA = MessageExtra()
_DRAINING = ("draining", "offline", "stopping", "maintenance", "paused")
_LEARNED_GAPS, _LEAST_GAP_S, _MOST_GAP_S = 3, 0.5, 60.0


class NodeRefused(Exception):
    """A node's message that is not accepted. ``code`` is for scripts, ``retry_s``: try again then.

    ``audited``: it may be an attempt to take what belongs to another node.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, retry_s: float | None = None,
        audited: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_s = retry_s
        self.audited = audited


class NodeCaller:
    """Who sends a message. ``local``: it comes from this machine."""

    __slots__ = ("address", "key", "local")

    def __init__(self, key: str | None, address: str, local: bool) -> None:
        self.key = key
        self.address = address
        self.local = local

    @property
    def actor(self) -> Actor:
        """Who it is, for the log of changes."""
        return Actor("gateway", self.address) if self.key is None else Actor("key", self.key)


def check_place(caller: NodeCaller, networks: tuple[str, ...]) -> None:
    """Raise NodeRefused for a message from an address outside of the networks of nodes."""
    address = "127.0.0.1" if caller.local else caller.address
    if not in_networks(address, networks):
        shown = ", ".join(networks) or "none"
        raise NodeRefused(
            403, "network",
            f"nodes may not report from {address}: the setting node_networks has {shown}",
            audited=True,
        )  # fmt: skip


def silence_s(row: HostRow) -> float:
    """Seconds without a message after which a host is stale: two beats are missed then.

    A little less than two intervals, so that no request is sent to it after them.
    """
    return MISSED_BEATS * row.interval_s - min(_WORKERS_S, row.interval_s / 10)


def state_of(row: HostRow, word: HostWord, silent_s: float) -> NodeState:
    """A host's state after so many seconds without a message."""
    if row.left_at is not None:
        return "left"
    if silent_s > silence_s(row):
        return "stale"
    return "draining" if row.drained or word.state.lower() in _DRAINING else "ready"


def decide_registration(
    claims: Claims, message: Registration, caller: NodeCaller, now: float,
    alive: Callable[[HostRow], bool],
) -> HostRow:  # fmt: skip
    """The row of a host that registers, without its body. Raises NodeRefused."""
    extra = message.modelscan or NO_EXTRA
    before = claims.host
    if before is not None:
        _check_host(before, extra, caller, alive(before), now)
    elif claims.hosts_of_key >= MAX_HOSTS_OF_KEY:
        raise NodeRefused(
            403, "too_many_hosts", f"this key has {claims.hosts_of_key} hosts already"
        )
    _check_services(message.host_id, message.services, claims, alive)
    clock = _clock(extra, message.status)
    return HostRow(
        host_id=message.host_id,
        key=caller.key,
        instance=extra.instance,
        retired=_retired(before, extra.instance),
        sequence=extra.sequence,
        node_clock=clock,
        registered_at=now,
        last_seen=now,
        interval_s=extra.beat_s or _kept_interval(before, extra),
        drained=before is not None and before.drained,
        left_at=None,
        local=caller.local,
        body=b"",
    )


def _check_host(
    before: HostRow, extra: MessageExtra, caller: NodeCaller, alive: bool, now: float
) -> None:
    """A live host's id belongs to its key and its run; an old message of either is no new one."""
    name = before.host_id
    if alive and before.key != caller.key:
        raise _taken(before, "with another key", now)
    if extra.instance is not None and extra.instance in before.retired:
        detail = f"this run of {name} was replaced by a later one: an old message, or two machines"
        raise NodeRefused(409, "replayed", f"{detail} with one id", audited=True)
    if alive and before.instance != extra.instance:
        raise _taken(before, "from another run or machine", now)
    if extra.instance is not None and extra.instance == before.instance:
        check_sequence(before, extra)


def _taken(before: HostRow, how: str, now: float) -> NodeRefused:
    wait = max(1.0, before.last_seen + silence_s(before) - now)
    return NodeRefused(
        409, "host_taken",
        f"the host {before.host_id} is registered and alive, {how}; give this node another host_id,"
        f" or wait until the other one has been silent for {MISSED_BEATS} heartbeats",
        retry_s=wait, audited=True,
    )  # fmt: skip


def check_sequence(row: HostRow, extra: MessageExtra) -> None:
    """Raise NodeRefused for a message that is not newer than the last one of its run."""
    if row.sequence is None:
        return
    if extra.sequence is None or extra.sequence <= row.sequence:
        raise NodeRefused(
            409, "replayed",
            f"message {extra.sequence} of {row.host_id} is not newer than {row.sequence}, the last "
            "one that was accepted", audited=True,
        )  # fmt: skip


def _check_services(
    host_id: str, services: Sequence[RegisteredService], claims: Claims,
    alive: Callable[[HostRow], bool],
) -> None:  # fmt: skip
    """A service belongs to the host that reports it, and to one live host only."""
    check_own(host_id, services)
    for at, service in enumerate(services):
        owner = claims.owners.get(service.service_id)
        if owner is not None and alive(owner):
            place, name = f"$.services[{at}]", service.service_id
            detail = f"{place}: the service {name} belongs to the live host {owner.host_id}"
            raise NodeRefused(409, "service_taken", detail, audited=True)


def check_own(host_id: str, services: Sequence[RegisteredService]) -> None:
    """Raise NodeRefused for a list with services of another host, or with one twice."""
    seen: set[str] = set()
    for at, service in enumerate(services):
        name, place = service.service_id, f"$.services[{at}]"
        if service.host_id not in (None, host_id):
            detail = f"{place}: the service {name} is reported for the host {service.host_id}"
            raise NodeRefused(403, "foreign_service", f"{detail}, not {host_id}", audited=True)
        if name in seen:
            raise NodeRefused(422, "invalid_message", f"{place}: {name} is there twice")
        seen.add(name)
    _check_assets(services)


def _check_assets(services: Sequence[RegisteredService]) -> None:
    for at, service in enumerate(services):
        names = [one.asset_id for one in service.assets]
        if len(set(names)) < len(names):
            place = f"$.services[{at}].assets"
            raise NodeRefused(422, "invalid_message", f"{place}: an asset_id is there twice")


def check_departure(row: HostRow, extra: MessageExtra, caller: NodeCaller) -> None:
    """Raise NodeRefused for a departure that is not of the registered node.

    One without an instance is of a person, who ends the node's agent with a command.
    """
    _check_key(row, caller)
    if extra.instance is not None:
        check_message(row, extra, caller)


def _check_key(row: HostRow, caller: NodeCaller) -> None:
    if row.key != caller.key:
        detail = f"the host {row.host_id} belongs to another key"
        raise NodeRefused(403, "other_key", detail, audited=True)


def check_message(row: HostRow, extra: MessageExtra, caller: NodeCaller) -> None:
    """Raise NodeRefused for a heartbeat that is not of the registered node."""
    _check_key(row, caller)
    if row.left_at is not None:
        raise NodeRefused(404, "host_unknown", f"the host {row.host_id} left: register it again")
    if row.instance != extra.instance:
        detail = f"the host {row.host_id} was registered by another run or machine"
        raise NodeRefused(409, "other_instance", detail, audited=True)
    check_sequence(row, extra)


def after_heartbeat(
    row: HostRow, extra: MessageExtra, word: HostWord, now: float, gaps: Sequence[float]
) -> HostRow:
    """The row after an accepted heartbeat; ``gaps``: seconds between the last ones.

    Raises NodeRefused for an older one of a node without sequence numbers: it registers again.
    """
    clock = _clock(extra, word)
    known = clock is not None and row.node_clock is not None and extra.instance is None
    if known and clock < row.node_clock:  # type: ignore[operator]
        detail = f"a heartbeat of {row.host_id} is older than its last one: register again"
        raise NodeRefused(404, "host_unknown", detail)
    interval = extra.beat_s or learned_interval(row.interval_s, gaps)
    return replace(
        row, sequence=extra.sequence, node_clock=clock, last_seen=now, interval_s=interval
    )


def _clock(extra: MessageExtra, word: HostWord | None) -> float | None:
    if extra.sent_at is not None:
        return extra.sent_at
    return None if word is None else word.last_seen


def learned_interval(interval_s: float, gaps: Sequence[float]) -> float:
    """The interval of a node that states none: the longest of its last gaps if they agree."""
    last = gaps[-_LEARNED_GAPS:]
    if len(last) < _LEARNED_GAPS or min(last) < _LEAST_GAP_S or max(last) > 2 * min(last):
        return interval_s
    return min(_MOST_GAP_S, max(last))


def _kept_interval(before: HostRow | None, extra: MessageExtra) -> float:
    same = before is not None and before.instance == extra.instance
    return before.interval_s if before is not None and same else INTERVAL_S


def _retired(before: HostRow | None, instance: str | None) -> tuple[str, ...]:
    """The runs that this host had before, the last ones."""
    if before is None:
        return ()
    old = (before.instance,) if before.instance not in (None, instance) else ()
    return tuple(one for one in (*before.retired, *old) if one is not None)[-MAX_RETIRED:]


def skew_s(row: HostRow) -> float | None:
    """How far the node's clock is ahead of the gateway's, the message's way included."""
    return None if row.node_clock is None else round(row.node_clock - row.last_seen, 3)


def skew_problems(ahead_s: float | None) -> list[str]:
    """A sentence about a clock that is far from the gateway's."""
    if ahead_s is None or abs(ahead_s) <= SKEW_S:
        return []
    word = "ahead of" if ahead_s > 0 else "behind"
    return [f"its clock is {abs(ahead_s):,.0f} s {word} the gateway's"]
