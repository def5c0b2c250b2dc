"""What the fields of a model or a version may contain, beyond their types: bounds and forms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from modelscan.registry.names import MOST_SLUG
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts, WeightsFile

MOST_TEXT, MOST_LONG_TEXT, MOST_FILES, MOST_NUMBER = 512, 20_000, 5_000, 2**60
_LONG = frozenset(("description", "notes"))
_SCHEMES = ("https", "http", "file")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def is_license(text: str) -> bool:
    """Whether a text has the form of an SPDX id."""
    return len(text) <= MOST_TEXT and _SPDX.fullmatch(text) is not None


def checked_facts(facts: RegistryModelFacts | RegistryVersionFacts) -> None:
    """Raises RegistryRefused (invalid) with the field that is wrong."""
    is_model = isinstance(facts, RegistryModelFacts)
    for one in fields(RegistryModelFacts if is_model else RegistryVersionFacts):
        _check_value(one.name, getattr(facts, one.name))
    if facts.license is not None and not is_license(facts.license):
        raise _wrong("license", "is an SPDX id such as apache-2.0")
    if isinstance(facts, RegistryModelFacts):
        _check_texts("modalities", facts.modalities or ())
        return
    _check_url(facts.weights_url)
    if facts.lineage is not None:
        for one in fields(facts.lineage):
            _check_value(f"lineage.{one.name}", getattr(facts.lineage, one.name))
    _check_files(facts.files)


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, str):
        most = MOST_LONG_TEXT if name in _LONG else MOST_SLUG if name == "slug" else MOST_TEXT
        if len(value) > most or not value.strip() or _CONTROL.search(value):
            raise _wrong(name, f"has 1 to {most:,} characters, none of them control characters")
    if isinstance(value, int) and not isinstance(value, bool) and not 0 < value <= MOST_NUMBER:
        raise _wrong(name, "is a number above 0")


def _check_texts(name: str, values: Iterable[str]) -> None:
    listed = list(values)
    if len(listed) > 32:
        raise _wrong(name, f"has {len(listed)} values; the most is 32")
    for value in listed:
        _check_value(name, value)


def _check_url(url: str | None) -> None:
    """An address without user and password: every reader of the registry sees it."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError:
        host, secret, parts = None, None, urlsplit("")
    if parts.scheme not in _SCHEMES or (parts.scheme != "file" and not host):
        raise _wrong("weights_url", f"is an address that begins with {', '.join(_SCHEMES)}")
    if secret:
        raise _wrong("weights_url", "has a password, which every reader would see")


def _check_files(files: tuple[WeightsFile, ...]) -> None:
    if len(files) > MOST_FILES:
        raise _wrong("files", f"has {len(files):,} files; the most is {MOST_FILES:,}")
    paths = [one.path for one in files]
    if len(set(paths)) < len(paths):
        raise _wrong("files", "names a path twice")
    for one in files:
        _check_value("files.path", one.path)
        if one.path.startswith("/") or ".." in one.path.split("/") or "\\" in one.path:
            raise _wrong("files.path", f"is a relative path, not '{one.path}'")
        if one.size_bytes is not None and not 0 <= one.size_bytes <= MOST_NUMBER:
            raise _wrong("files.size_bytes", "is a number of bytes")
        if one.sha256 is not None and not _SHA256.fullmatch(one.sha256):
            raise _wrong("files.sha256", "has 64 hexadecimal digits in lower case")


def _wrong(name: str, rule: str) -> RegistryRefused:
    return RegistryRefused("invalid", f"{name} {rule}", details={"field": name})
