"""Dataclasses to JSON values: enums by value, tuples as lists, ``None`` kept as ``null``.

JSON has no NaN and no infinity: they become ``null``, as everything unknown.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import pathlib
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> Any:
    """The JSON form of any core value; raises TypeError for what has none."""
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
