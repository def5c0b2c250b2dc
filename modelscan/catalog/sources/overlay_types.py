"""The types of the values in a user's catalog file, so that a wrong one is reported. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SHOWN = 60  # characters of a wrong value in a message
_Check = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


_WORDS: dict[_Check, str] = {
    _number: "a number of at least 0", _whole: "a whole number of at least 0", _text: "a text",
    _flag: "true or false", _texts: "a list of texts", _tables: "a list of tables",
}  # fmt: skip
_PLAIN: dict[_Check, tuple[str, ...]] = {
    _flag: (
        "tool_call", "reasoning", "attachment", "structured_output", "open_weights", "temperature",
    ),
    _text: (
        "name", "family", "license", "description", "release_date", "last_updated", "knowledge",
        "status", "lab", "task", "base_model",
    ),
    _whole: ("parameters", "active_parameters"),
    _texts: ("tags", "aliases", "repos", "base_model_omit"),
    _tables: ("weights", "benchmarks"),
}  # fmt: skip
_NESTED: dict[str, dict[_Check, tuple[str, ...]]] = {
    "limit": {_whole: ("context", "input", "output")},
    "cost": {
        _number: (
            "input", "output", "reasoning", "cache_read", "cache_write", "input_audio",
            "output_audio",
        ),
        _tables: ("tiers",),
    },
    "modalities": {_texts: ("input", "output")},
}  # fmt: skip


def wrong_types(entry: Mapping[str, Any]) -> Iterator[str]:
    """Each value of a wrong type, in words: ``limit.context = 'lots' is not a whole number``."""
    yield from _wrong(entry, _PLAIN, "")
    for name, checks in _NESTED.items():
        if name not in entry:
            continue
        if isinstance(entry[name], Mapping):
            yield from _wrong(entry[name], checks, f"{name}.")
        else:
            yield f"{name} = {_shown(entry[name])} is not a table"


def _shown(value: Any) -> str:
    """The value as it was written, cut: it may be of any length."""
    return repr(value)[:_SHOWN]


def _wrong(
    values: Mapping[str, Any], checks: Mapping[_Check, tuple[str, ...]], prefix: str
) -> Iterator[str]:
    for check, names in checks.items():
        for name in names:
            if name in values and not check(values[name]):
                yield f"{prefix}{name} = {_shown(values[name])} is not {_WORDS[check]}"
