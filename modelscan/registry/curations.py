"""Propose, approve and reject tags under a policy, in the caller's writing transaction.

The version's facts at each approval are kept: if they changed, the curation is void. Results and
their age are checked again later (``reassess``): an approved tag whose gates are not met any more
is flagged, and taken away where its policy says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from modelscan.core.jsonform import to_json
from modelscan.registry.canonical import canonical, etag_of
from modelscan.registry.curation import (
    Curation,
    RefusedApproval,
    refused_approval,
    same_person,
)
from modelscan.registry.curation_store import (
    MOST_REASON,
    add_step,
    curations_of_version,
    find_curation,
    new_curation_id,
    step_after,
)
from modelscan.registry.gates import GateCheck, all_met, check_gates
from modelscan.registry.labels import remove_tag, set_tag
from modelscan.registry.names import checked_tag
from modelscan.registry.policy import TagPolicies, TagPolicy
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.result_store import results_of_version
from modelscan.registry.stored import find_version, version_facts_of
from modelscan.registry.types import ModelVersion
from modelscan.state.server.audit import Actor
from modelscan.state.server.tables import KEYS


@dataclass(frozen=True, slots=True)
class Assessment:
    """What has to happen to an approved tag: the step, why, and whether the tag is taken away."""

    kind: Literal["voided", "flagged", "cleared", "withdrawn"]
    reason: str | None
    gates: tuple[GateCheck, ...] = ()
    withdraw: bool = False


def propose(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    number: int,
    tag: str,
    policies: TagPolicies,
    now: float,
) -> Curation:
    """Propose a tag for a version. Its gates are shown, and need not be met yet.

    Raises RegistryRefused (unknown_*, invalid: the tag has no policy, exists, in_use).
    """
    policy = _policy(policies, checked_tag(tag))
    version = find_version(connection, slug, number)
    _check_proposable(connection, version, tag)
    return add_step(
        connection, who, "proposed", curation=new_curation_id(), slug=slug,
        version=version.version, tag=tag, facts=facts_digest(version),
        gates=gates_now(connection, policy, version, now),
    )  # fmt: skip


def approve(
    connection: sa.Connection, who: Actor, name: str, policies: TagPolicies, now: float
) -> Curation:
    """Approve a proposal; the last approval that is needed gives the version its tag.

    Raises RegistryRefused: closed, same_person (the proposer, or who approved already),
    gate_not_met (with ``details["gates"]``). A void curation is recorded as such: call
    ``void_if_changed`` in a transaction of its own first.
    """
    curation = find_curation(connection, name)
    policy = _policy(policies, curation.tag)
    version = find_version(connection, curation.slug, int(curation.version))
    gates = gates_now(connection, policy, version, now)
    refused = refused_approval(curation, who, gates)
    if refused is not None:
        raise _refusal(refused, curation, who, gates)
    facts = facts_digest(version)
    after = step_after(connection, who, "approval", curation, facts=facts, gates=gates)
    if _counted(connection, after, now) < policy.approvals:
        return after
    set_tag(connection, who, version.slug, int(version.version), after.tag)
    return step_after(connection, who, "approved", after, gates=gates)


def reject(connection: sa.Connection, who: Actor, name: str, reason: str | None) -> Curation:
    """Reject a proposal, or take an approved tag away. Raises RegistryRefused (closed, invalid)."""
    text = None if reason is None else reason.strip()
    if text is not None and (not text or len(text) > MOST_REASON or "\x00" in text):
        raise RegistryRefused(
            "invalid", f"a reason has 1 to {MOST_REASON:,} characters",
            hint=f"modelscan registry curate reject {name} --reason 'the license is not clear'",
        )  # fmt: skip
    curation = find_curation(connection, name)
    if curation.state in ("rejected", "void"):
        raise _refusal("closed", curation, who, ())
    if curation.tagged:
        _take_tag(connection, who, curation)
    return step_after(connection, who, "rejected", curation, reason=text)


def void_if_changed(connection: sa.Connection, who: Actor, name: str) -> Curation:
    """The curation; if its version's facts changed after an approval, it is void from now on."""
    curation = find_curation(connection, name)
    return _voided(connection, who, curation) or curation


def void_changed(
    connection: sa.Connection, who: Actor, slug: str, version: str | None = None
) -> None:
    """After an edit or a deletion: approvals of other facts do not count any more."""
    for curation in curations_of_version(connection, slug, version):
        _voided(connection, who, curation)


def assess(
    connection: sa.Connection, curation: Curation, policies: TagPolicies, now: float
) -> Assessment | None:
    """What has to happen to an approved tag by its policy; None: nothing changed."""
    policy = policies.of(curation.tag)
    if not curation.tagged or policy is None:
        return None
    void = _why_void(connection, curation)
    if void is not None:
        return Assessment("voided", void)
    version = find_version(connection, curation.slug, int(curation.version))
    if curation.tag not in version.tags:
        return Assessment("withdrawn", "the version does not have the tag any more")
    gates = gates_now(connection, policy, version, now)
    if all_met(gates):
        return Assessment("cleared", None, gates) if curation.flagged else None
    if curation.flagged is not None and not policy.withdraw:
        return None
    reason = "; ".join(gate.reason or gate.metric for gate in gates if not gate.met)
    return Assessment("flagged", reason[:MOST_REASON], gates, policy.withdraw)


