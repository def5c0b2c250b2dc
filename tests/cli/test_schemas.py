"""The schemas are made from the types of the documents, and each document has one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.build_schemas import BODIES, FOLDER, document_schema, text_of


@pytest.mark.parametrize("name", sorted(BODIES))
def test_schemas_are_fresh(name: str) -> None:
    """``make schemas`` writes what is there."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name)


def test_every_schema_has_an_origin() -> None:
    """No schema is written by hand."""
    assert {path.stem for path in FOLDER.glob("*.json")} == BODIES.keys()


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object schema with fields, however deep."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"plan.body"}))  # GPUStack's own fields
def test_unknown_is_null_and_never_left_out(name: str) -> None:
    """Every field is required, no other is allowed, and every reference has its definition."""
    schema = document_schema(name)
    for one in objects(schema):
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False
    references = set()
    text = json.dumps(schema)
    for part in text.split('"#/$defs/')[1:]:
        references.add(part.partition('"')[0])
    assert references == schema["$defs"].keys()
