"""A bundle of routes: what they serve, exactly, in one file that deploys the same elsewhere.

``body`` says what runs and how requests reach it, without anything of the machine: no port, no
path, no key. The same body has the same bytes, and ``body_sha256`` is their digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.state.secrets import looks_like_a_key

SCHEMA = "modelscan.route.bundle/1"
MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file of weights or of an adapter; ``sha256`` None: its hub does not state it."""

    name: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class BundledAdapter:
    """A LoRA adapter: the files of its folder, or its one file."""

    name: str
    files: tuple[BundledFile, ...]


@dataclass(frozen=True, slots=True)
class BundledDeployment:
    """What a deployment runs. ``repo`` of a file on the machine is its name; ``parameters`` are
    the engine's flags, with names in the place of paths; ``wishes`` the options of the user.
    """

    name: str
    entry: str
    source: str
    repo: str
    revision: str | None
    format: str
    quantization: str | None
    files: tuple[BundledFile, ...]
    adapters: tuple[BundledAdapter, ...]
    backend: str
    backend_version: str | None
    context_tokens: int
    parallel: int
    parameters: tuple[str, ...]
    wishes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BundleBody:
    """``routing`` is the file's section, with the entries of deployments without address."""

    routing: Mapping[str, Any]
    deployments: tuple[BundledDeployment, ...]


@dataclass(frozen=True, slots=True)
class BundledVersion:
    """Which version of its machine's registry a deployment was: its name and its digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class BundledReceipts:
    """How much was served: a digest of the receipts of the routes, in their order."""

    requests: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RouteBundle:
    """``places``: where files were on the machine that wrote it, by ``DEPLOYMENT/NAME``;
    ``versions``: by deployment. Both are facts of that machine, and no part of the body.
    """

    body: BundleBody
    body_sha256: str
    receipts: BundledReceipts
    places: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, BundledVersion] = field(default_factory=dict)


def digest_of(body: BundleBody) -> str:
    """SHA-256 of the body's canonical JSON."""
    text = json.dumps(to_json(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def written(bundle: RouteBundle) -> str:
    """The file's text: the same for the same bundle. Raises ModelscanError for a key in it."""
    value = {"schema": SCHEMA, **to_json(bundle)}
    for place, text in _texts(value, ""):
        if looks_like_a_key(text):
            raise ModelscanError(
                f"{place} looks like a key: nothing was written",
                hint="write it as a reference, env:NAME, in the routing file: modelscan route edit",
                code="secret",
                details={"place": place},
            )
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(data: bytes, where: str) -> RouteBundle:
    """The bundle of a file. Raises UsageError for another file and for a changed body."""
    try:
        value = json_value(data[:MOST_BYTES])
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON: {error}", code="bad_bundle") from error
    if not isinstance(value, Mapping) or value.get("schema") != SCHEMA:
        raise UsageError(
            f"{where} is no bundle of routes",
            hint="modelscan route export --bundle FILE writes one",
            code="bad_bundle",
        )
    try:
        bundle = from_json(RouteBundle, {k: v for k, v in value.items() if k != "schema"})
    except NotReadable as error:
        raise UsageError(f"{where}: {error}", code="bad_bundle") from error
    if digest_of(bundle.body) != bundle.body_sha256:
        raise UsageError(
            f"{where} was changed: its body does not have the digest that it states",
            hint="export it again: modelscan route export --bundle FILE",
            code="bundle_changed",
        )
    return bundle


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place or "the bundle", value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _texts(one, f"{place}[{at}]")
