"""``modelscan node join`` and ``serve --node``: this machine's gateway, with the node's agent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.routing import BaseRoute

from modelscan.core.errors import UsageError
from modelscan.core.tls import TlsFiles
from modelscan.gateway.control.app import Mount
from modelscan.gateway.control.events import Report
from modelscan.gateway.control.listening import ServeOptions
from modelscan.gateway.control.serving import serve
from modelscan.gateway.node.agent import NodeAgent, NodeOptions
from modelscan.gateway.node.control_plane import ControlPlane, Delivery, check_url
from modelscan.gateway.node.record import (
    Membership,
    NodeRecord,
    change_record,
    is_running,
    joining,
    left,
    load_status,
    look_at_record,
)
from modelscan.gateway.node.wire import leaving
from modelscan.net.address import is_loopback
from modelscan.net.runner import utc_now
from modelscan.state.config import Config
from modelscan.state.secrets import check_reference
from modelscan.state.server.database import open_server
from modelscan.state.server.keys import KeyLimits, KeyStore

_AGENT_S = 15.0  # its last message may wait for one that is on its way


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """What a user states. ``advertise``: HOST or HOST:PORT that the control plane connects to."""

    url: str
    key: str | None = None
    name: str | None = None
    advertise: str | None = None
    labels: Sequence[str] = ()
    folders: Sequence[Path] = ()
    ports: Sequence[int] = ()
    files: TlsFiles = field(default_factory=TlsFiles)
    only_node: bool = True  # leaving ends the gateway, and a refused first message is an error


def tls_files(ca: Path | None, cert: Path | None, key: Path | None) -> TlsFiles:
    """The files with absolute paths: a record outlives the working folder."""
    texts = [None if one is None else str(one.absolute()) for one in (ca, cert, key)]
    return TlsFiles(*texts)


def join(
    config: Config,
    options: JoinOptions,
    listen: ServeOptions,
    report: Report,
    *,
    extra: Sequence[BaseRoute] = (),
    mounts: Sequence[Mount] = (),
) -> None:
    """Join the control plane and serve until SIGTERM, SIGINT or ``modelscan node leave``.

    ``extra``: further routes of the control application; ``mounts``: as for ``serve``.
    Raises what ``serve`` raises; UsageError for an address or label that cannot be used; AuthError
    where the control plane refuses this node.
    """
    membership = Membership(
        check_url(options.url), _checked_key(options.key), options.files, utc_now()
    )
    host, port = _advertised(options, membership, listen)
    labels = parse_labels(options.labels)
    state = config.paths.state
    _check_alone(state)
    record = change_record(state, lambda kept: joining(kept, membership, options.name))
    with _endpoint_key(config, listen, f"cluster-{record.host_id}"[:63]) as key:
        node = NodeOptions(
            membership=membership,
            host=host,
            port=port,
            name=options.name,
            labels=labels,
            folders=tuple(folder.absolute() for folder in options.folders),
            ports=tuple(options.ports),
            endpoint_key=key,
            strict=options.only_node,
        )
        agent = NodeAgent(node, report, _end if options.only_node else _go_on)
        serve(config, listen, report, extra=extra, mounts=mounts, companion=agent)


def _check_alone(state: Path) -> None:
    """Raise UsageError where an agent of this machine runs: a second one would take its key."""
    status = load_status(state)
    if status is None or status.state == "left" or not is_running(status):
        return
    raise UsageError(
        f"this machine is a node already: process {status.pid}",
        hint="modelscan node leave",
        code="already_joined",
    )


def _end() -> None:
    """End this process as a SIGTERM would: requests that run are answered."""
    os.kill(os.getpid(), signal.SIGTERM)


def _go_on() -> None:
    """The gateway serves on without being a node."""


def leave(config: Config) -> tuple[NodeRecord, Delivery]:
    """Take this machine out of its cluster; returns the record before, and what became of the
    message to the control plane: without an answer it notices within two beats.

    A running agent sees it within a second, sends the message and ends: it has the key. Without
    one, this sends it. Raises UsageError where this machine is in no cluster.
    """
    record = look_at_record(config.paths.state)
    if record is None or record.membership is None:
        raise UsageError(
            "this machine is in no cluster", hint="modelscan node join URL --key env:NAME",
            code="not_joined",
        )  # fmt: skip
    agent = load_status(config.paths.state)
    change_record(config.paths.state, left)
    if agent is not None and agent.state != "left" and is_running(agent):
        delivery = _left_by_agent(config)
        if delivery is not None:
            return record, delivery
    plane = ControlPlane(record.membership, config, min(5.0, config.http_timeout_s))
    return record, plane.leave(leaving(record.host_id))


def _left_by_agent(config: Config) -> Delivery | None:
    """What became of the agent's last message; None: it does not react."""
    end = time.monotonic() + _AGENT_S
    while time.monotonic() < end:
        status = load_status(config.paths.state)
        if status is not None and status.state == "left":
            problem = status.problem
            return Delivery("accepted" if problem is None else "unreachable", problem)
        time.sleep(0.1)
    return None


def _checked_key(reference: str | None) -> str | None:
    return None if reference is None else check_reference(reference)


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """``name=value`` texts as labels. Raises UsageError for another form."""
    labels = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or len(text) > 200:
            raise UsageError(f"'{text}' is no label", hint="--label zone=lab --label owner=team-a")
        labels[name.strip()] = value.strip()
    return labels


def _advertised(
    options: JoinOptions, membership: Membership, listen: ServeOptions
) -> tuple[str, int | None]:
    """The host, and the port if it is another one than the gateway's.

    Raises UsageError where the control plane could not connect to what would be advertised.
    """
    plane = urlsplit(membership.url).hostname or ""
    host, port = _split(options.advertise) if options.advertise else (_host_towards(plane), None)
    if not is_loopback(host) and listen.loopback and port is None:
        raise UsageError(
            f"the control plane connects to {host}, but this node's gateway would listen on "
            "this machine only",
            hint=f"modelscan node join {membership.url} --expose"
            + (f" --key {membership.key}" if membership.key else ""),
            code="not_exposed",
        )
    return host, port


def _split(text: str) -> tuple[str, int | None]:
    parts = urlsplit(text if "://" in text else f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path not in ("", "/") or " " in text:
        raise UsageError(
            f"'{text}' is no address that others can connect to",
            hint="--advertise gpu1.lan, or --advertise 192.168.1.20:8900",
        )
    return host, port


def _host_towards(plane: str) -> str:
    """This machine's address on the way to the control plane; no packet is sent."""
    if is_loopback(plane):
        return "127.0.0.1"
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((plane, 9))
            return str(probe.getsockname()[0])
    return socket.gethostname()


@contextlib.contextmanager
def _endpoint_key(config: Config, listen: ServeOptions, name: str) -> Iterator[str | None]:
    """A key for the control plane's requests to this node, as long as it serves; None: its gateway
    needs none, because only this machine's programs reach it.
    """
    token = _new_key(config, listen, name)
    if token is None:
        yield None
        return
    try:
        yield token
    finally:
        with open_server(config) as database, contextlib.suppress(UsageError):
            KeyStore(database).revoke(name)


def _new_key(config: Config, listen: ServeOptions, name: str) -> str | None:
    with open_server(config) as database:
        keys = KeyStore(database)
        names = {one.name for one in keys.list()}
        if name in names:  # of a run that was killed
            keys.revoke(name)
        if listen.loopback and not names - {name}:
            return None
        return keys.create(name, KeyLimits(scopes=("infer",)))[1]
