"""Replaces secrets in decoded values by ``[redacted:kind:n]``. Pure.

Equal values get equal numbers within one ``Redactor``, so that a reader sees what belongs together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from modelscan.traces.redaction.commands import COMMANDS
from modelscan.traces.redaction.detector import (
    PLACEHOLDER,
    Detector,
    Secret,
    decoded_forms,
    without_escapes,
)
from modelscan.traces.redaction.formats import FORMATS
from modelscan.traces.redaction.keys import (
    NAMED,
    is_secret_name,
    is_secret_value,
)
from modelscan.traces.redaction.other_services import OTHER_SERVICES
from modelscan.traces.redaction.places import PLACES
from modelscan.traces.redaction.random_values import RANDOM
from modelscan.traces.redaction.services import SERVICES

RULES_VERSION = 4
_DETECTORS: tuple[Detector, ...] = (
    *NAMED[:1], *SERVICES, *OTHER_SERVICES, *NAMED[1:], *FORMATS, *COMMANDS, *PLACES, *RANDOM,
)  # fmt: skip
_ROUNDS = 4
_MAX_DEPTH = 40
_SHORTEST = 4
_LONGEST_COMMAND = 400


class Redactor:
    """``known``: values to remove wherever they are, with their kind: secrets, this user's folder
    and name, this machine's name."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = sorted(_variants(known or {}), key=lambda one: -len(one[0]))
        self._numbers: dict[tuple[str, str], str] = {}
        self._per_kind: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def value(self, value: Any, depth: int = 0) -> Any:
        """The same value with every string in it redacted, keys of objects too."""
        if isinstance(value, str):
            return self.text(value, depth)
        if isinstance(value, (list, tuple)):
            return [self.value(one, depth + 1) for one in self._words(value)]
        if isinstance(value, Mapping):
            return self._object(value, depth)
        return value

    def _words(self, values: Sequence[Any]) -> list[Any]:
        """A list of words with a program's option: what follows the option may be a password."""
        words = list(values)
        if len(words) < 2 or not all(isinstance(one, str) for one in words):
            return words
        for at in range(1, len(words)):
            words[at] = self._argument(words[:at], words[at])
        return words

    def _argument(self, command: list[str], word: str) -> str:
        """A word of a command; only an option, or what is after one, can be a password."""
        if not (command[-1].startswith("-") or word.startswith("-")):
            return word
        before = " ".join(command) + " "
        if len(before) > _LONGEST_COMMAND:
            before = f"{command[0]} {command[-1]} "[-_LONGEST_COMMAND:]
        detectors = (*NAMED, *COMMANDS)
        line = before + word
        found = [
            Secret(one.kind, one.start - len(before), one.end - len(before))
            for detector in detectors
            for one in detector.find(line, line.lower())
            if one.start >= len(before)
        ]
        return self._without(word, _longest(found))

    def _object(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        named = value.get("name") or value.get("key")  # of a pair: {"name": "API_KEY", "value": …}
        pair = isinstance(named, str) and is_secret_name(named)
        of_secret = value.get("kind") == "Secret"  # Kubernetes: all its values
        for key, one in value.items():
            name = self.text(str(key), depth)
            is_secret = is_secret_name(str(key)) or (pair and key == "value")
            if isinstance(one, str) and is_secret and is_secret_value(one):
                result[name] = self._replaced("secret", one)
            elif isinstance(one, Mapping) and key in ("data", "stringData") and of_secret:
                result[name] = {
                    self.text(str(inner), depth): self._replaced("secret", str(text))
                    for inner, text in one.items()
                }
            else:
                result[name] = self.value(one, depth + 1)
        return result

    def text(self, text: str, depth: int = 0) -> str:
        """A text without secrets; a text that is JSON is read, redacted and written again."""
        if len(text) < _SHORTEST:
            return text
        inner = _json_in(text) if depth < _MAX_DEPTH else None
        if inner is not None:
            changed = self.value(inner, depth + 1)
            if changed != inner:
                text = json.dumps(changed, ensure_ascii=False)
        for _ in range(_ROUNDS):
            found = _longest(find_secrets(text, self._known))
            if not found:
                text, found = self._read(text)
            if not found:
                return text
            text = self._without(text, found)
        return text

    def _read(self, text: str) -> tuple[str, list[Secret]]:
        """The text in a decoded form that shows a secret, and the secrets; none: as it is."""
        for plain in decoded_forms(text):
            found = _longest(find_secrets(plain, self._known))
            if found:
                return plain, found
        return text, []

    def _without(self, text: str, found: list[Secret]) -> str:
        parts, end = [], 0
        for one in found:
            value = text[one.start : one.end]
            parts += [text[end : one.start], self._replaced(one.kind, value)]
            end = one.end
        return "".join((*parts, text[end:]))

    def _replaced(self, kind: str, value: str) -> str:
        self.counts[kind] += 1
        name = self._numbers.get((kind, value))
        if name is None:
            self._per_kind[kind] += 1
            name = f"{PLACEHOLDER}{kind}:{self._per_kind[kind]}]"
            self._numbers[kind, value] = name
        return name

    def leaks(self, value: Any) -> list[str]:
        """The kinds of what is still in a value: the second scan, after which nothing may be."""
        return sorted({one.kind for text in _texts(value) for one in self._left(text)})

    def _left(self, text: str) -> list[Secret]:
        return [*find_secrets(text, self._known), *self._read(text)[1]]


def find_secrets(text: str, known: Iterable[tuple[str, str]] = ()) -> Iterator[Secret]:
    """Every secret in a text; they may overlap. ``known`` are values with their kinds."""
    lowered = text.lower()
    for value, kind in known:
        start = text.find(value)
        while start >= 0:
            end = start + len(value)
            if not _inside_word(text, start, end, kind):
                yield Secret(kind, start, end)
            start = text.find(value, end)
    views = {text: lowered, (plain := without_escapes(text)): plain.lower()}
    for view, small in views.items():
        for detector in _DETECTORS:
            yield from detector.find(view, small)


def _inside_word(text: str, start: int, end: int, kind: str) -> bool:
    """A user's or a machine's name counts as a whole word only."""
    if kind not in ("user", "host"):
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    return before.isalnum() or after.isalnum()


def _longest(found: Iterable[Secret]) -> list[Secret]:
    """Those that do not overlap: the first, and of several at one place the longest."""
    chosen: list[Secret] = []
    for one in sorted(found, key=lambda s: (s.start, -s.end)):
        if not chosen or one.start >= chosen[-1].end:
            chosen.append(one)
        elif one.end > chosen[-1].end:  # they overlap: nothing of both may stay
            last = chosen.pop()
            chosen.append(Secret(last.kind, last.start, one.end))
    return chosen


def _variants(known: Mapping[str, str]) -> list[tuple[str, str]]:
    """Values as they are, and as an address or a JSON text contains them."""
    forms: dict[str, str] = {}
    for value, kind in known.items():
        if len(value) >= _SHORTEST or kind in ("user", "host"):
            for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
                forms.setdefault(form, kind)
    return list(forms.items())


def _json_in(text: str) -> Any:
    """The object or list that a text is; None: it is none."""
    stripped = text.strip()
    if not stripped or stripped[0] + stripped[-1] not in ("{}", "[]", '""'):
        return None
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return None


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Every string in a value, with those in texts that are JSON."""
    if isinstance(value, str):
        yield value
        inner = _json_in(value) if depth < _MAX_DEPTH else None
        if inner is not None:
            yield from _texts(inner, depth + 1)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(str(key), depth + 1)
            yield from _texts(one, depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one, depth + 1)
