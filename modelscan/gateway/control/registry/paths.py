"""The registry's paths with their scopes; a slug in a path has at most one ``/``."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

from modelscan.core.access import Scope
from modelscan.gateway.scopes import PathScope
from modelscan.registry.names import RESERVED

_NOT_RESERVED = rf"(?!(?:{'|'.join(sorted(RESERVED))})(?:/|$))"
_READERS: tuple[Scope, ...] = ("read", "operator", "curator")
_WRITERS: tuple[Scope, ...] = ("operator", "curator")
_MODELS = "/v1/registry/models"
_MODEL = f"{_MODELS}/{{slug:slug}}"
_VERSION = f"{_MODEL}/versions/{{version}}"


class SlugConvertor(Convertor[str]):
    """A slug in a path: one part, or two of which the second is not a word of the paths."""

    regex = rf"[^/]+(?:/{_NOT_RESERVED}[^/]+)?"

    def convert(self, value: str) -> str:
        """The slug as it is; the registry checks it."""
        return value

    def to_string(self, value: str) -> str:
        """The same."""
        return value


register_url_convertor("slug", SlugConvertor())


def _read(path: str, what: str) -> PathScope:
    return PathScope(("GET",), path, _READERS, what)


def _write(methods: tuple[str, ...], path: str, what: str) -> PathScope:
    return PathScope(methods, path, _WRITERS, what)


REGISTRY_PATHS: tuple[PathScope, ...] = (
    _read(_MODELS, "the models of the registry that fit the query, page by page"),
    _write(("POST",), _MODELS, "add a model"),
    _read(f"{_MODEL}/versions", "the versions of a model, the newest first"),
    _write(("POST",), f"{_MODEL}/versions", "add a version; the same content: the one there"),
    _write(("POST",), f"{_VERSION}/publish", "publish a version: it never changes again"),
    _write(("PUT", "DELETE"), f"{_VERSION}/tags/{{tag}}", "tag a version, or take a tag back"),
    _read(_VERSION, "a version"),
    _write(("PATCH", "DELETE"), _VERSION, "change or delete a draft; deprecate a version"),
    _write(("PUT", "DELETE"), f"{_MODEL}/aliases/{{alias}}", "let an alias name a version"),
    _read(f"{_MODEL}/history", "what happened to a model, the newest first"),
    _read(_MODEL, "a model"),
    _write(("PATCH", "DELETE"), _MODEL, "change a model (JSON Merge Patch), or delete it"),
    _read(
        "/v1/registry/resolve/{reference:slug}", "the weights that `SLUG[@VERSION|@ALIAS]` means"
    ),
)
"""The rows of ``/v1/registry``, the more specific ones first."""
