"""Models in the registry: created, edited by merge patches, deleted, each with its event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelscan.core.jsonform import from_json, to_json
from modelscan.registry.canonical import merged, read_record
from modelscan.registry.checks import checked_facts
from modelscan.registry.events import record
from modelscan.registry.names import checked_slug
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import check_etag, facts_of, find_model, put_model
from modelscan.registry.types import RegistryModel, RegistryModelFacts
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import moment
from modelscan.state.server.registry_tables import ALIASES, MODELS, TAGS, TERMS, VERSIONS

# A published version relies on them: they may become known, but do not change.
_FIXED = ("license", "base", "context_tokens")


def create_model(connection: sa.Connection, who: Actor, facts: RegistryModelFacts) -> RegistryModel:
    """Store a new model. Raises RegistryRefused (invalid, exists)."""
    checked_facts(facts)
    slug = checked_slug(facts.slug)
    if connection.execute(sa.select(MODELS.c.slug).where(MODELS.c.slug == slug)).first():
        raise RegistryRefused(
            "exists", f"the registry has a model '{slug}' already",
            hint=f"modelscan registry version add {slug} --help",
        )  # fmt: skip
    now = text_of(moment(connection))
    model = from_json(
        RegistryModel,
        {**to_json(facts), "created_at": now, "created_by": who.name, "updated_at": now},
    )
    model = put_model(connection, model)
    record(connection, who, "model.created", slug=slug, etag=model.etag, after=facts_of(model))
    return model


def edit_model(
    connection: sa.Connection,
    who: Actor,
    slug: str,
    patch: Mapping[str, Any],
    expected: Collection[str] | None = None,
) -> RegistryModel:
    """Apply a JSON Merge Patch to what people state of a model; ``expected``: ETags.

    Raises RegistryRefused (unknown_model, stale, invalid, version_published).
    """
    model = find_model(connection, slug)
    check_etag(model.etag, expected, f"'{slug}'")
    before = facts_of(model)
    facts = read_record(RegistryModelFacts, {"slug": slug, **merged(before, patch)})
    checked_facts(facts)
    if facts.slug != slug:
        raise RegistryRefused("invalid", f"the slug of '{slug}' cannot be changed")
    if to_json(facts) == before:
        return model
    _check_fixed(model, facts)
    now = text_of(moment(connection))
    changed = put_model(
        connection,
        from_json(RegistryModel, {**to_json(model), **to_json(facts), "updated_at": now}),
    )
    after = facts_of(changed)
    names = sorted(name for name, value in after.items() if before[name] != value)
    record(
        connection, who, "model.updated", slug=slug, etag=changed.etag,
        data={"fields": names}, before=before, after=after,
    )  # fmt: skip
    return changed


def delete_model(
    connection: sa.Connection, who: Actor, slug: str, expected: Collection[str] | None = None
) -> RegistryModel:
    """Delete a model with its versions, tags and aliases; returns what it was.

    Raises RegistryRefused (unknown_model, stale).
    """
    model = find_model(connection, slug)
    check_etag(model.etag, expected, f"'{slug}'")
    for table in (TERMS, ALIASES, TAGS, VERSIONS, MODELS):
        connection.execute(sa.delete(table).where(table.c.slug == slug))
    record(
        connection, who, "model.deleted", slug=slug, etag=model.etag, before=facts_of(model),
        data={"versions": model.version_count},
    )  # fmt: skip
    return model


def touch_model(connection: sa.Connection, slug: str) -> RegistryModel:
    """Write a model again after its versions, tags or aliases changed."""
    now = text_of(moment(connection))
    return put_model(connection, replace(find_model(connection, slug), updated_at=now))


def _check_fixed(model: RegistryModel, facts: RegistryModelFacts) -> None:
    if model.latest_version is None:
        return
    for name in _FIXED:
        before = getattr(model, name)
        if before is not None and getattr(facts, name) != before:
            raise RegistryRefused(
                "version_published",
                f"'{model.slug}' has published versions, which rely on its {name} ({before})",
                hint=f"modelscan registry version add {model.slug} --help",
            )
