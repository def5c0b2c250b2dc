"""Stored rows: records read from their JSON and written with the columns that are searched."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from typing import Any

import sqlalchemy as sa

from modelscan.core.jsonform import from_json, to_json
from modelscan.core.nearest import nearest
from modelscan.registry.canonical import canonical, etag_of
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import (
    ModelVersion,
    RegistryModel,
    RegistryModelFacts,
    RegistryVersionFacts,
    TagMark,
)
from modelscan.state.clock import seconds_of, text_of
from modelscan.state.server.registry_tables import ALIASES, MODELS, TAGS, TERMS, VERSIONS

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_MOST_WORDS, _LONGEST_WORD, _NEAR = 400, 64, 2_000


def model_of(body: str, etag: str) -> RegistryModel:
    """The model of a row."""
    import msgspec

    return replace(from_json(RegistryModel, msgspec.json.decode(body)), etag=etag)


def version_of(body: str, etag: str) -> ModelVersion:
    """The version of a row."""
    import msgspec

    return replace(from_json(ModelVersion, msgspec.json.decode(body)), etag=etag)


def find_model(connection: sa.Connection, slug: str) -> RegistryModel:
    """A model. Raises RegistryRefused (unknown_model) with the nearest slugs."""
    query = sa.select(MODELS.c.body, MODELS.c.etag).where(MODELS.c.slug == slug)
    row = connection.execute(query).first()
    if row is None:
        raise _unknown_model(connection, slug)
    return model_of(*row)


def find_version(connection: sa.Connection, slug: str, number: int) -> ModelVersion:
    """A version. Raises RegistryRefused (unknown_model, unknown_version)."""
    place = (VERSIONS.c.slug == slug) & (VERSIONS.c.number == number)
    row = connection.execute(sa.select(VERSIONS.c.body, VERSIONS.c.etag).where(place)).first()
    if row is None:
        raise unknown_version(find_model(connection, slug), str(number))
    return version_of(*row)


def versions_of(connection: sa.Connection, slug: str) -> tuple[ModelVersion, ...]:
    """The versions of a model, the newest first. Raises RegistryRefused (unknown_model)."""
    query = sa.select(VERSIONS.c.body, VERSIONS.c.etag).where(VERSIONS.c.slug == slug)
    rows = connection.execute(query.order_by(VERSIONS.c.number.desc())).all()
    if not rows:
        find_model(connection, slug)
    return tuple(version_of(*row) for row in rows)


def unknown_version(model: RegistryModel, text: str) -> RegistryRefused:
    """A version that a model does not have."""
    count = f"{model.version_count} version{'s' * (model.version_count != 1)}"
    return RegistryRefused(
        "unknown_version",
        f"'{model.slug}' has no version {text}; it has {count}",
        hint=f"modelscan registry show {model.slug}",
    )


def check_etag(current: str, expected: Collection[str] | None, what: str) -> None:
    """Raises RegistryRefused (stale) unless the record is still the expected one; None: any."""
    if expected is not None and current not in expected and "*" not in expected:
        raise RegistryRefused(
            "stale",
            f"{what} was changed meanwhile: its ETag is {current}",
            hint="read it again, and send its ETag",
            etag=current,
        )


def put_version(connection: sa.Connection, version: ModelVersion) -> ModelVersion:
    """Write a version and its ETag; returns it with that. Its tags are read from their table."""
    number = int(version.version)
    tags = (TAGS.c.slug == version.slug) & (TAGS.c.number == number)
    rows = connection.execute(sa.select(TAGS).where(tags).order_by(TAGS.c.tag)).mappings()
    marks = tuple(TagMark(tag=r["tag"], by=r["by"], at=text_of(r["at"])) for r in rows)
    version = replace(version, tags=tuple(one.tag for one in marks), tagged=marks, etag="")
    body = canonical(version)
    values = {
        "state": version.state,
        "digest": version.digest,
        "min_vram_bytes": version.min_vram_bytes,
        "created_at": seconds_of(version.created_at),
        "updated_at": seconds_of(version.updated_at),
        "etag": etag_of(body),
        "body": body,
    }
    place = (VERSIONS.c.slug == version.slug) & (VERSIONS.c.number == number)
    if not connection.execute(sa.update(VERSIONS).where(place).values(values)).rowcount:
        key = {"slug": version.slug, "number": number}
        connection.execute(sa.insert(VERSIONS).values(**key, **values))
    active = version.state != "deprecated"
    connection.execute(sa.update(TAGS).where(tags).values(active=active))
    return replace(version, etag=str(values["etag"]))


def put_model(connection: sa.Connection, model: RegistryModel) -> RegistryModel:
    """Write a model, its ETag and what it is found by; returns it with those of its versions."""
    model = replace(_derived(connection, model), etag="")
    body = canonical(model)
    values = {
        "family": model.family,
        "license": model.license,
        "visibility": model.visibility,
        "context_tokens": model.context_tokens,
        "min_vram_bytes": model.min_vram_bytes,
        "created_at": seconds_of(model.created_at),
        "updated_at": seconds_of(model.updated_at),
        "etag": etag_of(body),
        "body": body,
    }
    place = MODELS.c.slug == model.slug
    if not connection.execute(sa.update(MODELS).where(place).values(values)).rowcount:
        connection.execute(sa.insert(MODELS).values(slug=model.slug, last_number=0, **values))
    _put_terms(connection, model)
    return replace(model, etag=str(values["etag"]))


def facts_of(model: RegistryModel) -> dict[str, object]:
    """What people state of a model, as JSON."""
    return {one.name: to_json(getattr(model, one.name)) for one in fields(RegistryModelFacts)}


def version_facts_of(version: ModelVersion) -> dict[str, object]:
    """What people state of a version, as JSON."""
    return {one.name: to_json(getattr(version, one.name)) for one in fields(RegistryVersionFacts)}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, once each."""
    found = (match[0][:_LONGEST_WORD] for match in _WORD.finditer(text.lower()))
    return list(dict.fromkeys(found))[:_MOST_WORDS]


