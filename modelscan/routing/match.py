"""Ranks roles and entries for a task described in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from modelscan.routing.built_in import AUTO, roles_of
from modelscan.routing.explain import CandidateSignals
from modelscan.routing.facts import (
    Availability,
    Known,
    availability,
    can_do,
    known_entries,
    why_unusable,
)
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.role_format import RoleFields, RoleOperation
from modelscan.routing.scoring import (
    ROLE_WEIGHTS,
    SERVICE_WEIGHTS,
    Signals,
    score,
    text_signal,
)
from modelscan.routing.select import (
    NO_SELECTION,
    entry_texts,
    measured,
    role_pool,
    role_signals,
)
from modelscan.routing.table import Tier
from modelscan.routing.world import World


@dataclass(frozen=True, slots=True)
class MatchedRoute:
    """A role or a provider that could handle the task; ``score`` 0..1, ``reasons`` in words."""

    name: str
    kind: Literal["role", "provider"]
    operation: RoleOperation
    score: float
    signals: CandidateSignals
    backend: str | None
    where: Tier | None
    state: Availability
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteMatched:
    """The routes for a task, best first; ``workloads``: the benchmarks that count in full."""

    task: str
    workloads: tuple[str, ...]
    operation: RoleOperation | None
    total: int
    candidates: tuple[MatchedRoute, ...]
    warnings: tuple[str, ...] = ()


def match(
    file: RoutingFile, world: World, task: str, operation: RoleOperation | None = None,
    limit: int | None = None, workloads: Sequence[str] = (),
) -> RouteMatched:  # fmt: skip
    """The roles and providers of an operation (None: of every one), best first.

    Results of ``workloads`` count in full; without any, those whose names are like the task.
    """
    entries = tuple(known_entries(file.routes, file.providers, world))
    wanted = _Wanted(task, tuple(workloads) or (task,), operation)
    rows = [*_roles(file, entries, wanted), *_services(entries, wanted)]
    rows.sort(key=lambda one: (-one.score, one.kind, one.name))
    return RouteMatched(task, tuple(workloads), operation, len(rows), tuple(rows[:limit]))


class _Wanted(NamedTuple):
    task: str
    workloads: tuple[str, ...]
    operation: RoleOperation | None


def _roles(file: RoutingFile, entries: Sequence[Known], wanted: _Wanted) -> Iterator[MatchedRoute]:
    for role in roles_of(file):
        if role is AUTO or wanted.operation not in (None, role.operation):
            continue
        pool = role_pool(entries, role)
        best = pool.choices[0].entry if pool.choices else None
        signals = _role_signals(role, best, wanted)
        yield MatchedRoute(
            role.role_id, "role", role.operation, round(score(signals, ROLE_WEIGHTS), 4),
            _shown(signals), best and best.name, best.route.tier if best else None,
            availability(best) if best else "known", tuple(_reasons(signals, best)),
        )  # fmt: skip


def _role_signals(role: RoleFields, best: Known | None, wanted: _Wanted) -> Signals:
    """The role's own words, with the state of the entry that it would choose."""
    texts = [role.role_id, role.display_name, role.description]
    prompt = role.prompt_policy
    texts += [prompt.system_prompt if prompt else None]
    text = text_signal(wanted.task, [one for one in texts if one])
    if best is None:
        return Signals(text=text)
    signals = role_signals(best, role, role.routing_policy or NO_SELECTION)
    return measured(signals._replace(text=text), best.seen, wanted.workloads)


def _services(entries: Sequence[Known], wanted: _Wanted) -> Iterator[MatchedRoute]:
    for entry in entries:
        kind = wanted.operation or main_operation(entry)
        if not can_do(entry, kind):
            continue
        text = text_signal(wanted.task, entry_texts(entry))
        signals = measured(Signals(text=text), entry.seen, wanted.workloads)
        value = 0.0 if why_unusable(entry) else score(signals, SERVICE_WEIGHTS)
        yield MatchedRoute(
            entry.name, "provider", kind, round(value, 4), _shown(signals), entry.name,
            entry.route.tier, availability(entry), tuple(_reasons(signals, entry)),
        )  # fmt: skip


def main_operation(entry: Known) -> RoleOperation:
    """The first thing that an entry can do."""
    options: tuple[RoleOperation, ...] = (
        "chat", "embeddings", "rerank", "transcription", "speech", "image",
    )  # fmt: skip
    return next((one for one in options if can_do(entry, one)), "chat")


def _shown(signals: Signals) -> CandidateSignals:
    return CandidateSignals(*(None if one is None else round(one, 4) for one in signals))


def _reasons(signals: Signals, entry: Known | None) -> Iterator[str]:
    """The score in words."""
    if entry is None:
        yield "no entry can serve it now"
        return
    unusable = why_unusable(entry)
    if unusable is not None:
        yield f"{entry.name} {unusable}"
    if signals.text:
        yield f"{signals.text:.0%} of the task's words occur in its description"
    if signals.family:
        yield f"{entry.name} is of a preferred family"
    runtime = entry.seen.runtime
    if runtime.loaded:
        yield "its model is loaded"
    if runtime.p50_latency_ms is not None:
        yield f"half of its answers take at most {runtime.p50_latency_ms:,.0f} ms"
    if runtime.tokens_per_s is not None:
        yield f"it writes {runtime.tokens_per_s:.3g} tokens/s"
    if runtime.queue:
        yield f"{runtime.queue} requests wait there"
    if signals.bench:
        yield f"benchmark results count {signals.bench:.2f}"
    rates = [one.pass_rate for one in entry.seen.results if one.pass_rate is not None]
    if rates and min(rates) < 1:
        yield f"a benchmark found {min(rates):.0%} of its answers right"
