"""docs/reference/json.md and json-types.md from the JSON schemas: every document with its fields,
and the types that documents share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]
TYPES = "json-types.md"
_TYPES = {
    "integer": "whole number", "number": "number", "string": "text", "boolean": "true or false",
    "null": "null",
}  # fmt: skip
_INTRODUCTION = """\
Every command with `--json` prints one object on standard output. Its first field, `schema`, names
the document and its version; [modelscan/schemas](../../modelscan/schemas) has the JSON Schema of
each (draft 2020-12). A field with `?` is optional, all others are present; `null` means
unknown or none. Within a version fields may be added, and no field changes its meaning.

`[]` is an array's element, `{}` any key of an object.
"""


def json_page(folder: Path) -> str:
    """One section for each document."""
    parts = ["# JSON documents\n", _INTRODUCTION]
    documents = _documents(folder)
    for name, schema in documents.items():
        if _names_document(schema):
            parts.append(_document(name, schema))
    return "\n".join(parts).replace("](#", f"]({TYPES}#")


def json_types_page(folder: Path) -> str:
    """One section for each type that documents share."""
    parts = ["# Types of JSON documents\n\nObjects that the [documents](json.md) name.\n"]
    for title, schema in sorted(_shared_types(_documents(folder)).items()):
        parts.append(f"## {title}\n\n{_table(schema)}")
    return "\n".join(parts)


def _documents(folder: Path) -> dict[str, Schema]:
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def _names_document(schema: Schema) -> bool:
    return "schema" in schema.get("properties", {})


def _document(name: str, schema: Schema) -> str:
    constant = schema["properties"]["schema"].get("const", name.removesuffix(".json"))
    title = schema.get("title")
    description = schema.get("description")
    lines = [f"## `{constant}`\n"]
    lines += [f"{text}\n" for text in (title, description) if text]
    return "\n".join(lines) + "\n" + _table(schema)


def _shared_types(documents: Mapping[str, Schema]) -> dict[str, Schema]:
    """Definitions by name. Documents that define a name differently must not share it."""
    found: dict[str, Schema] = {}
    for schema in documents.values():
        for name, definition in schema.get("$defs", {}).items():
            known = found.setdefault(name, definition)
            if known != definition:
                found[name] = _merged(known, definition)
    return found


def _merged(one: Schema, other: Schema) -> Schema:
    """Both variants' fields: some documents show less of the same thing."""
    properties = {**other.get("properties", {}), **one.get("properties", {})}
    required = set(one.get("required", ())) & set(other.get("required", ()))
    return {**one, "properties": properties, "required": sorted(required)}


def _table(schema: Schema) -> str:
    rows = list(_rows(schema, ""))
    if not rows:
        return f"{_type(schema)}\n"
    has_notes = any(note for _, _, note in rows)
    head = ["| field | type | meaning |", "|---|---|---|"] if has_notes else [
        "| field | type |", "|---|---|"]  # fmt: skip
    body = [
        f"| `{path}` | {kind} | {note} |" if has_notes else f"| `{path}` | {kind} |"
        for path, kind, note in rows
    ]
    return "\n".join((*head, *body)) + "\n"


def _rows(schema: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Fields as dotted paths; objects without a name of their own are written out in place."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}{'' if name in required else '?'}"
        yield path, _cell(_type(field)), _cell(field.get("description", ""))
        yield from _nested(field, path)
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping) and schema.get("type") == "object" and prefix:
        yield from _nested(values, f"{prefix.removesuffix('.')}{{}}")


def _nested(field: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    for variant in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _nested(variant, path)
    if "items" in field:
        yield from _nested(field["items"], f"{path}[]")
    if field.get("type") == "object" or "properties" in field:
        yield from _rows(field, f"{path}.")


def _type(field: Schema) -> str:
    """A field's type in words."""
    if "$ref" in field:
        return _link(str(field["$ref"]))
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return " | ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    for key in ("anyOf", "oneOf"):
        if key in field:
            return " | ".join(dict.fromkeys(_type(variant) for variant in field[key]))
    return _plain_type(field)


def _plain_type(field: Schema) -> str:
    kind = field.get("type")
    if isinstance(kind, list):
        return " | ".join(_plain_type({**field, "type": one}) for one in kind)
    if kind == "array":
        return f"array of {_type(field.get('items', {}))}"
    if kind == "object":
        values = field.get("additionalProperties")
        plain = isinstance(values, Mapping) and not field.get("properties")
        return f"object of {_type(values)}" if plain and values else "object"
    return _TYPES.get(str(kind), "any value")


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2].removesuffix(".json")
    return f"[{name}](#{name.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
