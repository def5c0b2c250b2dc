"""Reads parsed YAML as the types of the format. Pure: every mismatch becomes a finding.

A value of the wrong kind, a missing key or an unknown one is an error with the path to it; the
nearest known key is suggested.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from modelscan.core.finding import Finding
from modelscan.core.nearest import nearest

T = TypeVar("T")
INVALID = object()  # a value that could not be read
_KINDS = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}


def read_as(kind: type[T], value: Any, where: str, findings: list[Finding]) -> T | None:
    """The value as ``kind``; None, with findings, where it is not one."""
    read = _read(kind, value, where, findings)
    return None if read is INVALID else cast(T, read)


def keys_of(kind: type[Any]) -> tuple[str, ...]:
    """The keys of one of the format's mappings."""
    return tuple(one.name for one in dataclasses.fields(kind))


def described(text: str, minimum: float | None = None) -> Mapping[str, Any]:
    """The metadata of a field: its help, and the smallest number that it accepts."""
    return {"help": text} if minimum is None else {"help": text, "minimum": minimum}


def place_of(where: str) -> tuple[str | int, ...]:
    """``routing.direct.providers[0].name`` as a path of keys and numbers."""
    steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", where)
    return tuple(int(number) if number else key for number, key in steps)


def unknown_keys(values: Mapping[str, Any], where: str, keys: Sequence[str]) -> Iterator[Finding]:
    """An error for each key that the format does not have."""
    for key in values:
        if key in keys:
            continue
        near = nearest(str(key), keys)
        hint = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(keys)}"
        place = f"{where}.{key}" if where else str(key)
        yield Finding("error", place, f"{where or 'the file'}: unknown key '{key}'", hint)


def wrong_kind(where: str, kind: str, value: Any) -> Finding:
    """The error for a value of another kind."""
    scalar = isinstance(value, (bool, int, float))
    hint = f'quote it: {where.rpartition(".")[2]}: "…"' if kind == "text" and scalar else None
    return Finding("error", where, f"{where} must be {kind}, not {kind_of(value)}", hint)


def kind_of(value: Any) -> str:
    """The kind of a value, in words."""
    if value is None:
        return "empty"
    return {str: "text", int: "a number", float: "a number", bool: "true or false"}.get(
        type(value), "a list" if isinstance(value, list) else "a mapping"
    )


def shortened(value: Any) -> str:
    """A value in a message: a scalar as it is, else its kind."""
    return kind_of(value) if isinstance(value, (list, Mapping)) else repr(value)[:60]


def _read(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    """The value as ``kind`` or ``INVALID``."""
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _optional(kind, value, where, findings)
    if origin is Literal:
        return _one_of(get_args(kind), value, where, findings)
    if origin is list:
        return _list(get_args(kind)[0], value, where, findings)
    if origin is dict:
        return _dict(get_args(kind)[1], value, where, findings)
    if dataclasses.is_dataclass(kind):
        return _mapping(cast(type[Any], kind), value, where, findings)
    return _scalar(kind, value, where, findings)


def _optional(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    others = [one for one in get_args(kind) if one is not types.NoneType]
    return None if value is None else _read(others[0], value, where, findings)


def _one_of(options: Sequence[Any], value: Any, where: str, findings: list[Finding]) -> Any:
    if isinstance(value, bool) and "on" in options:  # YAML reads on and off as true and false
        value = "on" if value else "off"
    if any(type(value) is type(option) and value == option for option in options):
        return value
    parent, _, key = where.rpartition(".")
    near = nearest(str(value), [str(option) for option in options])
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(map(str, options))}"
    place = f"{parent}: " if "[" in parent else ""
    message = f"{place}{key or where} {shortened(value)} is not supported"
    findings.append(Finding("error", where, message, hint))
    return INVALID


def _list(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    if not isinstance(value, list):
        findings.append(wrong_kind(where, "a list", value))
        return INVALID
    if kind is str and not all(isinstance(one, str) for one in value):
        wrong = next(one for one in value if not isinstance(one, str))
        findings.append(wrong_kind(where, "a list of text", wrong))
        return INVALID
    items = [_item(kind, one, f"{where}[{at}]", findings) for at, one in enumerate(value)]
    whole = [one for one in items if one is not INVALID]
    if dataclasses.is_dataclass(kind):  # a broken entry does not hide the others
        return whole
    return whole if len(whole) == len(items) else INVALID


def _dict(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    if not isinstance(value, Mapping):
        findings.append(wrong_kind(where, "a mapping", value))
        return INVALID
    items = {key: _read(kind, one, f"{where}.{key}", findings) for key, one in value.items()}
    return INVALID if any(one is INVALID for one in items.values()) else items


def _mapping(kind: type[Any], value: Any, where: str, findings: list[Finding]) -> Any:
    value = {} if value is None else value
    if not isinstance(value, Mapping):
        findings.append(wrong_kind(where, "a mapping", value))
        return INVALID
    findings += unknown_keys(value, where, keys_of(kind))
    hints = _hints(cast(Hashable, kind))
    fields = {
        one.name: _field(one, hints[one.name], value, where, findings)
        for one in dataclasses.fields(kind)
    }
    read = {key: one for key, one in fields.items() if one is not INVALID}
    required = [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    if not set(required) <= set(read):
        return INVALID
    made = kind(**read)  # what could not be read has its default
    problems = getattr(made, "problems", None)
    if problems is not None and len(read) == len(fields):
        findings += problems(where)
    return made


def _item(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    """An item of a list: with an error anywhere inside, it is left out."""
    before = len(findings)
    read = _read(kind, value, where, findings)
    return INVALID if any(f.level == "error" for f in findings[before:]) else read


def _field(
    one: dataclasses.Field[Any], kind: Any, values: Mapping[str, Any], where: str,
    findings: list[Finding],
) -> Any:  # fmt: skip
    place = f"{where}.{one.name}" if where else one.name
    required = one.default is dataclasses.MISSING
    value = values.get(one.name)
    if required and (value is None or value == ""):
        findings.append(Finding("error", place, f"{where or 'the file'} needs {one.name}"))
        return INVALID
    if value is None and not required:
        return one.default
    read = _read(kind, value, place, findings)
    smallest = one.metadata.get("minimum")
    if smallest is not None and isinstance(read, (int, float)) and read < smallest:
        findings.append(_too_small(place, smallest, kind))
        return INVALID
    return read


def _too_small(place: str, smallest: float, kind: Any) -> Finding:
    where, _, key = place.rpartition(".")
    whole = "whole number" if int in (kind, *get_args(kind)) else "number"
    words = f"a positive {whole}" if smallest == 1 else f"a {whole} of at least {smallest:g}"
    return Finding("error", place, f"{where}: {key} must be {words}")


def _scalar(kind: Any, value: Any, where: str, findings: list[Finding]) -> Any:
    accepted = (int, float) if kind is float else (kind,)
    if type(value) in accepted:
        return float(value) if kind is float else value
    findings.append(wrong_kind(where, _KINDS[kind], value))
    return INVALID


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(cast(type[Any], kind))
