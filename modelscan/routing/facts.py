"""What is known of an entry of the routing file: from the file, from its server, from the catalog.

Pure. The file's own values come first, then what the server reports, then the catalog's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from modelscan.core.route import Route
from modelscan.engines.families import family_of
from modelscan.engines.registry import ENGINES
from modelscan.routing.format import ProviderFields
from modelscan.routing.presets import key_references
from modelscan.routing.table import GENERATING, ContextSource, Operation
from modelscan.routing.world import (
    NOTHING_OBSERVED,
    UNKNOWN_MODEL,
    ProviderObservation,
    RouteModelFacts,
    World,
)

# How far a model is: the catalog has it, it could be run, it runs, a request starts it, requests
# go to it (and nothing has shown yet that it answers), requests reach it.
Availability = Literal["known", "deployable", "deployed", "asleep", "unproven", "routable"]
_NOT_RUNNING = ("stopped", "failed")
TASKS: dict[str, tuple[Operation, ...]] = {
    "chat": (*GENERATING, "tokenize"), "embedding": ("embeddings", "tokenize"),
    "embeddings": ("embeddings", "tokenize"), "rerank": ("rerank", "tokenize"),
    "speech_to_text": ("transcription",), "transcription": ("transcription",),
    "text_to_speech": ("speech",), "speech": ("speech",), "image": ("image",),
}  # fmt: skip


class Known(NamedTuple):
    """One entry with everything that is known of it; ``place``: its place in the file."""

    place: int
    route: Route
    fields: ProviderFields
    seen: ProviderObservation
    model: RouteModelFacts
    secret: str | None
    spent: bool = False

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.route.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Those of the file, and those that the registry has for its model."""
        return tuple(dict.fromkeys((*self.route.tags, *self.model.tags)))


class ContextWindow(NamedTuple):
    """The tokens that one request may use, and where that is stated; None: nowhere."""

    tokens: int | None
    source: ContextSource | None


def known_entries(
    routes: tuple[Route, ...], fields: tuple[ProviderFields, ...], world: World
) -> Iterator[Known]:
    """Every entry of the file with its facts."""
    for index, (route, entry) in enumerate(zip(routes, fields, strict=True)):
        seen = world.observations.get(route.name, NOTHING_OBSERVED)
        model = world.models.get(route.model or "", UNKNOWN_MODEL)
        secret = next((world.secrets[r] for r in key_references(route) if r in world.secrets), None)
        yield Known(index, route, entry, seen, model, secret, route.name in world.spent)


def why_unusable(entry: Known) -> str | None:
    """Why an entry gets no requests, as words after its name; None: it may get some."""
    if not entry.route.enabled and not entry.seen.asleep:
        stopped = entry.seen.ends and entry.seen.state in _NOT_RUNNING
        return f"is {entry.seen.state}: {_command(entry)}" if stopped else "is disabled"
    if entry.spent:
        return "has used up its budget"
    if entry.seen.ends:
        because = f": {entry.seen.reason}" if entry.seen.reason else ""
        if entry.seen.state is None:
            return f"gets no requests{because}"
        return f"cannot answer, its deployment is {entry.seen.state}{because}"
    if entry.seen.healthy is False:
        because = f": {entry.seen.reason}" if entry.seen.reason else ""
        return f"does not answer{because}"
    return None


def _command(entry: Known) -> str:
    """The command that starts a deployment that was stopped on purpose, or that failed."""
    return f"no request starts it, but modelscan start {entry.route.deployment}"


def availability(entry: Known) -> Availability:
    """``routable`` only where a probe, a request, the deployment's record or the node's report
    shows that it answers; ``unproven`` where requests go to it and none of them does."""
    if why_unusable(entry) is not None:
        return without_requests(entry)
    if entry.seen.asleep:
        return "asleep"
    proven = entry.seen.healthy or entry.seen.reported or entry.seen.state == "running"
    return "routable" if proven else "unproven"


def without_requests(entry: Known) -> Availability:
    """How far an entry's model is where no request reaches it.

    A deployment that is recorded and does not run could be started: ``deployable``.
    """
    if entry.route.deployment is None or entry.seen.state is None:
        return "known"
    return "deployable" if entry.seen.state in _NOT_RUNNING else "deployed"


def context_window(entry: Known) -> ContextWindow:
    """The configured context, else the one that the engine reports, else the catalog's."""
    if entry.route.context_tokens is not None:
        return ContextWindow(entry.route.context_tokens, "routing file")
    served = (entry.seen.served or {}).get(entry.route.sent_model)
    if served is not None:
        return ContextWindow(served, "engine")
    if entry.model.context_tokens is not None:
        return ContextWindow(entry.model.context_tokens, "catalog")
    return ContextWindow(None, None)


def operations_of(entry: Known) -> tuple[Operation, ...] | None:
    """What an entry can do: as the file says, else by its task's tag, else by its model's task.

    None: not known.
    """
    if entry.fields.operations is not None:
        chat = "chat" in entry.fields.operations
        others = tuple(one for one in entry.fields.operations if one != "chat")
        return (*(TASKS["chat"] if chat else ()), *others)
    tagged = next((TASKS[tag] for tag in entry.route.tags if tag in TASKS), None)
    return tagged or TASKS.get(entry.model.task or "")


def can_do(entry: Known, operation: Operation) -> bool:
    """Whether an entry serves an operation; a chat model where nothing is known."""
    known = operations_of(entry)
    return operation in (TASKS["chat"] if known is None else known)


def family_name(entry: Known) -> str | None:
    """The family by metadata: as the file says, as the catalog says, else by the model's names."""
    if entry.fields.family is not None:
        return entry.fields.family.lower()
    if entry.model.family is not None:
        return entry.model.family
    names = [name for name in (entry.route.model, entry.route.served_model) if name]
    family = family_of(names, ())
    return family.name if family else None


def engine_of(entry: Known) -> str | None:
    """The engine behind an entry; None: not known, or a hosted provider."""
    if entry.fields.type in ENGINES:
        return entry.fields.type
    return entry.fields.engine or entry.seen.engine