def _derived(connection: sa.Connection, model: RegistryModel) -> RegistryModel:
    """The model with what follows from its versions, tags and aliases."""
    versions = connection.execute(
        sa.select(VERSIONS.c.number, VERSIONS.c.state, VERSIONS.c.min_vram_bytes)
        .where(VERSIONS.c.slug == model.slug)
    ).all()  # fmt: skip
    tags = sa.select(TAGS.c.tag).where(TAGS.c.slug == model.slug, TAGS.c.active).distinct()
    aliases = sa.select(ALIASES.c.alias, ALIASES.c.number).where(ALIASES.c.slug == model.slug)
    published = [number for number, state, _ in versions if state == "published"]
    needed = [vram for _, state, vram in versions if state != "deprecated" and vram is not None]
    return replace(
        model,
        tags=tuple(sorted(connection.execute(tags).scalars())),
        aliases={alias: str(number) for alias, number in sorted(connection.execute(aliases))},
        latest_version=str(max(published)) if published else None,
        version_count=len(versions),
        min_vram_bytes=min(needed, default=None),
    )


def _put_terms(connection: sa.Connection, model: RegistryModel) -> None:
    """Only what differs is written: most changes of a model are none of its texts."""
    texts = (model.slug, model.name, model.family, model.base, model.description)
    words = words_of(" ".join(text for text in texts if text))
    wanted = {("word", word) for word in words}
    wanted |= {("modality", name) for name in model.modalities or ()}
    own = TERMS.c.slug == model.slug
    present = set(map(tuple, connection.execute(sa.select(TERMS.c.kind, TERMS.c.value).where(own))))
    for kind, value in present - wanted:
        place = own & (TERMS.c.kind == kind) & (TERMS.c.value == value)
        connection.execute(sa.delete(TERMS).where(place))
    _insert(connection, TERMS, ({"kind": kind, "value": value, "slug": model.slug}
                                for kind, value in sorted(wanted - present)))  # fmt: skip


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    if listed:
        connection.execute(sa.insert(table), listed)


def _unknown_model(connection: sa.Connection, slug: str) -> RegistryRefused:
    slugs = connection.execute(sa.select(MODELS.c.slug).limit(_NEAR)).scalars().all()
    near = nearest(slug, slugs, limit=3)
    return RegistryRefused(
        "unknown_model",
        f"the registry has no model '{slug}'",
        hint=f"modelscan registry show {near[0]}" if near else "modelscan registry list",
        details={"nearest": near},
    )
