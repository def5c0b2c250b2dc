"""Models as JSON Lines: the same models give the same bytes, and reading them gives them back.

First line: ``{"schema": …}``. Then each model followed by its versions, by slug and number. Times,
authors, tags and aliases are part of it; events and the audit are not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from modelscan.core.jsonform import to_json
from modelscan.registry.canonical import canonical, content_digest, etag_of, read_record
from modelscan.registry.checks import checked_facts
from modelscan.registry.events import record
from modelscan.registry.names import checked_alias, checked_slug, checked_tag, checked_version
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import (
    model_of,
    put_model,
    put_version,
    version_of,
)
from modelscan.registry.types import ModelVersion, RegistryModel
from modelscan.state.clock import seconds_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.engines import refresh_statistics
from modelscan.state.server.registry_tables import ALIASES, MODELS, TAGS, TERMS, VERSIONS

SCHEMA = "modelscan.registry.export/1"
Stored = TypeVar("Stored", RegistryModel, ModelVersion)
MOST_LINE = 4 * 1024 * 1024
_MANY = 500  # rows at once, after which a database's statistics are stale


def exported(connection: sa.Connection) -> Iterator[str]:
    """The lines of all models, each with its end."""
    yield canonical({"schema": SCHEMA}) + "\n"
    models = connection.execute(sa.select(MODELS).order_by(MODELS.c.slug)).mappings().all()
    query = sa.select(VERSIONS).order_by(VERSIONS.c.slug, VERSIONS.c.number)
    versions: dict[str, list[ModelVersion]] = {}
    for row in connection.execute(query).mappings():
        versions.setdefault(row["slug"], []).append(version_of(row["body"], row["etag"]))
    for row in models:
        model = model_of(row["body"], row["etag"])
        yield canonical({"last_number": row["last_number"], "model": to_json(model)}) + "\n"
        for version in versions.get(model.slug, ()):
            yield canonical({"version": to_json(version)}) + "\n"


def imported(
    connection: sa.Connection, who: Actor, lines: Iterable[bytes],
    governed: Collection[str] = (),
) -> tuple[int, int, int]:  # fmt: skip
    """Read models and versions, in the caller's transaction: (models, versions, unchanged).

    What is there already, with the same content, is left as it is. ``governed``: tags that only a
    curation sets, which are left out. Raises RegistryRefused
    (invalid) with the line that cannot be read, (exists) for a model that differs.
    """
    counts = [0, 0, 0]
    model: RegistryModel | None = None
    versions: list[ModelVersion] = []
    last = 0
    for number, line in enumerate(lines, 1):
        row = _line(number, line)
        if number == 1:
            _check_schema(row)
        elif "model" in row:
            _finish(connection, who, model, versions, last, counts)
            model, last = _model(number, row["model"], governed), _last_number(number, row)
            versions = []
        else:
            version = _version(number, row.get("version"), model)
            version = replace(
                version, tagged=tuple(one for one in version.tagged if one.tag not in governed)
            )
            if any(one.version == version.version for one in versions):
                raise _wrong(number, f"has the version {version.version} a second time")
            versions.append(version)
    _finish(connection, who, model, versions, last, counts)
    if counts[0] + counts[1] >= _MANY:
        refresh_statistics(connection, MODELS, VERSIONS, TAGS, ALIASES, TERMS)
    return counts[0], counts[1], counts[2]


def _finish(
    connection: sa.Connection, who: Actor, model: RegistryModel | None,
    versions: list[ModelVersion], last: int, counts: list[int],
) -> None:  # fmt: skip
    """Store one model with its versions."""
    if model is None:
        return
    stored = connection.execute(
        sa.select(MODELS.c.etag).where(MODELS.c.slug == model.slug)
    ).scalar()
    if stored is not None:
        if stored != model.etag:
            raise RegistryRefused(
                "exists", f"the registry has another model '{model.slug}' already",
                hint=f"modelscan registry show {model.slug}",
            )  # fmt: skip
        counts[2] += 1 + len(versions)
        return
    numbers = {version.version for version in versions}
    wrong = next((name for name, at in model.aliases.items() if at not in numbers), None)
    if wrong is not None:
        raise RegistryRefused(
            "invalid", f"the alias '{wrong}' of '{model.slug}' names no version of the file"
        )
    for version in versions:
        _insert_labels(connection, version)
        put_version(connection, version)
    rows = [
        {"slug": model.slug, "alias": checked_alias(alias), "number": checked_version(number),
         "by": who.name, "at": seconds_of(model.updated_at)}
        for alias, number in model.aliases.items()
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(ALIASES), rows)
    written = put_model(connection, model)
    largest = max([last, *(int(one.version) for one in versions)])
    place = MODELS.c.slug == model.slug
    connection.execute(sa.update(MODELS).where(place).values(last_number=largest))
    record(
        connection, who, "model.created", slug=model.slug, etag=written.etag,
        data={"imported": True, "versions": len(versions)}, after=written.etag,
    )  # fmt: skip
    counts[0] += 1
    counts[1] += len(versions)


def _insert_labels(connection: sa.Connection, version: ModelVersion) -> None:
    rows = [
        {"slug": version.slug, "number": int(version.version), "tag": checked_tag(one.tag),
         "active": version.state != "deprecated", "by": one.by, "at": seconds_of(one.at)}
        for one in {mark.tag: mark for mark in version.tagged}.values()
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(TAGS), rows)


def _line(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > MOST_LINE:
        raise _wrong(number, f"has {len(line):,} bytes; the most is {MOST_LINE:,}")
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _wrong(number, f"is no JSON object ({error})") from None


def _check_schema(row: dict[str, Any]) -> None:
    if row.get("schema") != SCHEMA:
        raise RegistryRefused(
            "invalid", f"the file is no export of a registry: its first line is not {SCHEMA}",
            hint="modelscan registry export FILE",
        )  # fmt: skip


def _model(number: int, value: Any, governed: Collection[str]) -> RegistryModel:
    model = _record(number, RegistryModel, value)
    if not set(governed).isdisjoint(model.tags):
        tags = tuple(tag for tag in model.tags if tag not in governed)
        model = replace(model, tags=tags, etag="")
        model = replace(model, etag=etag_of(canonical(model)))
    checked_slug(model.slug)
    _check_times(number, model.created_at, model.updated_at)
    return model


def _version(number: int, value: Any, model: RegistryModel | None) -> ModelVersion:
    version = _record(number, ModelVersion, value)
    if model is None or version.slug != model.slug:
        raise _wrong(number, "is a version that does not follow its model")
    checked_version(version.version)
    _check_times(number, version.created_at, version.updated_at, *(t.at for t in version.tagged))
    return replace(version, digest=content_digest(version))


def _check_times(number: int, *times: str) -> None:
    for text in times:
        if seconds_of(text) is None:
            raise _wrong(number, f"has a time that is none: '{text[:40]}'")


def _record(number: int, kind: type[Stored], value: Any) -> Stored:
    try:
        found = read_record(kind, value)
        checked_facts(found)
    except RegistryRefused as error:
        raise _wrong(number, f"is refused: {error.message}") from None
    return found


def _last_number(number: int, row: dict[str, Any]) -> int:
    value = row.get("last_number", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9:
        raise _wrong(number, "has a last_number that is none")
    return value


def _wrong(number: int, text: str) -> RegistryRefused:
    return RegistryRefused("invalid", f"line {number} {text}; nothing was imported")
