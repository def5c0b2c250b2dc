"""What is observed while the gateway runs, as an argument of the pure functions here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelscan.core.reach import Reach
from modelscan.core.tls import TlsFiles
from modelscan.routing.scoring import Result, Runtime


@dataclass(frozen=True, slots=True)
class ProviderObservation:
    """One provider of the routing file; None: not known.

    ``ends``: its deployment does not answer, and waiting will not help; ``reason`` says why.
    ``asleep``: its deployment does not run, and a request through the gateway starts it.
    ``healthy``: the prober's finding. ``served``: the ids that its server lists, with the context
    that it serves (None: not stated). ``engine``: which program serves. ``node``: the host that
    reports it; None: it is written in the routing file. ``reported``: by its node, as
    healthy. ``tls``: files for https to it.
    ``reach``: where its name may lead; None: everywhere, a person wrote it.
    """

    state: str | None = None
    reason: str | None = None
    ends: bool = False
    asleep: bool = False
    healthy: bool | None = None
    served: Mapping[str, int | None] | None = None
    engine: str | None = None
    runtime: Runtime = field(default_factory=Runtime)
    results: tuple[Result, ...] = ()
    node: str | None = None
    reported: bool = False
    tls: TlsFiles | None = None
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class RouteModelFacts:
    """What the catalog and the registry say of a model; ``family``: of its chat template."""

    family: str | None = None
    thinks: bool = False
    context_tokens: int | None = None
    task: str | None = None
    tags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Observations by the provider's name, facts by the model's id, secrets by their reference.

    ``secrets``: the resolved values. ``spent``: providers and roles whose budgets are used up.
    """

    observations: Mapping[str, ProviderObservation] = field(default_factory=dict)
    models: Mapping[str, RouteModelFacts] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()
    revision: int = 1


NOTHING_OBSERVED = ProviderObservation()
UNKNOWN_MODEL = RouteModelFacts()
