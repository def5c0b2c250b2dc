"""Whether two JSON values are the same."""

from __future__ import annotations

from typing import Any

_TOLERANCE = 1e-9


def same(value: Any, expected: Any) -> bool:
    """Equal JSON values; numbers within 1e-9, and True is not 1."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, (int, float)) and isinstance(expected, (int, float)):
        try:
            return abs(value - expected) <= _TOLERANCE * max(1.0, abs(expected))
        except OverflowError:  # a whole number beyond every float
            return False
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(same, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same(value[k], expected[k]) for k in value)
    return type(value) is type(expected) and bool(value == expected)
