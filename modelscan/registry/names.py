"""Names in the registry: slugs, tags, aliases, and references such as ``SLUG@champion``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from modelscan.registry.refused import RegistryRefused

MOST_SLUG, MOST_LABEL = 128, 255
_PART = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_SLUG = re.compile(rf"{_PART}(?:/{_PART})?")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_VERSION_LIKE = re.compile(r"[vV]?[0-9]+")
_DIGEST = re.compile(r"sha256:([0-9a-f]{12,64})")
# They follow a slug in paths, so that no part of a slug may be one.
RESERVED = frozenset((
    "versions", "aliases", "tags", "publish", "history", "revision", "tree", "refs", "resolve",
    "curations", "evals",
))  # fmt: skip
PREFIX = "registry:"

ReferenceKind = Literal["default", "version", "alias", "digest"]


@dataclass(frozen=True, slots=True)
class VersionReference:
    """``SLUG``, ``SLUG@2``, ``SLUG@champion`` or ``SLUG@sha256:…``; ``value`` follows ``@``."""

    slug: str
    kind: ReferenceKind
    value: str = ""

    def __str__(self) -> str:
        at = {"default": "", "digest": "@sha256:"}.get(self.kind, "@")
        return f"{self.slug}{at}{self.value}"


def checked_slug(text: str) -> str:
    """A slug. Raises RegistryRefused (invalid)."""
    if len(text) > MOST_SLUG or not _SLUG.fullmatch(text):
        near = re.sub(r"[^a-z0-9._/-]+", "-", text.lower()).strip("-./_")[:MOST_SLUG]
        hint = f"modelscan registry add {near}" if _SLUG.fullmatch(near) else None
        raise RegistryRefused(
            "invalid",
            f"'{text[:MOST_SLUG]}' is not a slug: lower-case letters, digits, '.', '_' and '-', "
            f"with at most one '/', at most {MOST_SLUG} characters",
            hint=hint or "modelscan registry list",
        )
    taken = [part for part in text.split("/") if part in RESERVED]
    if taken:
        raise RegistryRefused(
            "invalid", f"'{taken[0]}' is part of the registry's paths and no name of a model",
            hint="modelscan registry list",
        )  # fmt: skip
    return text


def checked_tag(text: str) -> str:
    """A tag. Raises RegistryRefused (invalid)."""
    if len(text) > MOST_LABEL or not _TAG.fullmatch(text):
        raise RegistryRefused(
            "invalid",
            f"'{text[:MOST_LABEL]}' is not a tag: letters, digits, '.', '_', ':' and '-', "
            f"beginning with a letter or digit, at most {MOST_LABEL} characters",
            hint="modelscan registry tag add --help",
        )
    return text


def checked_alias(text: str) -> str:
    """An alias: neither ``latest`` nor the like of ``v1`` or ``1``. Raises RegistryRefused."""
    wrong = text.lower() == "latest" or _VERSION_LIKE.fullmatch(text) is not None
    if wrong or len(text) > MOST_LABEL or not _ALIAS.fullmatch(text):
        raise RegistryRefused(
            "invalid",
            f"'{text[:MOST_LABEL]}' is not an alias: letters, digits, '_' and '-', at most "
            f"{MOST_LABEL} characters, not 'latest' and not like 'v1' or '1'",
            hint="modelscan registry alias set --help",
        )
    return text


def checked_version(text: str) -> int:
    """A version's number. Raises RegistryRefused (unknown_version)."""
    if not _NUMBER.fullmatch(text):
        raise RegistryRefused(
            "unknown_version", f"'{text[:MOST_LABEL]}' is not a version: versions are 1, 2, 3, …"
        )
    return int(text)


def parse_reference(text: str) -> VersionReference:
    """``[registry:]SLUG[@VERSION|@ALIAS|@sha256:DIGEST]``. Raises RegistryRefused (invalid)."""
    slug, at, value = text.removeprefix(PREFIX).partition("@")
    checked_slug(slug)
    if not at:
        return VersionReference(slug, "default")
    digest = _DIGEST.fullmatch(value)
    if digest is not None:
        return VersionReference(slug, "digest", digest[1])
    if _NUMBER.fullmatch(value):
        return VersionReference(slug, "version", value)
    return VersionReference(slug, "alias", checked_alias(value))


def version_reference(text: str) -> tuple[str, int | None]:
    """``SLUG@VERSION`` as a slug and a number; without ``@`` None. Raises RegistryRefused."""
    slug, at, value = text.removeprefix(PREFIX).partition("@")
    return checked_slug(slug), checked_version(value) if at else None
