"""Tags and aliases of versions: who set them and when; each change has its event."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa

from modelscan.registry.events import record
from modelscan.registry.models import touch_model
from modelscan.registry.names import checked_alias, checked_tag
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import check_etag, find_model, find_version, put_version
from modelscan.registry.types import ModelVersion, RegistryModel
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import moment
from modelscan.state.server.registry_tables import ALIASES, TAGS


def set_tag(
    connection: sa.Connection, who: Actor, slug: str, number: int, tag: str
) -> ModelVersion:
    """Tag a version; a tag that it has stays as it is.

    The caller checks the policy of tags. Raises RegistryRefused (unknown_*, invalid).
    """
    checked_tag(tag)
    version = find_version(connection, slug, number)
    if tag in version.tags:
        return version
    row = {
        "slug": slug, "number": number, "tag": tag, "active": version.state != "deprecated",
        "by": who.name, "at": moment(connection),
    }  # fmt: skip
    connection.execute(sa.insert(TAGS).values(row))
    return _tagged(connection, who, "tag.added", version, tag)


def remove_tag(
    connection: sa.Connection, who: Actor, slug: str, number: int, tag: str
) -> ModelVersion:
    """Withdraw a tag. Raises RegistryRefused (unknown_*, unknown_tag)."""
    version = find_version(connection, slug, number)
    if tag not in version.tags:
        listed = ", ".join(version.tags) or "none"
        raise RegistryRefused(
            "unknown_tag", f"'{version.name}' has no tag '{tag}'; its tags: {listed}",
            hint=f"modelscan registry show {version.name}",
        )  # fmt: skip
    place = (TAGS.c.slug == slug) & (TAGS.c.number == number) & (TAGS.c.tag == tag)
    connection.execute(sa.delete(TAGS).where(place))
    return _tagged(connection, who, "tag.removed", version, tag)


def set_alias(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    alias: str,
    number: int,
    expected: Collection[str] | None = None,
) -> RegistryModel:
    """Let an alias name a version; ``expected``: ETags of the model.

    Raises RegistryRefused (unknown_*, invalid, stale).
    """
    checked_alias(alias)
    model = find_model(connection, slug)
    check_etag(model.etag, expected, f"'{slug}'")
    version = find_version(connection, slug, number)
    before = model.aliases.get(alias)
    if before == version.version:
        return model
    values = {"number": number, "by": who.name, "at": moment(connection)}
    place = (ALIASES.c.slug == slug) & (ALIASES.c.alias == alias)
    if not connection.execute(sa.update(ALIASES).where(place).values(values)).rowcount:
        connection.execute(sa.insert(ALIASES).values(slug=slug, alias=alias, **values))
    return _aliased(connection, who, "alias.set", model, alias, before, version.version)


def remove_alias(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    alias: str,
    expected: Collection[str] | None = None,
) -> RegistryModel:
    """Delete an alias. Raises RegistryRefused (unknown_model, unknown_alias, stale)."""
    model = find_model(connection, slug)
    check_etag(model.etag, expected, f"'{slug}'")
    if alias not in model.aliases:
        raise unknown_alias(model, alias)
    place = (ALIASES.c.slug == slug) & (ALIASES.c.alias == alias)
    connection.execute(sa.delete(ALIASES).where(place))
    return _aliased(connection, who, "alias.removed", model, alias, model.aliases[alias], None)


def unknown_alias(model: RegistryModel, alias: str) -> RegistryRefused:
    """An alias that a model does not have."""
    listed = ", ".join(f"{name} ({number})" for name, number in model.aliases.items()) or "none"
    return RegistryRefused(
        "unknown_alias", f"'{model.slug}' has no alias '{alias}'; its aliases: {listed}",
        hint=f"modelscan registry show {model.slug}",
    )  # fmt: skip


def _tagged(
    connection: sa.Connection, who: Actor, event: str, version: ModelVersion, tag: str
) -> ModelVersion:
    now = text_of(moment(connection))
    changed = put_version(connection, replace(version, updated_at=now))
    touch_model(connection, version.slug)
    record(
        connection, who, event, slug=changed.slug, version=changed.version, etag=changed.etag,
        data={"tag": tag}, before=version.tags, after=changed.tags,
    )  # fmt: skip
    return changed


def _aliased(
    connection: sa.Connection, who: Actor, event: str, model: RegistryModel, alias: str,
    before: str | None, after: str | None,
) -> RegistryModel:  # fmt: skip
    changed = touch_model(connection, model.slug)
    record(
        connection, who, event, slug=model.slug, version=after, etag=changed.etag,
        data={"alias": alias, "before": before}, before=before, after=after,
    )  # fmt: skip
    return changed
