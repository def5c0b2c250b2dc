"""What a curation is: the steps that people took, and the state that follows from them. Pure.

Steps are only ever added. The state is computed from them, so that no record of who approved what
can be changed without another step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from modelscan.registry.gates import GateCheck
from modelscan.state.server.audit import Actor

CurationState = Literal["proposed", "approved", "rejected", "void"]
StepKind = Literal[
    "proposed", "approval", "approved", "rejected", "voided", "flagged", "cleared", "withdrawn"
]


def same_person(a: Actor, b: Actor) -> bool:
    """Whether both may be one person: the same key, or accounts of the same name.

    The same account on two machines counts as one person.
    """
    if a.kind != b.kind:
        return False
    if a.kind == "user":
        return a.name.partition("@")[0] == b.name.partition("@")[0]
    return a.name == b.name


@dataclass(frozen=True, slots=True)
class CurationStep:
    """One line of the record. ``facts`` is the digest of the version's facts at that moment;
    ``at`` is RFC 3339. ``number`` counts up over all curations.
    """

    number: int
    curation: str
    slug: str
    version: str
    tag: str
    kind: StepKind
    at: str
    by: Actor
    facts: str
    reason: str | None = None
    gates: tuple[GateCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval."""

    by: Actor
    at: str


@dataclass(frozen=True, slots=True)
class Flag:
    """Since when the gates of an approved tag are not met, and why."""

    at: str
    reason: str


@dataclass(frozen=True, slots=True)
class Curation:
    """A proposal to give a version a tag, with its approvals.

    ``gates``: as they are now while it is proposed, as they were when the tag was given or the
    last change was noticed afterwards. ``reason``: of a rejection, or why it is void. ``tagged``:
    whether the version has the tag by it.
    """

    id: str
    slug: str
    version: str
    tag: str
    state: CurationState
    proposer: Actor
    proposed_at: str
    facts: str
    approvals: tuple[Approval, ...] = ()
    gates: tuple[GateCheck, ...] = ()
    flagged: Flag | None = None
    tagged: bool = False
    reason: str | None = None
    changed_at: str = ""

    @property
    def place(self) -> str:
        """``SLUG@VERSION``."""
        return f"{self.slug}@{self.version}"


@dataclass(frozen=True, slots=True)
class CurationList:
    """Curations, the newest first."""

    curations: tuple[Curation, ...] = field(default=())


RefusedApproval = Literal["closed", "same_person", "gate_not_met"]


def curation_of(steps: Sequence[CurationStep]) -> Curation:
    """The curation that its steps, in order, lead to; the first one is its proposal."""
    first = steps[0]
    state = Curation(
        id=first.curation, slug=first.slug, version=first.version, tag=first.tag,
        state="proposed", proposer=first.by, proposed_at=first.at, facts=first.facts,
        gates=first.gates, changed_at=first.at,
    )  # fmt: skip
    for step in steps[1:]:
        state = replace(_after(state, step), changed_at=step.at)
    return state


def _after(before: Curation, step: CurationStep) -> Curation:
    gates = step.gates or before.gates
    if step.kind == "approval":
        approvals = (*before.approvals, Approval(step.by, step.at))
        return replace(before, approvals=approvals, gates=gates, facts=step.facts)
    if step.kind == "approved":
        return replace(before, state="approved", tagged=True, gates=gates)
    if step.kind == "flagged":
        return replace(before, flagged=Flag(step.at, step.reason or ""), gates=gates)
    if step.kind == "cleared":
        return replace(before, flagged=None, gates=gates)
    if step.kind == "withdrawn":
        return replace(before, tagged=False, reason=step.reason)
    ended: CurationState = "void" if step.kind == "voided" else "rejected"
    return replace(before, state=ended, tagged=False, reason=step.reason)


def curations_of(steps: Iterable[CurationStep]) -> tuple[Curation, ...]:
    """All curations of these steps, the newest first."""
    grouped: dict[str, list[CurationStep]] = {}
    for step in sorted(steps, key=lambda one: one.number):
        grouped.setdefault(step.curation, []).append(step)
    return tuple(curation_of(group) for group in reversed(grouped.values()))


def refused_approval(
    curation: Curation, who: Actor, gates: Sequence[GateCheck]
) -> RefusedApproval | None:
    """Why somebody may not approve; None: it counts."""
    if curation.state != "proposed":
        return "closed"
    taken = (curation.proposer, *(one.by for one in curation.approvals))
    if any(same_person(who, other) for other in taken):
        return "same_person"
    return None if all(gate.met for gate in gates) else "gate_not_met"
