"""What ROUTE means: the server that answers, the name it is sent, its key and what is known of it.

ROUTE is a name in the routing file, a deployment, a role, or ``URL#model``. The requests go to the
chosen backend itself, with the changes to the body that the route makes.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelscan.core.errors import OfflineError, RemoteError, UsageError
from modelscan.core.nearest import nearest
from modelscan.core.route import Route
from modelscan.core.tls import TlsFiles
from modelscan.engines.registry import ENGINES
from modelscan.net.address import checked, in_own_network, stays_here
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.explain import RouteExplained, explain
from modelscan.routing.facts import engine_of, known_entries
from modelscan.routing.keys import read_key
from modelscan.routing.lookup import find_route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.table import BodyPolicy, Tier
from modelscan.routing.world import World
from modelscan.state.secrets import resolve as secret_of
from modelscan.supervisor.health import Address
from modelscan.supervisor.recognise import Answers, recognise

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.engines.engine import Engine
    from modelscan.state.config import Config

_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class BenchPlace:
    """One server. ``root``: its URL without /v1; ``key``: the secret, only in memory.

    ``service``: the entry of the routing file, ``policy``: what it changes in a body.
    """

    asked: str
    root: str
    model: str
    key: str | None = None
    service: str | None = None
    provider: str | None = None
    model_id: str | None = None
    context_tokens: int | None = None
    engine_name: str | None = None
    engine_version: str | None = None
    policy: BodyPolicy | None = None
    deployment: Deployment | None = None
    socket_path: str | None = None  # of a server on a unix socket
    tls: TlsFiles | None = None  # of https to a server with certificates of one's own
    tier: Tier | None = None

    @property
    def url(self) -> str:
        """Where the requests go."""
        return self.root + _PATH

    @property
    def engine(self) -> Engine | None:
        """The engine, where it is one that modelscan knows."""
        return ENGINES.get(self.engine_name or "")

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine."""
        return self.socket_path is not None or stays_here(self.root)

    @property
    def address(self) -> Address:
        """The server for questions that cost no tokens."""
        address = address_of(self.root, self.key)
        return replace(address, unix_socket=self.socket_path, tls=self.tls)


def find_place(
    route: str, api_key: str | None, config: Config, command: str = "bench run"
) -> BenchPlace:
    """The server of ROUTE; hints name ``command``.

    Raises UsageError for an unknown name, AuthError for a missing key, RemoteError where nothing
    can answer, OfflineError where ``--offline`` forbids it.
    """
    place = (
        _by_url(route, api_key, command)
        if "://" in route
        else _by_name(route, api_key, config, command)
    )
    if config.offline and not place.is_here:
        raise OfflineError(
            f"{urlsplit(place.root).hostname} is not this machine, and --offline is set",
            hint=f"modelscan {command} {shlex.quote(route)}",
        )
    return _identified(place)


def address_of(root: str, key: str | None) -> Address:
    """A server's root URL as an address."""
    parts = urlsplit(root)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(parts.hostname or "", port, key, parts.scheme, parts.path.rstrip("/"))


def _by_url(text: str, api_key: str | None, command: str) -> BenchPlace:
    url, _, model = text.partition("#")
    root = checked(url).rstrip("/").removesuffix(_PATH).removesuffix("/v1")
    key = None if api_key is None else secret_of(api_key)
    if not model:
        model = _only_model(root, key, command)
    provider = "openai" if not in_own_network(urlsplit(root).hostname or "") else None
    return BenchPlace(text, root, model, key, provider=provider, model_id=model)


def _only_model(root: str, key: str | None, command: str) -> str:
    """The model of a server of one. Raises UsageError with its models otherwise."""
    rows = Answers(address_of(root, key)).models
    names = [str(row["id"]) for row in rows or ()]
    if len(names) != 1:
        listed = f"{len(names)} models: {', '.join(names[:5])}" if names else "no list of models"
        example = names[0] if names else "MODEL"
        raise UsageError(
            f"{root} has {listed}", hint=f"modelscan {command} {shlex.quote(f'{root}#{example}')}"
        )
    return names[0]


