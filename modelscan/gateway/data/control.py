"""Requests that are not inference go to the control application over a unix socket."""

from __future__ import annotations

from modelscan.gateway.data.attempts import Attempt
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.outgoing import UploadOutgoing
from modelscan.gateway.data.parts import Services
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.request import CHUNKED, ClientRequest
from modelscan.gateway.data.state import LiveKey, LiveRoute
from modelscan.routing.table import Backend, RouteCandidate, RouteEntry

CONTROL = "control application"


def control_backend(unix_socket: str) -> Backend:
    """The control application as a backend."""
    return Backend(CONTROL, "http", "localhost", 80, unix_socket=unix_socket)


def control_entry() -> RouteEntry:
    """The control application as a route."""
    return RouteEntry(CONTROL, "provider", None, "priority", (RouteCandidate(0),))


def control_plan(worker: Services, key: LiveKey | None) -> RoutePlan:
    """A plan to the control application. Raises RefusedError if there is none."""
    if worker.control is None:
        raise RefusedError(Cause.NO_PATH, "there is no such path")
    plan = RoutePlan(worker.state, key, "other")
    plan.route = worker.control
    plan.recorded = False
    return plan


class ControlOutgoing(UploadOutgoing):
    """The client's request unchanged, with the name and the scopes of its key."""

    __slots__ = ("_identity", "_sized")

    def __init__(self, request: ClientRequest, identity: bytes) -> None:
        self.upload = request.upload
        self.chunked = request.length == CHUNKED
        self._identity = identity
        self._sized = request.length > 0 or request.method in (b"POST", b"PUT", b"PATCH")

    def for_attempt(
        self, request: ClientRequest, plan: RoutePlan, attempt: Attempt
    ) -> tuple[bytes, bytes]:
        framing = b""
        if self.chunked:
            framing = b"transfer-encoding: chunked\r\n"
        elif self._sized:
            framing = b"content-length: %d\r\n" % request.length
        method = b"GET" if request.method == b"HEAD" else request.method
        host = request.facts.known.get(b"host", b"localhost")
        # An engine's answer is read, so it is not compressed; a page or file may be.
        accepted = request.facts.known.get(b"accept-encoding", b"identity")
        return b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: %b\r\n%b%b%b%b\r\n" % (
            method, request.target, host, accepted, request.facts.forward, self._identity,
            request.id_line, framing,
        ), b""  # fmt: skip


def control_outgoing(request: ClientRequest, key: LiveKey | None, address: str) -> ControlOutgoing:
    """``X-Modelscan-Key`` and ``-Scopes`` say who sends it; clients' own ones are dropped.
    Without a key of the database the Authorization header is passed on, as ``-Authorization``."""
    identity = b"x-modelscan-client: %b\r\n" % address.encode()
    sent = request.facts.known.get(b"authorization")
    if key is None and sent is not None:  # the pages' key, which only the control application knows
        identity += b"x-modelscan-authorization: %b\r\n" % sent
    if key is not None:
        name = key.key.name.encode("ascii", "backslashreplace")
        identity += b"x-modelscan-key: %b\r\nx-modelscan-scopes: %b\r\n" % (name, key.scopes)
    return ControlOutgoing(request, identity)


def control_route(worker: Services, unix_socket: str) -> LiveRoute:
    """The control application, ready for use."""
    return LiveRoute(
        control_entry(), [worker.live_backend(control_backend(unix_socket))], worker.counters
    )
