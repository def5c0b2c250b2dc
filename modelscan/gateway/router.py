"""``modelscan.Router``: a program's requests go where the routing file says, without a gateway.

answer = modelscan.Router().chat("coder", "Write a haiku about memory.")
print(answer.content)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.nearest import nearest
from modelscan.gateway.control.probe import BackendProbe, is_probed, probe
from modelscan.gateway.route_health import EntryHealth, route_health
from modelscan.gateway.sources import routing_world
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import transport_for
from modelscan.routing.automatic import decide
from modelscan.routing.choose import ASLEEP, UP, Live, choose
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.file import check
from modelscan.routing.lookup import find_route
from modelscan.routing.policy import apply_to, raw_values
from modelscan.routing.table import Backend, RouteCandidate, RouteEntry, RouteTable, Tier

if TYPE_CHECKING:
    from modelscan.state.config import Config

Messages = str | Sequence[Mapping[str, Any]]
_ELSEWHERE = frozenset({408, 429, 500, 502, 503, 504})  # another backend may answer


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """An answer and where it came from. ``tried``: backends that failed before, with the reason."""

    content: str
    reasoning: str | None
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    route: str
    backend: str
    where: Tier
    served_model: str | None
    tried: tuple[str, ...]


@dataclass(slots=True)
class Router:
    """Sends requests by the routing file: names, roles and policies as in the gateway.

    ``path`` is the routing file (default: the configured one). The file is read for each request;
    keys are resolved from their references and are sent only to their own provider.
    """

    path: str | Path | None = None
    config: Config | None = None
    timeout_s: float = 600.0
    _turns: dict[str, int] = field(default_factory=dict)

    def chat(self, name: str | None, messages: Messages, **options: Any) -> RouterAnswer:
        """Send a conversation (or one question) to a route, model, alias or role.

        ``name`` None: the default route; ``options`` are fields of the request's body. Backends
        that do not answer their health check get no request. A deployment of this machine that is
        asleep is started, where its memory is free: only a gateway puts others to sleep for it.
        Raises UsageError for an unknown name, RemoteError where no backend answers or one refuses
        the request.
        """
        table, asleep = self._table()
        body = {**options, "messages": _messages(messages)}
        entry, model = _entry(table, name, body)
        tried: list[str] = []
        for route, candidate, backend in self._candidates(table, asleep, entry, tried):
            try:
                answer = _post(
                    backend,
                    _body(backend, candidate, body, model if route is entry else None),
                    self.timeout_s,
                )
            except HttpError as error:
                if error.status is not None and error.status not in _ELSEWHERE:
                    raise
                tried.append(f"{backend.name}: {error.message}")
                continue
            return _answer(answer, route, backend, tuple(tried))
        raise RemoteError(
            f"no backend of '{entry.name}' answered: " + ("; ".join(tried) or "it has none"),
            hint=f"modelscan route test {entry.name}",
            code="no_backend",
        )

    def models(self) -> tuple[EntryHealth, ...]:
        """Every entry of the file: known, deployable, deployed or routable, and where it is.

        Their servers are checked in parallel, without tokens.
        """
        return route_health(self._settings(), self._file()).entries

    def _candidates(
        self, table: RouteTable, asleep: frozenset[str], entry: RouteEntry, tried: list[str]
    ) -> Iterator[tuple[RouteEntry, RouteCandidate, Backend]]:
        """The live candidates of a route, then those of its fallbacks, each route once.

        ``asleep``: names of backends, which come last; each is started when it is its turn.
        """
        states = [ASLEEP if one.name in asleep else UP for one in table.backends]
        names = [entry.name]
        for name in names:  # grows
            route = entry if name == entry.name else table.routes.get(name)
            if route is None:
                continue
            names += [one for one in route.fallbacks if one not in names]
            turn = self._turns[name] = self._turns.get(name, -1) + 1
            live = Live([0] * len(table.backends), states, turn)
            for at in choose(route, table.backends, live):
                backend = table.backends[route.candidates[at].backend]
                try:
                    if backend.name in asleep:
                        backend = self._woken(backend)
                    fault = _fault(backend)
                except ModelscanError as error:
                    fault = error.message + (f" ({error.hint})" if error.hint else "")
                if fault is None:
                    yield route, route.candidates[at], backend
                else:
                    tried.append(f"{backend.name}: {fault}")

    def _woken(self, backend: Backend) -> Backend:
        """Start its deployment; the backend as it is then. Raises ModelscanError."""
        from modelscan.deploy.deployments import Deployments

        Deployments(self._settings()).wake(backend.deployment or backend.name)
        table, _ = self._table()
        return next((one for one in table.backends if one.name == backend.name), backend)

    def _table(self) -> tuple[RouteTable, frozenset[str]]:
        """The table, and the backends whose deployments are asleep."""
        file = check(self._file())
        if file.errors:
            first = file.errors[0]
            line = "" if first.line is None else f"line {first.line}: "
            raise UsageError(
                f"{self._file()}: {line}{first.message}",
                hint=first.hint or "modelscan route validate",
                code="routing_file",
            )
        world = routing_world(self._settings(), file)
        asleep = frozenset(name for name, one in world.observations.items() if one.asleep)
        return compile_table(file, world), asleep

    def _settings(self) -> Config:
        if self.config is None:
            from modelscan.state.config import load

            self.config = load({}, os.environ)
        return self.config

    def _file(self) -> Path:
        return Path(self.path) if self.path is not None else self._settings().routing_file


def _entry(
    table: RouteTable, name: str | None, body: Mapping[str, Any]
) -> tuple[RouteEntry, str | None]:
    """The route of a name, for the role auto the one that its rules choose; and the model of
    NAME/MODEL."""
    name = name or table.default
    if name is None:
        raise UsageError("the routing file has no default_provider", hint="modelscan route list")
    found = find_route(table.routes, name)
    if found is None:
        near = nearest(name, table.routes, limit=3)
        raise UsageError(
            f"no route, model, alias or role is named '{name}'",
            hint=f"did you mean {near[0]}?" if near else "modelscan route list",
            code="unknown_route",
            details={"nearest": near},
        )
    rule = decide(table.rules, raw_values(body)) if found.entry.automatic else None
    return (rule.entry, None) if rule is not None else found


def _messages(messages: Messages) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [dict(message) for message in messages]


def _body(
    backend: Backend, candidate: RouteCandidate, body: Mapping[str, Any], model: str | None
) -> dict[str, Any]:
    """The body with the candidate's policy and the model's name at its server."""
    changed = dict(body)
    if candidate.policy is not None:
        changed = apply_to(candidate.policy, changed, "chat")
    return {**changed, "model": model or candidate.served_model or backend.served_model or ""}


def _fault(backend: Backend) -> str | None:
    """Why a backend gets no request; a hosted one is not probed."""
    if not is_probed(backend):
        return None
    result: BackendProbe = probe(backend, identify=False)
    return result.fault


def _post(backend: Backend, body: Mapping[str, Any], timeout_s: float) -> Any:
    headers, data = json_body(body)
    if backend.authorization is not None:
        headers[backend.authorization[0]] = backend.authorization[1]
    host = f"[{backend.host}]" if ":" in backend.host else backend.host
    url = f"{backend.scheme}://{host}:{backend.port}{backend.path}/v1/chat/completions"
    settings = HttpSettings(timeout_s=timeout_s, pauses_s=()).with_files(backend.tls)
    with HttpClient(settings, transport_for(url, settings)) as client:
        return client.send("POST", url, headers=headers, body=data).json()


def _answer(body: Any, route: RouteEntry, backend: Backend, tried: tuple[str, ...]) -> RouterAnswer:
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        return RouterAnswer(
            content=message.get("content") or "",
            reasoning=message.get("reasoning_content") or message.get("reasoning"),
            finish_reason=choice.get("finish_reason"),
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            route=route.name,
            backend=backend.name,
            where=backend.tier,
            served_model=body.get("model"),
            tried=tried,
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RemoteError(
            f"{backend.name} answered with something other than a completion"
        ) from error
