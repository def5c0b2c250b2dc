"""Values of ``deployment.yaml`` as an engine takes them: text as written, JSON where nested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.yaml_reader import Path, YamlDocument
from modelscan.engines.registry import engines

Parameters = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """A place in the file, for errors that name it by key and line."""

    file: str
    document: YamlDocument
    path: Path = ()

    def at(self, key: str | int) -> KeyPlace:
        """The place of a key or of a list's item."""
        return KeyPlace(self.file, self.document, (*self.path, key))

    @property
    def name(self) -> str:
        """``deployment.parameters``; the file itself: "the file"."""
        words = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path]
        return "".join(words).lstrip(".") or "the file"

    @property
    def text(self) -> str | None:
        """The scalar as it is written; None for a mapping or a list."""
        return self.document.text(self.path)

    @property
    def shown(self) -> str:
        """The value in a message: a scalar as it is written, else its kind."""
        return "a mapping or a list" if self.text is None else f"'{self.text[:60]}'"

    def wrong(self, message: str, hint: str | None = None, **more: Any) -> UsageError:
        """The error with file and line."""
        line = self.document.line(self.path)
        where = self.file if line is None else f"{self.file}: line {line}"
        return UsageError(f"{where}: {message}", hint=hint, **more)

    def must_be(self, kind: str, value: Any) -> UsageError:
        """The error for a value of another kind."""
        shown = "empty" if value is None else self.shown
        if isinstance(value, list | Mapping):
            shown = "a list" if isinstance(value, list) else "a mapping"
        return self.wrong(
            f"{self.name} must be {kind}, not {shown}", "see examples/deployment.yaml"
        )


def text_of(value: Any, place: KeyPlace) -> str:
    """A scalar as it is written: 2070, 0.10 and on stay what they are."""
    if isinstance(value, Mapping | list):
        raise place.must_be("text", value)
    return value if isinstance(value, str) else str(place.text)


def texts_of(value: Mapping[str, Any], place: KeyPlace) -> dict[str, str]:
    """A mapping of text; an empty value is an empty text."""
    return {
        key: "" if item is None else text_of(item, place.at(key)) for key, item in value.items()
    }


def engine_options(value: Any, place: KeyPlace) -> Parameters:
    """Engine options from a mapping (empty or true: a bare flag) or a list of ``key=value``."""
    if isinstance(value, Mapping):
        pairs = (_option(key, item, place.at(key)) for key, item in value.items())
        return tuple(pair for pair in pairs if pair is not None)
    if not isinstance(value, list):
        raise place.must_be("a mapping or a list", value)
    return tuple(_listed(item, place.at(index)) for index, item in enumerate(value))


def _listed(item: Any, place: KeyPlace) -> tuple[str, str | None]:
    """An item of the list form."""
    name, equals, text = text_of(item, place).lstrip("-").partition("=")
    if not name or " " in name or ":" in name:
        raise place.wrong(f"{place.name} is not an option: {place.shown}", "write KEY or KEY=VALUE")
    return name, text if equals else None


def _option(key: str, value: Any, place: KeyPlace) -> tuple[str, str | None] | None:
    """The pair of an option; None for one that is switched off."""
    name = key.lstrip("-")
    if value is None:
        return name, None
    if isinstance(value, bool):
        if any(name in one.switches for one in engines()):
            return name, "on" if value else "off"
        return (name, None) if value else None
    if isinstance(value, Mapping):
        return name, json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return name, _list_text(name, value, place)
    return name, text_of(value, place)


def _list_text(name: str, value: list[Any], place: KeyPlace) -> str:
    """A list in the form that the engine's option takes: JSON, or separated by commas."""
    if any(name in one.json_lists for one in engines()):
        return json.dumps(value, ensure_ascii=False)
    if any(name in one.comma_lists for one in engines()):
        return ",".join(text_of(item, place.at(i)) for i, item in enumerate(value))
    raise place.wrong(
        f"{place.name} is a list, and the option --{name} is not known to take one",
        f'write the text that the engine reads: {name}: "…"',
    )