def _by_name(name: str, api_key: str | None, config: Config, command: str) -> BenchPlace:
    from modelscan.deploy.deployments import Deployments
    from modelscan.deploy.route_world import route_world
    from modelscan.routing.file import load

    if api_key is not None:
        raise UsageError(
            "--api-key is for a URL: an entry of the routing file has its own key",
            hint=f"modelscan route edit {name} --set api_key={api_key}",
        )
    deployments = Deployments(config).list()
    file = load(config.routing_file)
    world = route_world(file, config, deployments)
    table = compile_table(file, world)
    if find_route(table.routes, name) is None:
        return _unrouted(name, deployments, sorted(table.routes), command)
    explained = explain(file, world, name)
    if explained.chosen is None or explained.url is None:
        raise _no_backend(name, explained, file)
    route = file.route(explained.chosen)
    assert route is not None
    return _entry_place(name, route, explained, file, world, deployments)


def _no_backend(name: str, explained: RouteExplained, file: RoutingFile) -> RemoteError:
    """Why no backend of a name can answer, and the command that starts one."""
    reasons = [one.refused_by for one in explained.candidates if one.refused_by]
    ended = [
        route.deployment
        for route in map(file.route, [one.name for one in explained.candidates])
        if route is not None and route.deployment is not None
    ]
    return RemoteError(
        f"nothing can answer '{name}': {'; '.join(reasons[:3]) or explained.steps[-1].text}",
        hint=f"modelscan start {ended[0]}" if ended else f"modelscan route explain {name}",
        code="no_backend",
    )


def _entry_place(
    name: str, route: Route, explained: RouteExplained, file: RoutingFile, world: World,
    deployments: Sequence[Deployment],
) -> BenchPlace:  # fmt: skip
    """The place of an entry that was chosen for a name."""
    table = compile_table(file, world)
    found = find_route(table.routes, explained.route or name) or find_route(table.routes, name)
    backends = [backend.name for backend in table.backends]
    at = backends.index(route.name)
    candidates = found.entry.candidates if found else ()
    policy = next((one.policy for one in candidates if one.backend == at), None)
    known = next(
        one for one in known_entries(file.routes, file.providers, world) if one.place == at
    )
    key = read_key(route)
    sent = str((explained.body or {}).get("model") or route.sent_model)
    deployment = next((one for one in deployments if one.name == route.deployment), None)
    return BenchPlace(
        asked=name,
        root=route.base_url.rstrip("/") or "http://localhost",
        socket_path=route.unix_socket,
        tls=table.backends[at].tls,
        model=sent,
        key=None if key is None else key[1],
        service=route.name,
        provider=route.type,
        model_id=route.model or sent,
        context_tokens=table.backends[at].context_tokens,
        engine_name=engine_of(known),
        policy=policy,
        deployment=deployment,
        tier=route.tier,
    )


def _unrouted(
    name: str, deployments: Sequence[Deployment], names: Sequence[str], command: str
) -> BenchPlace:
    """A deployment without a route. Raises UsageError with the nearest names if there is none."""
    one = next((one for one in deployments if one.name == name), None)
    if one is None:
        near = nearest(name, [*names, *(each.name for each in deployments)])
        raise UsageError(
            f"no entry, deployment or role is named '{name}'",
            hint=f"modelscan {command} {near[0]}" if near else "modelscan route models",
            code="unknown_route",
            details={"nearest": near},
        )
    if one.endpoint is None or one.state.value != "running":
        raise RemoteError(
            f"{name} is {one.state.value}", hint=f"modelscan start {name}", code="not_running"
        )
    return BenchPlace(
        asked=name,
        root=one.endpoint.rstrip("/"),
        model=one.served_model or one.model,
        key=None if one.api_key is None else secret_of(one.api_key),
        provider="local" if one.target == "local" else one.target,
        model_id=one.model,
        context_tokens=one.context_tokens,
        engine_name=one.backend,
        deployment=one,
    )


def _identified(place: BenchPlace) -> BenchPlace:
    """With the engine that answers and its version; hosted providers are not asked."""
    if not place.is_here and not in_own_network(urlsplit(place.root).hostname or ""):
        return place
    server = recognise(place.address)
    if server is None:
        return place
    contexts = {one.name: one.context_tokens for one in server.models}
    return replace(
        place,
        engine_name=place.engine_name or server.engine,
        engine_version=server.version,
        context_tokens=place.context_tokens or contexts.get(place.model),
    )