def reassess(
    connection: sa.Connection, who: Actor, curation: Curation, policies: TagPolicies, now: float
) -> Curation | None:
    """Check the gates of an approved tag again; the curation if something changed, else None."""
    found = assess(connection, curation, policies, now)
    if found is None:
        return None
    if found.kind == "voided":
        return _voided(connection, who, curation)
    if found.kind != "flagged" or curation.flagged is None:
        curation = step_after(
            connection, who, found.kind, curation, reason=found.reason, gates=found.gates
        )
    if not found.withdraw:
        return curation
    _take_tag(connection, who, curation)
    reason = "a gate is not met any more"
    return step_after(connection, who, "withdrawn", curation, reason=reason, gates=found.gates)


def _counted(connection: sa.Connection, curation: Curation, now: float) -> int:
    """The approvals that count: not those of keys that were revoked or lost the scope since."""
    rows = connection.execute(sa.select(KEYS.c.name, KEYS.c.scopes, KEYS.c.expires_at)).all()
    curators = {
        name
        for name, scopes, expires_at in rows
        if {"curator", "admin"} & set(scopes) and (expires_at is None or expires_at > now)
    }
    return sum(one.by.kind != "key" or one.by.name in curators for one in curation.approvals)


def gates_now(
    connection: sa.Connection, policy: TagPolicy, version: ModelVersion, now: float
) -> tuple[GateCheck, ...]:
    """The gates of a policy with the version's results."""
    if not policy.gates:
        return ()
    results = results_of_version(connection, version)
    return check_gates(policy.gates, results, now)


def facts_digest(version: ModelVersion) -> str:
    """What identifies the facts of a version."""
    return etag_of(canonical(to_json(version_facts_of(version))))


def _why_void(connection: sa.Connection, curation: Curation) -> str | None:
    """Why approvals do not count any more; None: they do, or there are none."""
    if curation.state not in ("proposed", "approved") or not curation.approvals:
        return None
    try:
        version = find_version(connection, curation.slug, int(curation.version))
    except RegistryRefused:
        return "the version was deleted"
    if facts_digest(version) == curation.facts:
        return None
    return "the version was changed after an approval"


def _voided(connection: sa.Connection, who: Actor, curation: Curation) -> Curation | None:
    """The curation as void, where its version's facts are others than those approved."""
    reason = _why_void(connection, curation)
    if reason is None:
        return None
    if curation.tagged:
        _take_tag(connection, who, curation)
    return step_after(connection, who, "voided", curation, reason=reason)


def _take_tag(connection: sa.Connection, who: Actor, curation: Curation) -> None:
    with contextlib.suppress(RegistryRefused):  # the version is gone, or has no such tag
        remove_tag(connection, who, curation.slug, int(curation.version), curation.tag)


def _check_proposable(connection: sa.Connection, version: ModelVersion, tag: str) -> None:
    if tag in version.tags:
        raise RegistryRefused(
            "exists", f"'{version.name}' has the tag '{tag}' already",
            hint=f"modelscan registry show {version.name}",
        )  # fmt: skip
    if version.state == "deprecated":
        raise RegistryRefused(
            "in_use", f"'{version.name}' is deprecated",
            hint=f"modelscan registry show {version.slug}",
        )  # fmt: skip
    for other in curations_of_version(connection, version.slug, version.version):
        if other.tag == tag and other.state == "proposed":
            raise RegistryRefused(
                "exists", f"'{tag}' is proposed for '{version.name}' already: {other.id}",
                hint=f"modelscan registry curate approve {other.id}",
                details={"curation": other.id},
            )  # fmt: skip


def _policy(policies: TagPolicies, tag: str) -> TagPolicy:
    policy = policies.of(tag)
    if policy is None:
        names = ", ".join(sorted(policies.tags)) or "none"
        raise RegistryRefused(
            "invalid", f"the tag '{tag}' has no policy; tags with one: {names}",
            hint=f"modelscan registry tag add SLUG@V {tag}",
        )  # fmt: skip
    return policy


def _refusal(
    why: RefusedApproval, curation: Curation, who: Actor, gates: tuple[GateCheck, ...]
) -> RegistryRefused:
    details = {"curation": curation.id, "state": curation.state}
    if why == "closed":
        because = f": {curation.reason}" if curation.reason else ""
        return RegistryRefused(
            "closed", f"the curation {curation.id} is {curation.state}{because}",
            hint=f"modelscan registry curate status {curation.id}", details=details,
        )  # fmt: skip
    if why == "same_person":
        proposed = same_person(who, curation.proposer)
        did = "proposed it" if proposed else "approved it already"
        return RegistryRefused(
            "same_person",
            f"{who.name} {did}: other people must approve",
            hint=f"modelscan registry curate status {curation.id}", details=details,
        )  # fmt: skip
    unmet = [f"{one.workload}: {one.reason}" for one in gates if not one.met]
    return RegistryRefused(
        "gate_not_met",
        f"{curation.place} does not meet the policy of '{curation.tag}': {'; '.join(unmet)}",
        hint="modelscan registry eval ingest FILE   (the report of eval run or bench run)",
        details={**details, "gates": to_json(list(gates))},
    )
