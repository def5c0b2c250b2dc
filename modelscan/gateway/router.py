"""``modelscan.Router``: a program's requests go where the routing file says, without a gateway.

answer = modelscan.Router().chat("coder", "Write a haiku about memory.")
print(answer.content)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelscan.core.errors import RemoteError, UsageError
from modelscan.core.nearest import nearest
from modelscan.gateway.control.probe import ProbeResult, is_probed, probe
from modelscan.gateway.sources import recorded, recorded_deployments, resolved_secrets
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import transport_for
from modelscan.routing.choose import UP, Live, choose
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.file import check
from modelscan.routing.policy import apply_to
from modelscan.routing.table import Backend, Candidate, RouteEntry, RouteTable, Tier
from modelscan.routing.world import World

if TYPE_CHECKING:
    from modelscan.state.config import Config

Messages = str | Sequence[Mapping[str, Any]]
State = Literal["known", "deployed", "routable"]
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


@dataclass(frozen=True, slots=True)
class RouterModel:
    """A backend of the routing file. ``state``: known (in the file, not used), deployed (it does
    not answer) or routable (it answers; of a hosted provider: it is configured).
    """

    name: str
    model: str | None
    where: Tier | None
    state: State
    reason: str | None


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
        that do not answer their health check get no request. Raises UsageError for an unknown
        name, RemoteError where no backend answers or one refuses the request.
        """
        table = self._table()
        entry = _entry(table, name)
        body = {**options, "messages": _messages(messages)}
        tried: list[str] = []
        for route, candidate in self._candidates(table, entry, tried):
            backend = table.backends[candidate.backend]
            try:
                answer = _post(backend, _body(backend, candidate, body), self.timeout_s)
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

    def models(self) -> tuple[RouterModel, ...]:
        """Every entry of the file with what is known of it: health checks run in parallel."""
        file = check(self._file())
        table = self._table()
        backends = {one.name: one for one in table.backends}
        with ThreadPoolExecutor(8) as pool:
            faults = dict(zip(backends, pool.map(_fault, backends.values()), strict=True))
        return tuple(
            _model(route.name, route.model, backends.get(route.name), faults.get(route.name))
            for route in file.routes
        )

    def _candidates(
        self, table: RouteTable, entry: RouteEntry, tried: list[str]
    ) -> Iterator[tuple[RouteEntry, Candidate]]:
        """The live candidates of a route, then those of its fallbacks, each route once."""
        names = [entry.name]
        for name in names:  # grows
            route = table.routes.get(name)
            if route is None:
                continue
            names += [one for one in route.fallbacks if one not in names]
            turn = self._turns[name] = self._turns.get(name, -1) + 1
            states = [UP] * len(table.backends)
            live = Live([0] * len(table.backends), states, turn)
            for at in choose(route, table.backends, live):
                backend = table.backends[route.candidates[at].backend]
                fault = _fault(backend)
                if fault is None:
                    yield route, route.candidates[at]
                else:
                    tried.append(f"{backend.name}: {fault}")

    def _table(self) -> RouteTable:
        file = check(self._file())
        if file.errors:
            first = file.errors[0]
            line = "" if first.line is None else f"line {first.line}: "
            raise UsageError(
                f"{self._file()}: {line}{first.message}",
                hint=first.hint or "modelscan route validate",
                code="routing_file",
            )
        deployments = recorded_deployments(self._settings())
        offline = self._settings().offline
        observations = {
            one.name: recorded(one, deployments, offline=offline) for one in file.routes
        }
        return compile_table(file, World(observations, secrets=resolved_secrets(file)[0]))

    def _settings(self) -> Config:
        if self.config is None:
            from modelscan.state.config import load

            self.config = load({}, os.environ)
        return self.config

    def _file(self) -> Path:
        return Path(self.path) if self.path is not None else self._settings().routing_file


def _entry(table: RouteTable, name: str | None) -> RouteEntry:
    name = name or table.default
    if name is None:
        raise UsageError("the routing file has no default_provider", hint="modelscan route list")
    entry = table.routes.get(name)
    if entry is None:
        near = nearest(name, table.routes, limit=3)
        raise UsageError(
            f"no route, model, alias or role is named '{name}'",
            hint=f"did you mean {near[0]}?" if near else "modelscan route list",
            code="unknown_route",
            details={"nearest": near},
        )
    return entry


def _messages(messages: Messages) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [dict(message) for message in messages]


def _body(backend: Backend, candidate: Candidate, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the candidate's policy and the model's name at its server."""
    changed = dict(body)
    if candidate.policy is not None:
        changed = apply_to(candidate.policy, changed, "chat")
    return {**changed, "model": backend.served_model or backend.model or ""}


def _fault(backend: Backend) -> str | None:
    """Why a backend gets no request; a hosted one is not probed."""
    if not is_probed(backend):
        return None
    result: ProbeResult = probe(backend, identify=False)
    return result.fault


def _post(backend: Backend, body: Mapping[str, Any], timeout_s: float) -> Any:
    headers, data = json_body(body)
    if backend.authorization is not None:
        headers[backend.authorization[0]] = backend.authorization[1]
    host = f"[{backend.host}]" if ":" in backend.host else backend.host
    url = f"{backend.scheme}://{host}:{backend.port}{backend.path}/v1/chat/completions"
    settings = HttpSettings(timeout_s=timeout_s, pauses_s=())
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


def _model(name: str, model: str | None, backend: Backend | None, fault: str | None) -> RouterModel:
    if backend is None:
        return RouterModel(name, model, None, "known", "it is disabled, or its deployment ended")
    return RouterModel(name, model, backend.tier, "deployed" if fault else "routable", fault)
