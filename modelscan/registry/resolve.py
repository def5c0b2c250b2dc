"""A reference to its version: by number, alias, digest, or the one that is meant without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from modelscan.registry.labels import unknown_alias
from modelscan.registry.names import VersionReference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import find_model, find_version, unknown_version, version_of
from modelscan.registry.types import ModelVersion, RegistryModel
from modelscan.state.server.registry_tables import VERSIONS

CHAMPION = "champion"
ChosenBy = Literal["version", "alias", "digest", "champion", "newest_published", "newest_draft"]


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """The version that a reference means, and why."""

    model: RegistryModel
    version: ModelVersion
    chosen_by: ChosenBy


def resolve_reference(connection: sa.Connection, reference: VersionReference) -> ResolvedVersion:
    """The version of a reference.

    Without ``@``: that of the alias champion, else the newest published one, else the newest
    draft. Raises RegistryRefused (unknown_*, not_published: all versions are deprecated).
    """
    model = find_model(connection, reference.slug)
    if reference.kind == "default":
        return _default(connection, model)
    if reference.kind == "digest":
        return ResolvedVersion(model, _of_digest(connection, model, reference.value), "digest")
    number = reference.value
    if reference.kind == "alias":
        if number not in model.aliases:
            raise unknown_alias(model, number)
        number = model.aliases[number]
    return ResolvedVersion(model, find_version(connection, model.slug, int(number)),
                           "alias" if reference.kind == "alias" else "version")  # fmt: skip


def effective_license(found: ResolvedVersion) -> str | None:
    """The version's own license, else the model's."""
    return found.version.license or found.model.license


def _default(connection: sa.Connection, model: RegistryModel) -> ResolvedVersion:
    champion = model.aliases.get(CHAMPION)
    if champion is not None:
        version = find_version(connection, model.slug, int(champion))
        return ResolvedVersion(model, version, "champion")
    if model.latest_version is not None:
        version = find_version(connection, model.slug, int(model.latest_version))
        return ResolvedVersion(model, version, "newest_published")
    own = (VERSIONS.c.slug == model.slug) & (VERSIONS.c.state == "draft")
    query = sa.select(VERSIONS.c.body, VERSIONS.c.etag).where(own)
    row = connection.execute(query.order_by(VERSIONS.c.number.desc())).first()
    if row is None:
        count = (
            f"{model.version_count} versions, all deprecated"
            if model.version_count
            else "no version"
        )
        raise RegistryRefused(
            "not_published", f"'{model.slug}' has {count}",
            hint=f"modelscan registry version add {model.slug} --help",
        )  # fmt: skip
    return ResolvedVersion(model, version_of(*row), "newest_draft")


def _of_digest(connection: sa.Connection, model: RegistryModel, digest: str) -> ModelVersion:
    own = (VERSIONS.c.slug == model.slug) & VERSIONS.c.digest.startswith(digest)
    rows = connection.execute(sa.select(VERSIONS.c.body, VERSIONS.c.etag).where(own)).all()
    if len(rows) != 1:
        raise unknown_version(model, f"sha256:{digest}")
    return version_of(*rows[0])
