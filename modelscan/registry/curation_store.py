"""The record of curations in the database: steps are added and read, never changed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from modelscan.core.jsonform import from_json, to_json
from modelscan.registry.curation import (
    Curation,
    CurationStep,
    StepKind,
    curations_of,
)
from modelscan.registry.events import record
from modelscan.registry.gates import GateCheck
from modelscan.registry.refused import RegistryRefused
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.curation_tables import CURATION_STEPS
from modelscan.state.server.database import moment

_EVENTS: dict[StepKind, str] = {
    "proposed": "curation.proposed",
    "approval": "curation.approval",
    "approved": "curation.approved",
    "rejected": "curation.rejected",
    "voided": "curation.void",
    "flagged": "curation.flagged",
    "cleared": "curation.cleared",
    "withdrawn": "curation.withdrawn",
}
MOST_REASON = 1_000


def new_curation_id() -> str:
    """An id that no other curation has."""
    return f"c-{secrets.token_hex(6)}"


def add_step(
    connection: sa.Connection,
    who: Actor,
    kind: StepKind,
    *,
    curation: str,
    slug: str,
    version: str,
    tag: str,
    facts: str,
    reason: str | None = None,
    gates: Sequence[GateCheck] = (),
) -> Curation:
    """Add a step with its event and its line of the audit; returns the curation after it."""
    row = {
        "curation": curation, "slug": slug, "version": version, "tag": tag, "kind": kind,
        "at": moment(connection), "actor_kind": who.kind, "actor": who.name[:512],
        "facts": facts, "reason": reason, "gates": to_json(list(gates)),
    }  # fmt: skip
    connection.execute(sa.insert(CURATION_STEPS).values(row))
    after = find_curation(connection, curation)
    data: dict[str, Any] = {"curation": curation, "tag": tag, "state": after.state}
    if reason is not None:
        data["reason"] = reason
    record(
        connection, who, _EVENTS[kind], slug=slug, version=version,
        data=data, after={"curation": curation, "step": kind, "facts": facts, "reason": reason},
    )  # fmt: skip
    return after


def step_after(
    connection: sa.Connection, who: Actor, kind: StepKind, before: Curation, **more: Any
) -> Curation:
    """Add a step to a curation; its facts stay unless they are given."""
    values = {"facts": before.facts, **more}
    return add_step(
        connection, who, kind, curation=before.id, slug=before.slug, version=before.version,
        tag=before.tag, **values,
    )  # fmt: skip


def find_curation(connection: sa.Connection, name: str) -> Curation:
    """A curation. Raises RegistryRefused (unknown_curation)."""
    rows = stored_curations(connection, CURATION_STEPS.c.curation == name)
    if not rows:
        raise RegistryRefused(
            "unknown_curation", f"there is no curation '{name[:64]}'",
            hint="modelscan registry curate status",
        )  # fmt: skip
    return rows[0]


def curations_of_version(
    connection: sa.Connection, slug: str, version: str | None = None
) -> tuple[Curation, ...]:
    """The curations of a model, or of one version of it, the newest first."""
    place = CURATION_STEPS.c.slug == slug
    if version is not None:
        place &= CURATION_STEPS.c.version == version
    return stored_curations(connection, place)


def stored_curations(
    connection: sa.Connection, place: sa.ColumnElement[bool] | None = None
) -> tuple[Curation, ...]:
    """The curations with these steps, the newest first."""
    query = sa.select(CURATION_STEPS).order_by(CURATION_STEPS.c.number)
    if place is not None:
        query = query.where(place)
    return curations_of(_step(row) for row in connection.execute(query).mappings())


def steps_of(connection: sa.Connection, name: str) -> tuple[CurationStep, ...]:
    """The record of one curation, the oldest first."""
    query = sa.select(CURATION_STEPS).where(CURATION_STEPS.c.curation == name)
    rows = connection.execute(query.order_by(CURATION_STEPS.c.number)).mappings()
    return tuple(_step(row) for row in rows)


def _step(row: sa.RowMapping) -> CurationStep:
    return CurationStep(
        number=row["number"],
        curation=row["curation"],
        slug=row["slug"],
        version=row["version"],
        tag=row["tag"],
        kind=row["kind"],
        at=text_of(row["at"]),
        by=Actor(row["actor_kind"], row["actor"]),
        facts=row["facts"],
        reason=row["reason"],
        gates=tuple(from_json(GateCheck, one) for one in row["gates"]),
    )
