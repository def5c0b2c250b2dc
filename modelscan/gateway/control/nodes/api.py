"""``/v1/nodes`` and ``/v1/cluster``: what nodes send, and what is known of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.core.node import Departure, Heartbeat, RegisteredService, Registration, read_message
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.failover import Health
from modelscan.gateway.control.gateway import Gateway
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
from modelscan.net.address import is_loopback
from modelscan.routing.facts import why_unusable

CLIENT_HEADER = "x-modelscan-client"
MAX_REGISTRATION, MAX_HEARTBEAT = 1024 * 1024, 256 * 1024
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


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
        host = await self._taken(
            request, message.host_id, self._nodes.register(message, self._caller(request))
        )
        if before is None or before.state in ("stale", "left"):
            count = len(host.services)
            self._event(
                host.name, "registered", f"node {host.name} registered with {count} services"
            )
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
            raise HttpProblem(
                refused.status, refused.code, refused.detail, retry_s=refused.retry_s
            ) from None
        except ModelscanError as error:
            raise HttpProblem(503, "database", error.message, retry_s=1) from None

    def _caller(self, request: Request) -> NodeCaller:
        """A forwarded request may come from anywhere, although a proxy here sent it."""
        address = request.headers.get(CLIENT_HEADER, "")
        direct = not any(name in request.headers for name in _FORWARDED)
        local = direct and (not address or is_loopback(address))
        return NodeCaller(self._key_of(request), address or "this machine", local)

    def _answer(self, host: NodeHost) -> Response:
        view = host_view(host, self._nodes.silent_s(host))
        return JSONResponse({"status": "ok", "host": to_json(view)})

    # What is known

    async def _hosts(self, _: Request) -> Response:
        rows = [host_view(one, self._nodes.silent_s(one)) for one in self._present()]
        return JSONResponse({"object": "list", "data": to_json(rows)})

    async def _services(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": to_json(list(self.views()))})

    async def _health(self, _: Request) -> Response:
        hosts = list(self._nodes.hosts.values())
        return JSONResponse(to_json(cluster_health(hosts, list(self.views()))))

    def _present(self) -> list[NodeHost]:
        """Hosts that have not left, by their ids."""
        hosts = sorted(self._nodes.hosts.values(), key=lambda one: one.name)
        return [host for host in hosts if host.state != "left"]

    def views(self) -> Iterator[dict[str, Any]]:
        """Every service of the hosts that have not left."""
        for host in self._present():
            for service in host.services.values():
                yield service_view(host, service, self._facts(host, service))

    def _facts(self, host: NodeHost, service: RegisteredService) -> ServiceFacts:
        gateway = self._gateway
        names = [one.route.name for one in host.entries if one.service_id == service.service_id]
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
            names=tuple(names),
            host_state=host.state,
        )

    def _event(self, node: str, what: str, text: str, **values: Any) -> None:
        self._report(ServeEvent("node", text, {"node": node, "what": what, **values}))


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
