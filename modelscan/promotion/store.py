"""Promotions in the server's database: each change with its event and its line of the audit."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import from_json, to_json
from modelscan.promotion.types import Promotion, PromotionState, PromotionStep
from modelscan.registry.canonical import canonical
from modelscan.registry.events import record
from modelscan.state.clock import seconds_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.promotion_tables import PROMOTIONS


class PromotionStore:
    """Reads and writes promotions; ``who`` is the actor of its events."""

    def __init__(self, database: ServerDatabase, who: Actor) -> None:
        self._database = database
        self._who = who

    def begin(self, promotion: Promotion) -> None:
        """Insert a new one, with the event promotion.started."""
        with self._database.writing() as connection:
            connection.execute(sa.insert(PROMOTIONS).values(_row(promotion)))
            self._record(connection, "promotion.started", promotion, None)

    def save(self, promotion: Promotion, step: PromotionStep | None = None) -> None:
        """Replace a row; a ``step`` that is over has the event promotion.step."""
        with self._database.writing() as connection:
            own = PROMOTIONS.c.id == promotion.id
            connection.execute(sa.update(PROMOTIONS).where(own).values(_row(promotion)))
            if step is not None and step.state != "running":
                self._record(connection, "promotion.step", promotion, step)

    def finish(self, promotion: Promotion) -> None:
        """Replace a row whose state changed, with the event promotion.STATE."""
        with self._database.writing() as connection:
            own = PROMOTIONS.c.id == promotion.id
            connection.execute(sa.update(PROMOTIONS).where(own).values(_row(promotion)))
            self._record(connection, f"promotion.{promotion.state}", promotion, None)

    def last(self, route: str, *states: PromotionState) -> Promotion | None:
        """The newest promotion of a route in one of these states."""
        query = sa.select(PROMOTIONS.c.body).where(
            PROMOTIONS.c.route == route, PROMOTIONS.c.state.in_(states)
        )
        with self._database.reading() as connection:
            body = connection.execute(query.order_by(PROMOTIONS.c.started_at.desc())).scalar()
        return None if body is None else _promotion(body)

    def of_deployment(self, route: str, deployment: str | None) -> Promotion | None:
        """The promotion by which a deployment came to a route."""
        for one in self.of_route(route):
            if one.candidate == deployment and one.state == "promoted":
                return one
        return None

    def of_route(self, route: str) -> Sequence[Promotion]:
        """Every promotion of a route, the newest first."""
        query = sa.select(PROMOTIONS.c.body).where(PROMOTIONS.c.route == route)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(PROMOTIONS.c.started_at.desc())).scalars()
            return [_promotion(body) for body in rows]

    def one(self, promotion_id: str) -> Promotion | None:
        """A promotion by its id."""
        query = sa.select(PROMOTIONS.c.body).where(PROMOTIONS.c.id == promotion_id)
        with self._database.reading() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else _promotion(body)

    def newest(
        self, limit: int, route: str | None = None, state: PromotionState | None = None
    ) -> Sequence[Promotion]:
        """At most ``limit`` promotions (of a route, in a state), the newest first."""
        query = sa.select(PROMOTIONS.c.body)
        if route is not None:
            query = query.where(PROMOTIONS.c.route == route)
        if state is not None:
            query = query.where(PROMOTIONS.c.state == state)
        columns = (PROMOTIONS.c.started_at.desc(), PROMOTIONS.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(*columns).limit(limit)).scalars()
            return [_promotion(body) for body in rows]

    def promoted(self, promotion: Promotion) -> Sequence[Promotion]:
        """The promotions of the same version that are the last of their routes."""
        query = sa.select(PROMOTIONS.c.body).where(
            PROMOTIONS.c.slug == promotion.slug,
            PROMOTIONS.c.version == promotion.version,
            PROMOTIONS.c.state == "promoted",
        )
        with self._database.reading() as connection:
            rows = [_promotion(body) for body in connection.execute(query).scalars()]
        newest = {one.route: self.last(one.route, "promoted") for one in rows}
        return [one for one in rows if one == newest[one.route]]

    def due(self, now: float) -> Sequence[Promotion]:
        """Promotions whose predecessor is to be stopped by now (UNIX time)."""
        query = sa.select(PROMOTIONS.c.body).where(PROMOTIONS.c.retire_at <= now)
        with self._database.reading() as connection:
            return [_promotion(body) for body in connection.execute(query).scalars()]

    def _record(
        self, connection: sa.Connection, event: str, promotion: Promotion,
        step: PromotionStep | None,
    ) -> None:  # fmt: skip
        data = {"route": promotion.route, "promotion": promotion.id, "state": promotion.state}
        if step is not None:
            data |= {"step": step.step, "step_state": step.state, "reason": step.reason or ""}
        record(
            connection, self._who, event, slug=promotion.slug, version=promotion.version,
            data=data, after=data,
        )  # fmt: skip


def _row(promotion: Promotion) -> dict[str, object]:
    return {
        "id": promotion.id,
        "route": promotion.route,
        "slug": promotion.slug,
        "version": promotion.version,
        "state": promotion.state,
        "started_at": seconds_of(promotion.started_at) or 0.0,
        "retire_at": promotion.retire_at,
        "body": canonical(to_json(promotion)),
    }


def _promotion(body: str) -> Promotion:
    return from_json(Promotion, json_value(body))
