"""``/v1/nodes`` and ``/v1/cluster``: what nodes send, and what is known of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from modelscan.core.errors import ModelscanError
from modelscan.core.node import Departure, Heartbeat, RegisteredService, Registration, read_message
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.failover import Health
from modelscan.gateway.control.gateway import LARGE_FILE, Gateway
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.nodes.host import NodeHost
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.gateway.control.nodes.rules import NodeCaller, NodeRefused
from modelscan.gateway.control.nodes.views import (
    ServiceFacts,
    cluster_health,
    host_view,
    service_view,
)
from modelscan.gateway.control.problems import HttpProblem
from modelscan.net.reach import is_own
from modelscan.routing.facts import why_unusable

CLIENT_HEADER = "x-modelscan-client"
MAX_REGISTRATION, MAX_HEARTBEAT = 1024 * 1024, 256 * 1024
_COUNTED_S, _MANY, _AT_ONCE, _MOST_ROWS = 1.0, 200, 200, 10_000_000
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
T = TypeVar("T")
R = TypeVar("R")


class NodesApi:
    """The handlers; ``key_of``: the name of the key that a request was sent with."""

    def __init__(
        self, gateway: Gateway, nodes: NodeRegistry, key_of: Callable[[Request], str | None],
        report: Report,
    ) -> None:  # fmt: skip
        self._gateway = gateway
        self._nodes = nodes
        self._key_of = key_of
        self._report = report
        self._counts, self._count_at = b"", 0.0

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``scopes.PATHS``."""
        return {
            "/v1/nodes/register": self._register,
            "/v1/nodes/heartbeat": self._heartbeat,
            "/v1/nodes/leave": self._leave,
            "/v1/cluster/hosts": self._hosts,
            "/v1/cluster/services": self._services,
            "/v1/cluster/health": self._health,
        }

    async def _register(self, request: Request) -> Response:
        message = await _read(request, Registration, MAX_REGISTRATION)
        before = self._nodes.hosts.get(message.host_id)
        caller = self._caller(request)
        host = await self._taken(request, message.host_id, self._nodes.register(message, caller))
        if before is None or before.state in ("stale", "left"):
            count = len(host.services)
            self._event(
                host.name,
                "registered",
                f"node {host.name} registered with {count} service{'s' * (count != 1)}",
            )
            if len(self._gateway.file.routes) < LARGE_FILE:  # else soon, together with others
                self._gateway.compile()
        return self._answer(host)

    async def _heartbeat(self, request: Request) -> Response:
        message = await _read(request, Heartbeat, MAX_HEARTBEAT)
        caller = self._caller(request)
        host = await self._taken(request, message.host_id, self._nodes.heartbeat(message, caller))
        return self._answer(host)

    async def _leave(self, request: Request) -> Response:
        message = await _read(request, Departure, MAX_HEARTBEAT)
        caller = self._caller(request)
        host = await self._taken(request, message.host_id, self._nodes.leave(message, caller))
        self._event(host.name, "left", f"node {host.name} left")
        return self._answer(host)

    async def _taken(self, request: Request, host_id: str, done: Awaitable[NodeHost]) -> NodeHost:
        """The host after a message; a refusal is answered, and recorded where it is suspicious."""
        try:
            return await done
        except NodeRefused as refused:
            if refused.audited:
                who = f"the key {self._key_of(request)}" if self._key_of(request) else "a node"
                text = f"{who} at {self._caller(request).address} was refused: {refused.detail}"
                self._event(host_id, "refused", text, code=refused.code)
                await self._nodes.note_refusal(host_id, refused.code, self._caller(request))
            unknown = {"error": "unknown_host", "host_id": host_id}  # as GenieHive answers
            raise HttpProblem(
                refused.status, refused.code, refused.detail, retry_s=refused.retry_s,
                members=unknown if refused.code == "host_unknown" else None,
            ) from None  # fmt: skip
        except ModelscanError as error:
            raise HttpProblem(503, "database", error.message, retry_s=1) from None

    def _caller(self, request: Request) -> NodeCaller:
        """A forwarded request may come from anywhere, although a proxy here sent it."""
        address = request.headers.get(CLIENT_HEADER, "")
        direct = not any(name in request.headers for name in _FORWARDED)
        local = direct and (not address or is_own(address))
        return NodeCaller(self._key_of(request), address or "this machine", local)

    def _answer(self, host: NodeHost) -> Response:
        view = host_view(host, self._nodes.silent_s(host))
        body = msgspec.json.encode({"status": "ok", "host": view})
        return Response(body, media_type="application/json")

    # What is known

    async def _hosts(self, request: Request) -> Response:
        hosts = self._present(request)
        page = _page(request, hosts, len(hosts))
        return _listing([host_view(one, self._nodes.silent_s(one)) for one in page], len(hosts))

    async def _services(self, request: Request) -> Response:
        hosts = self._present(request)
        pairs = ((host, one) for host in hosts for one in host.services.values())
        total = sum(len(host.services) for host in hosts)
        page = _page(request, pairs, total)
        rows: list[dict[str, Any]] = []
        for host, one in page:
            rows.append(service_view(host, one, service_facts(self._gateway, host, one)))
            if len(rows) % _AT_ONCE == 0:  # thousands take a while: others are answered meanwhile
                await asyncio.sleep(0)
        return _listing(rows, total)

    async def _health(self, _: Request) -> Response:
        now = time.monotonic()
        if now >= self._count_at:
            hosts = list(self._nodes.hosts.values())
            present = [host for host in hosts if host.state != "left"]
            facts = [
                service_facts(self._gateway, host, one)
                for host in present
                for one in host.services.values()
            ]
            self._counts = msgspec.json.encode(cluster_health(hosts, facts))
            # Counting ten thousand services takes a while: not more than once a second.
            self._count_at = now + (_COUNTED_S if len(facts) > _MANY else 0.0)
        return Response(self._counts, media_type="application/json")

    def _present(self, request: Request) -> list[NodeHost]:
        """Hosts that have not left, by their ids; ``?host=``: only that one."""
        wanted = request.query_params.get("host")
        names = sorted(self._nodes.hosts) if wanted is None else [wanted]
        hosts = [self._nodes.hosts[name] for name in names if name in self._nodes.hosts]
        return [host for host in hosts if host.state != "left"]

    def _event(self, node: str, what: str, text: str, **values: Any) -> None:
        self._report(ServeEvent("node", text, {"node": node, "what": what, **values}))


