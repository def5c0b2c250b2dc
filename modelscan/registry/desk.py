"""Curation and results over a database: each request is a transaction of its own.

The policies are read for each request, so that a change of their file counts at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from modelscan.registry import curations
from modelscan.registry.curation import Curation, CurationList, CurationState
from modelscan.registry.curation_store import (
    curations_of_version,
    find_curation,
    stored_curations,
)
from modelscan.registry.names import version_reference
from modelscan.registry.policy import TagPolicies
from modelscan.registry.policy_file import load_policies
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.result_store import (
    GivenResults,
    ResultQuery,
    list_results,
    store_results,
    with_flags,
)
from modelscan.registry.results import ModelResults, ResultsIngested
from modelscan.registry.stored import find_version
from modelscan.state.config import Config
from modelscan.state.server.audit import Actor
from modelscan.state.server.curation_tables import CURATION_STEPS
from modelscan.state.server.database import ServerDatabase

MOST_LISTED = 500


@dataclass(frozen=True, slots=True)
class CurationFilter:
    """Which curations are listed; None: any. ``flagged``: only those whose gates are not met."""

    slug: str | None = None
    tag: str | None = None
    state: CurationState | None = None
    flagged: bool = False


class CurationDesk:
    """What people do with curations and results. ``clock``: UNIX time."""

    def __init__(
        self, database: ServerDatabase, config: Config, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    def policies(self) -> TagPolicies:
        """The policies of the file. Raises UsageError while it is wrong."""
        return load_policies(self._config)

    def propose(self, who: Actor, place: str, tag: str) -> Curation:
        """Propose a tag for ``SLUG@VERSION``. Raises RegistryRefused."""
        slug, number = _version(place)
        policies, now = self.policies(), self._clock()
        with self._database.writing() as connection:
            return curations.propose(connection, who, slug, number, tag, policies, now)

    def approve(self, who: Actor, name: str) -> Curation:
        """Approve a proposal. Raises RegistryRefused."""
        policies = self.policies()
        with self._database.writing() as connection:  # kept, though the approval is refused
            curations.void_if_changed(connection, who, name)
        with self._database.writing() as connection:
            return curations.approve(connection, who, name, policies, self._clock())

    def reject(self, who: Actor, name: str, reason: str | None) -> Curation:
        """Reject a proposal, or take an approved tag away. Raises RegistryRefused."""
        with self._database.writing() as connection:
            return curations.reject(connection, who, name, reason)

    def show(self, name: str) -> Curation:
        """A curation, a proposed one with its gates as they are now. Raises RegistryRefused."""
        policies = self.policies()
        with self._database.reading() as connection:
            return self._current(connection, find_curation(connection, name), policies)

    def list(self, wanted: CurationFilter) -> CurationList:
        """The newest curations first, at most 500."""
        policies = self.policies()
        places = []
        if wanted.slug is not None:
            places.append(CURATION_STEPS.c.slug == wanted.slug)
        if wanted.tag is not None:
            places.append(CURATION_STEPS.c.tag == wanted.tag)
        with self._database.reading() as connection:
            place = sa.and_(sa.true(), *places)
            rows = [
                one
                for one in stored_curations(connection, place)
                if wanted.state in (None, one.state) and (one.flagged or not wanted.flagged)
            ]
            return CurationList(
                tuple(self._current(connection, one, policies) for one in rows[:MOST_LISTED])
            )

    def ingest(self, who: Actor, given: GivenResults, named: str | None) -> ResultsIngested:
        """Store a report and check the tags of its version again. Raises RegistryRefused."""
        policies, now = self.policies(), self._clock()
        with self._database.writing() as connection:
            stored = store_results(connection, who, given, named)
            if not stored.new:
                return stored
            own = curations_of_version(connection, stored.slug, stored.version)
            changed = [curations.reassess(connection, who, one, policies, now) for one in own]
            return with_flags(stored, (one.id for one in changed if one and one.flagged))

    def results(self, query: ResultQuery) -> ModelResults:
        """Stored results. Raises RegistryRefused."""
        with self._database.reading() as connection:
            return list_results(connection, query)

    def reassess(self, who: Actor) -> tuple[Curation, ...]:
        """Check every approved tag again: results grow old. The curations that changed."""
        policies, now = self.policies(), self._clock()
        with self._database.reading() as connection:
            approved = [one for one in stored_curations(connection) if one.tagged]
            due = [one for one in approved if curations.assess(connection, one, policies, now)]
        changed = []
        for one in due:
            with self._database.writing() as connection:
                current = find_curation(connection, one.id)
                after = curations.reassess(connection, who, current, policies, now)
            changed += [after] if after is not None else []
        return tuple(changed)

    def _current(
        self, connection: sa.Connection, curation: Curation, policies: TagPolicies
    ) -> Curation:
        """A proposal with its gates as they are now."""
        policy = policies.of(curation.tag)
        if curation.state != "proposed" or policy is None or not policy.gates:
            return curation
        try:
            version = find_version(connection, curation.slug, int(curation.version))
        except RegistryRefused:
            return curation
        gates = curations.gates_now(connection, policy, version, self._clock())
        return replace(curation, gates=gates)


def _version(place: str) -> tuple[str, int]:
    slug, number = version_reference(place)
    if number is None:
        raise RegistryRefused(
            "invalid", f"a version is needed: {slug}@1", hint=f"modelscan registry show {slug}"
        )
    return slug, number
