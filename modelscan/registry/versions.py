"""Versions of a model: added as drafts, published once, then only deprecated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelscan.core.jsonform import from_json, to_json
from modelscan.registry.canonical import content_digest, merged, read_record
from modelscan.registry.checks import checked_facts
from modelscan.registry.curations import void_changed
from modelscan.registry.events import record
from modelscan.registry.models import touch_model
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import (
    check_etag,
    find_model,
    find_version,
    put_version,
    version_facts_of,
    version_of,
)
from modelscan.registry.types import ModelVersion, RegistryVersionFacts
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import moment
from modelscan.state.server.registry_tables import ALIASES, MODELS, TAGS, VERSIONS


def add_version(
    connection: sa.Connection, who: Actor, slug: str, facts: RegistryVersionFacts
) -> tuple[ModelVersion, bool]:
    """Add a draft, and whether it is new: the same content is the version that is there.

    Raises RegistryRefused (unknown_model, invalid).
    """
    checked_facts(facts)
    find_model(connection, slug)
    digest = content_digest(facts)
    present = _with_digest(connection, slug, digest)
    if present is not None:
        return present, False
    now = text_of(moment(connection))
    values = {
        **to_json(facts), "slug": slug, "version": str(_next_number(connection, slug)),
        "digest": digest, "created_at": now, "created_by": who.name, "updated_at": now,
    }  # fmt: skip
    version = put_version(connection, from_json(ModelVersion, values))
    touch_model(connection, slug)
    _record(connection, who, "version.created", version, after=version_facts_of(version))
    return version, True


def edit_version(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    number: int,
    patch: Mapping[str, Any],
    expected: Collection[str] | None = None,
) -> ModelVersion:
    """Apply a JSON Merge Patch to the facts of a draft, or to the ``state`` of a published one.

    Raises RegistryRefused (unknown_*, stale, invalid, version_published, exists).
    """
    version = find_version(connection, slug, number)
    check_etag(version.etag, expected, f"'{version.name}'")
    if "state" in patch:
        return _set_state(connection, who, version, patch)
    before = version_facts_of(version)
    facts = read_record(RegistryVersionFacts, merged(before, patch))
    checked_facts(facts)
    if to_json(facts) == before:
        return version
    if version.state != "draft":
        raise _published(version)
    digest = content_digest(facts)
    present = _with_digest(connection, slug, digest)
    if present is not None and present.version != version.version:
        raise RegistryRefused(
            "exists", f"version {present.version} of '{slug}' has this content already",
            hint=f"modelscan registry show {present.name}",
        )  # fmt: skip
    values = {**to_json(version), **to_json(facts), "digest": digest}
    changed = _put(connection, from_json(ModelVersion, values))
    after = version_facts_of(changed)
    _record(connection, who, "version.updated", changed, before=before, after=after)
    void_changed(connection, who, slug, changed.version)
    return find_version(connection, slug, number)


def publish_version(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    number: int,
    expected: Collection[str] | None = None,
) -> ModelVersion:
    """Publish a draft: its facts never change again. A published version stays as it is.

    Raises RegistryRefused (unknown_*, stale, invalid: it has no weights_url).
    """
    version = find_version(connection, slug, number)
    check_etag(version.etag, expected, f"'{version.name}'")
    if version.state == "published":
        return version
    if version.weights_url is None:
        raise RegistryRefused(
            "invalid", f"'{version.name}' has no weights_url: it could not be used",
            hint=f"modelscan registry edit {version.name} weights_url=https://…",
        )  # fmt: skip
    again = version.published_at or text_of(moment(connection))
    changed = _put(connection, replace(version, state="published", published_at=again))
    data = {"digest": changed.digest}
    _record(connection, who, "version.published", changed, data=data, after=data)
    return changed


def delete_version(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    number: int,
    expected: Collection[str] | None = None,
) -> ModelVersion:
    """Delete a draft; its number is not used again.

    Raises RegistryRefused (unknown_*, stale, version_published, in_use: an alias names it).
    """
    version = find_version(connection, slug, number)
    check_etag(version.etag, expected, f"'{version.name}'")
    if version.state != "draft":
        raise _published(version)
    own = (ALIASES.c.slug == slug) & (ALIASES.c.number == number)
    alias = connection.execute(sa.select(ALIASES.c.alias).where(own)).scalar()
    if alias is not None:
        raise RegistryRefused(
            "in_use", f"the alias '{alias}' is '{version.name}'",
            hint=f"modelscan registry alias rm {slug} {alias}",
        )  # fmt: skip
    for table in (TAGS, VERSIONS):
        connection.execute(sa.delete(table).where(table.c.slug == slug, table.c.number == number))
    touch_model(connection, slug)
    _record(connection, who, "version.deleted", version, before=version_facts_of(version))
    void_changed(connection, who, slug, version.version)
    return version


def _set_state(
    connection: sa.Connection, who: Actor, version: ModelVersion, patch: Mapping[str, Any]
) -> ModelVersion:
    """Deprecate a published version, or take that back."""
    state = patch["state"]
    if len(patch) > 1 or state not in ("published", "deprecated"):
        raise RegistryRefused(
            "invalid", "state is published or deprecated, and is changed by itself"
        )
    if version.state == "draft":
        raise RegistryRefused(
            "not_published", f"'{version.name}' is a draft",
            hint=f"modelscan registry version publish {version.name}",
        )  # fmt: skip
    if state == version.state:
        return version
    changed = _put(connection, replace(version, state=state))
    event = "version.deprecated" if state == "deprecated" else "version.published"
    _record(connection, who, event, changed, before=version.state, after=state)
    return changed


def _put(connection: sa.Connection, version: ModelVersion) -> ModelVersion:
    changed = put_version(connection, replace(version, updated_at=text_of(moment(connection))))
    touch_model(connection, version.slug)
    return changed


def _record(
    connection: sa.Connection, who: Actor, event: str, version: ModelVersion, **values: Any
) -> None:
    record(
        connection, who, event, slug=version.slug, version=version.version, etag=version.etag,
        **values,
    )  # fmt: skip


def _with_digest(connection: sa.Connection, slug: str, digest: str) -> ModelVersion | None:
    query = sa.select(VERSIONS.c.body, VERSIONS.c.etag).order_by(VERSIONS.c.number)
    own = (VERSIONS.c.slug == slug) & (VERSIONS.c.digest == digest)
    row = connection.execute(query.where(own)).first()
    return None if row is None else version_of(*row)


def _next_number(connection: sa.Connection, slug: str) -> int:
    """Counts up also where the last version was deleted: a name means one thing for ever."""
    own = MODELS.c.slug == slug
    number = connection.execute(sa.select(MODELS.c.last_number).where(own)).scalar_one() + 1
    connection.execute(sa.update(MODELS).where(own).values(last_number=number))
    return int(number)


def _published(version: ModelVersion) -> RegistryRefused:
    return RegistryRefused(
        "version_published",
        f"'{version.name}' is {version.state}: its facts do not change, and it is not deleted",
        hint=f"modelscan registry version add {version.slug} --help",
    )