def service_facts(gateway: Gateway, host: NodeHost, service: RegisteredService) -> ServiceFacts:
    """What the gateway knows of a node's service."""
    name = service.service_id
    health = gateway.health.get(name, Health())
    known = gateway.known.get(name)
    refused = "it is not in the routing table" if known is None else why_unusable(known)
    return ServiceFacts(
        reported_health=service.state.health,
        probed_health=health.state.value,
        probe_reason=health.reason,
        routable=refused is None and host.state == "ready",
        refused=refused,
        names=host.names_of(service.service_id),
        host_state=host.state,
    )


def _page(request: Request, rows: Iterable[R], total: int) -> list[R]:
    """The rows from ``?offset=`` on, at most ``?limit=``; without them all, as in GenieHive."""
    try:
        offset = int(request.query_params.get("offset", 0))
        limit = int(request.query_params.get("limit", total))
    except ValueError:
        raise HttpProblem(422, "invalid_query", "limit and offset are whole numbers") from None
    if min(offset, limit) < 0 or max(offset, limit) > _MOST_ROWS:
        raise HttpProblem(422, "invalid_query", f"limit and offset are 0 to {_MOST_ROWS:,}")
    return list(itertools.islice(rows, offset, offset + limit))


def _listing(rows: list[dict[str, Any]], total: int) -> Response:
    body = msgspec.json.encode({"object": "list", "total": total, "data": rows})
    return Response(body, media_type="application/json")


async def _read(request: Request, kind: type[T], most: int) -> T:
    """The message of a request; a problem that names the place where it is wrong."""
    body = await request.body()
    if len(body) > most:
        raise HttpProblem(413, "too_large", f"the body has {len(body)} bytes; the most is {most}")
    try:
        return read_message(kind, body)
    except msgspec.ValidationError as error:
        raise HttpProblem(422, "invalid_message", str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HttpProblem(400, "malformed_request", f"the body is not JSON: {error}") from None
