"""The frame of every JSON document: ``schema`` first, ``warnings`` last; and the JSON form of
errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json


@dataclass(frozen=True, slots=True)
class Failure:
    """An error: ``message`` (with numbers), ``hint`` (a command) and ``code`` (for scripts)."""

    code: str
    message: str
    hint: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailureBody:
    """The body of ``modelscan.error/1``."""

    error: Failure


def schema_id(name: str, version: int = 1) -> str:
    """``catalog.search`` -> ``modelscan.catalog.search/1``."""
    return f"modelscan.{name}/{version}"


def envelope(
    name: str, body: object, warnings: Sequence[str] = (), *, version: int = 1
) -> dict[str, Any]:
    """The JSON document of a typed answer; an answer's own ``warnings`` join the frame's, once
    each.
    """
    fields: dict[str, Any] = dict(to_json(body))
    merged = dict.fromkeys([*warnings, *fields.pop("warnings", ())])
    return {"schema": schema_id(name, version), **fields, "warnings": list(merged)}


def error_envelope(error: ModelscanError) -> dict[str, Any]:
    """The JSON form of a failure."""
    failure = Failure(error.code, error.message, error.hint, error.details)
    return {"schema": schema_id("error"), **to_json(FailureBody(failure))}
