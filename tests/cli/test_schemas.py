"""The schemas are made from the types of the documents, and each document has one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY

from modelscan.core.yaml_reader import yaml_value
from scripts.build_schemas import (
    BODIES,
    FILES,
    FOLDER,
    document_schema,
    file_schema,
    file_text,
    text_of,
)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_schemas_are_fresh(name: str) -> None:
    """``make schemas`` writes what is there."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name)


def test_every_schema_has_an_origin() -> None:
    """No schema is written by hand."""
    assert {path.stem for path in FOLDER.glob("*.json")} == BODIES.keys()


@pytest.mark.parametrize("name", sorted(FILES))
def test_schemas_of_files_are_fresh_and_accept_the_example(name: str) -> None:
    assert (FOLDER / "files" / f"{name}.json").read_text(encoding="utf-8") == file_text(name)
    example = (REPOSITORY / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    assert example.startswith(f"# yaml-language-server: $schema=../modelscan/schemas/files/{name}")
    check = jsonschema.Draft202012Validator(file_schema(name))
    assert [error.message for error in check.iter_errors(yaml_value(example))] == []
    wrong = {"version": 1, "deployment": {"model": "m", "replica": 2}, "routing": {"routes": []}}
    assert check.is_valid(wrong) is False


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
