"""Core values to JSON and back, and their JSON Schema: the dataclass is the one definition.

Reading and schemas use msgspec, imported when first used (10 to 20 ms, which a command that only
prints must not pay); writing is plain Python, which keeps the order of keys. JSON has no NaN or
infinity: they become ``null``, like everything unknown.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

T = TypeVar("T")
_REFERENCE = "#/$defs/{name}"


class Tagged:
    """The base of a family of dataclasses that a field may contain, distinguished by ``kind``.

    msgspec's own tagged unions are only for its Structs. A member is a dataclass that names the
    family as its base and begins with ``kind: Literal["local"] = "local"``; fields are annotated
    with the family (``launch: Launch | None``).
    """

    __slots__ = ()

    @classmethod
    def members(cls) -> dict[str, type[Any]]:
        """The family's dataclasses by the value of ``kind``."""
        return {
            str(field.default): member
            for member in cls.__subclasses__()
            if "__slots__" in vars(member)  # not the class that ``slots=True`` replaced
            for field in dataclasses.fields(cast(Any, member))
            if field.name == "kind"
        }


class NotReadable(ValueError):
    """A JSON value of another type than expected; the message names the place."""


def to_json(value: Any) -> Any:
    """The JSON form of any core value; raises TypeError for what has none.

    Enums by value, tuples as lists, sets sorted, paths as text, ``None`` kept as ``null``.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or (
        isinstance(value, (bool, int, float, str)) and not isinstance(value, enum.Enum)
    ):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [to_json(item) for item in items]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(kind: type[T], value: Any) -> T:
    """The inverse of ``to_json`` for a dataclass (or any type that msgspec reads).

    Missing fields get their defaults, unknown ones are dropped, enums are read by value. Raises
    NotReadable, with the place (``$.estimate.parts``), for anything else.
    """
    import msgspec

    try:
        return msgspec.convert(value, kind, dec_hook=_read_other)
    except msgspec.ValidationError as error:
        raise NotReadable(str(error)) from error


def _read_other(kind: type[Any], value: Any) -> Any:
    """Types that msgspec cannot read: families of dataclasses, and paths."""
    if issubclass(kind, Tagged):
        members = kind.members()
        tag = value.get("kind") if isinstance(value, Mapping) else None
        if tag not in members:
            raise ValueError(f"{kind.__name__} has no kind {tag!r}")
        return from_json(members[tag], value)
    if issubclass(kind, pathlib.PurePath):
        return kind(value)
    raise NotImplementedError(f"{kind.__name__} cannot be read from JSON")


def json_schema(kinds: Sequence[type[Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The JSON Schemas (draft 2020-12) of these types as ``to_json`` writes them.

    Returns one schema per type, which refers to ``#/$defs/NAME``, and those definitions. Every
    field is required, because unknown is written as null; no other field is allowed.
    """
    import msgspec

    families: dict[str, type[Any]] = {}

    def hook(kind: type[Any]) -> dict[str, Any]:
        if issubclass(kind, Tagged):
            families.update({member.__name__: member for member in kind.members().values()})
            names = [member.__name__ for member in kind.members().values()]
            return {"anyOf": [{"$ref": _REFERENCE.format(name=name)} for name in names]}
        if issubclass(kind, pathlib.PurePath):
            return {"type": "string"}
        raise NotImplementedError

    schemas, definitions = msgspec.json.schema_components(kinds, schema_hook=hook)
    while missing := [member for name, member in families.items() if name not in definitions]:
        _, more = msgspec.json.schema_components(missing, schema_hook=hook)
        definitions = {**definitions, **more}
    return [_strict(one) for one in schemas], {
        name: _strict(definitions[name]) for name in sorted(definitions)
    }


def _strict(schema: Any) -> Any:
    """A schema of what is written: complete, closed, and without Python's defaults and titles."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    properties = schema.get("properties")
    keywords = {k: v for k, v in schema.items() if k not in ("default", "title", "required")}
    if not isinstance(properties, dict):
        return {key: _strict(value) for key, value in keywords.items()}
    fields = {name: _strict(value) for name, value in properties.items()}
    return {
        **keywords,
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
