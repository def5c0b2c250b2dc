"""Explains where a request would go and what would be sent, step by step. Pure: nothing changes.

The functions that the gateway uses decide; this module only writes down what they decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelscan.core.nearest import nearest
from modelscan.routing.automatic import decide
from modelscan.routing.built_in import role_named
from modelscan.routing.choose import ASLEEP, DOWN, UP, Live, choose
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.effective import switched, thinking_of
from modelscan.routing.facts import (
    Availability,
    Known,
    availability,
    context_window,
    known_entries,
)
from modelscan.routing.lookup import Found, find_route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.plano import with_plano
from modelscan.routing.policy import apply_to, plain_values, raw_values
from modelscan.routing.scoring import Signals
from modelscan.routing.select import NO_SELECTION, measured, role_signals
from modelscan.routing.table import (
    ContextSource,
    Operation,
    RouteCandidate,
    RouteEntry,
    RouteTable,
    Tier,
)
from modelscan.routing.tool_policy import applying, decided_by, guard, prepare
from modelscan.routing.world import World

_OFFERED = 3


def _health(entry: Known) -> int:
    if entry.seen.asleep:
        return ASLEEP
    return DOWN if entry.seen.healthy is False else UP


@dataclass(frozen=True, slots=True)
class ExplainStep:
    """One step of the decision: ``stage`` is name, automatic, gates, strategy, wake, fallback,
    tools, policy or traces (whether texts are kept)."""

    stage: str
    text: str


@dataclass(frozen=True, slots=True)
class CandidateSignals:
    """The signals of a score, 0..1 each; None: it does not apply."""

    text: float | None = None
    family: float | None = None
    guardrail: float | None = None
    runtime: float | None = None
    bench: float | None = None


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """A backend that was considered. ``order`` from 1: the order in which backends are tried;
    ``refused_by``: why it is not tried. ``where``: whose machine it is."""

    name: str
    model: str | None
    where: Tier
    state: Availability
    context_tokens: int | None
    context_source: ContextSource | None
    signals: CandidateSignals
    score: float | None
    order: int | None
    refused_by: str | None


@dataclass(frozen=True, slots=True)
class RouteExplained:
    """The decision for ``query``. ``chosen``: a backend, or None with the reason in ``steps``;
    ``body``: what it would receive; ``url``: where; ``fallbacks``: routes that are tried next."""

    query: str
    operation: Operation
    steps: tuple[ExplainStep, ...]
    candidates: tuple[ExplainedCandidate, ...]
    chosen: str | None
    route: str | None
    where: Tier | None
    url: str | None
    fallbacks: tuple[str, ...]
    nearest: tuple[str, ...]
    body: Mapping[str, Any] | None
    warnings: tuple[str, ...] = ()


PATHS: Mapping[Operation, str] = {
    "chat": "/v1/chat/completions", "completions": "/v1/completions",
    "embeddings": "/v1/embeddings", "rerank": "/v1/rerank", "responses": "/v1/responses",
    "messages": "/v1/messages", "transcription": "/v1/audio/transcriptions",
    "speech": "/v1/audio/speech", "image": "/v1/images/generations", "tokenize": "/tokenize",
    "other": "/v1",
}  # fmt: skip


def explain(
    file: RoutingFile,
    world: World,
    name: str | None,
    body: Mapping[str, Any] | None = None,
    operation: Operation = "chat",
) -> RouteExplained:
    """The decision for a name (None: the default provider) and a body (default: a short chat)."""
    file = with_plano(file)
    table = compile_table(file, world)
    query = name or table.default or ""
    sent = dict(body) if body is not None else sample_body(operation)
    sent["model"] = query
    found = find_route(table.routes, query)
    if found is None:
        return _unknown(table, query, operation)
    entries = tuple(known_entries(file.routes, file.providers, world))
    explainer = _Explainer(file, table, entries, operation, [])
    return explainer.explain(query, found, sent)


def sample_body(operation: Operation) -> dict[str, Any]:
    """A small body of an operation, without ``model``."""
    if operation == "chat" or operation == "messages":
        return {"messages": [{"role": "user", "content": "Hello"}]}
    if operation == "completions":
        return {"prompt": "Hello"}
    if operation == "rerank":
        return {"query": "Hello", "documents": ["Hello"]}
    return {"input": "Hello"}


def _unknown(table: RouteTable, query: str, operation: Operation) -> RouteExplained:
    near = tuple(nearest(query, sorted(table.routes), limit=_OFFERED))
    text = f"no provider, model, alias or role is named '{query}'"
    step = ExplainStep("name", text if query else "no default_provider is set")
    return RouteExplained(
        query, operation, (step,), (), None, None, None, None, (), near, None
    )  # fmt: skip


@dataclass(slots=True)
class _Explainer:
    file: RoutingFile
    table: RouteTable
    entries: Sequence[Known]
    operation: Operation
    steps: list[ExplainStep]

    def explain(self, query: str, found: Found, body: dict[str, Any]) -> RouteExplained:
        found = self._decided(query, found, body)
        entry, order = self._first(found.entry)
        rows = tuple(self._candidates(entry, order))
        fallbacks = entry.fallbacks if entry is found.entry else ()
        if not order:
            return RouteExplained(
                query, self.operation, tuple(self.steps), rows, None, entry.name, None, None,
                fallbacks, (), None,
            )  # fmt: skip
        candidate = entry.candidates[order[0]]
        backend = self.table.backends[candidate.backend]
        final = self._body(entry, candidate, found.model, query, body)
        return RouteExplained(
            query=query,
            operation=self.operation,
            steps=tuple(self.steps),
            candidates=rows,
            chosen=backend.name,
            route=entry.name,
            where=backend.tier,
            url=f"{self._root(candidate)}{PATHS[self.operation]}",
            fallbacks=fallbacks,
            nearest=(),
            body=final,
        )

    def _say(self, stage: str, text: str) -> None:
        self.steps.append(ExplainStep(stage, text))

    def _decided(self, query: str, found: Found, body: dict[str, Any]) -> Found:
        """The route of the name, for the role auto the one that its rules decide."""
        entry = found.entry
        target = self.file.aliases.get(query) if entry.kind == "alias" else None
        meaning = f"the alias of '{target}'" if target else f"a {entry.kind}"
        if found.model is not None:
            meaning = f"the model '{found.model}' of the provider '{entry.name}'"
        self._say("name", f"'{query}' is {meaning}")
        if not entry.automatic:
            return found
        rule = decide(self.table.rules, raw_values(body))
        if rule is None:
            self._say("automatic", "no rule leads to a route: set default_provider")
            return found
        self._say("automatic", rule.reason)
        return Found(rule.entry, None)

    def _first(self, entry: RouteEntry) -> tuple[RouteEntry, tuple[int, ...]]:
        """The first route of the chain that has a backend, and the order of its candidates."""
        for name in ("", *entry.fallbacks):
            one = self.table.routes[name] if name else entry
            if name:
                self._say("fallback", f"the next route is '{name}'")
            for refused in one.refused:
                self._say("gates", refused.reason)
            order = choose(one, self.table.backends, self._live())
            if order:
                names = [self.table.backends[one.candidates[at].backend].name for at in order]
                self._say("strategy", f"{one.strategy} tries {', '.join(names)}")
                self._say_asleep(one, order)
                return one, order
            self._say("gates", f"'{one.name}' has no backend that can answer")
        return entry, ()

    def _say_asleep(self, entry: RouteEntry, order: Sequence[int]) -> None:
        first = self.entries[entry.candidates[order[0]].backend]
        if first.seen.asleep:
            text = f"{first.name} is asleep: the request starts it, and waits until it is ready"
            self._say("wake", text)

    def _live(self) -> Live:
        health = [_health(one) for one in self.entries]
        return Live([one.seen.runtime.queue for one in self.entries], health)

    def _candidates(self, entry: RouteEntry, order: Sequence[int]) -> Iterator[ExplainedCandidate]:
        place = {at: number for number, at in enumerate(order, 1)}
        for at, candidate in enumerate(entry.candidates):
            down = None if at in place else "it is down"
            yield self._row(candidate.backend, entry, candidate.score, place.get(at), down)
        for refused in entry.refused:
            yield self._row(refused.backend, entry, None, None, refused.reason)

    def _row(
        self, at: int, entry: RouteEntry, score: float | None, order: int | None,
        refused: str | None,
    ) -> ExplainedCandidate:  # fmt: skip
        known = self.entries[at]
        window = context_window(known)
        signals = self._signals(known, entry)
        return ExplainedCandidate(
            name=known.name,
            model=known.route.model,
            where=known.route.tier,
            state=availability(known),
            context_tokens=window.tokens,
            context_source=window.source,
            signals=CandidateSignals(*(None if one is None else round(one, 4) for one in signals)),
            score=None if score is None else round(score, 4),
            order=order,
            refused_by=refused,
        )

    def _signals(self, known: Known, entry: RouteEntry) -> Signals:
        role = role_named(self.file, entry.name) if entry.kind == "role" else None
        if role is None:
            return measured(Signals(), known.seen)._replace(bench=None)
        return role_signals(known, role, role.routing_policy or NO_SELECTION)

    def _root(self, candidate: RouteCandidate) -> str:
        backend = self.table.backends[candidate.backend]
        host = f"[{backend.host}]" if ":" in backend.host else backend.host
        return f"{backend.scheme}://{host}:{backend.port}{backend.path}"

    def _body(
        self, entry: RouteEntry, candidate: RouteCandidate, model: str | None, query: str,
        body: dict[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        known = self.entries[candidate.backend]
        role = role_named(self.file, entry.name) if entry.kind == "role" else None
        body = self._guarded(entry, candidate, query, body)
        if candidate.policy is not None:
            body = apply_to(candidate.policy, body, self.operation)
            self._say_policy(candidate)
        self._say("policy", switched(known, thinking_of(known, role)).reason)
        served = self.table.backends[candidate.backend].served_model
        return {**body, "model": model or candidate.served_model or served or query}

    def _guarded(
        self, entry: RouteEntry, candidate: RouteCandidate, query: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """The body without the tools that policies deny; those of keys are only named."""
        backend = self.table.backends[candidate.backend]
        names = (query, entry.name, backend.name, backend.model, backend.served_model)
        specs = self.table.tool_policies
        mine = applying(map(prepare, specs), names, None)
        for spec in specs:
            if any(one.name == spec.name for one in mine):
                self._say("tools", decided_by(spec))
            elif spec.keys:
                self._say("tools", f"{decided_by(spec)} (keys {', '.join(spec.keys)} only)")
        if not mine:
            return body
        raw = raw_values(body)
        guard(mine, raw)
        return plain_values(raw)

    def _say_policy(self, candidate: RouteCandidate) -> None:
        policy = candidate.policy
        assert policy is not None
        for label, values in (("defaults", policy.defaults), ("overrides", policy.overrides)):
            if values:
                self._say("policy", f"{label} for {', '.join(values)}")
        if policy.system_prompt:
            self._say("policy", f"a system prompt ({policy.system_prompt_position})")
        if policy.user_template:
            self._say("policy", "the user's text in a template")
        if policy.reasoning == "strip":
            self._say("policy", "thinking is removed from the answer")
