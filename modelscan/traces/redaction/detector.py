"""One kind of secret: its pattern, and the check that a match must pass. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

START = r"(?<![A-Za-z0-9])"
"""Where a value may begin."""
PLACEHOLDER = "[redacted:"


@dataclass(frozen=True, slots=True)
class Secret:
    """A found value: where it is in the text, and its kind."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Detector:
    """``pattern`` matches a value, or more, with the value as the group ``v``.

    ``check`` gets the value and the match; False: it is no secret after all. ``marks``: where none
    of these lower-case texts occurs, the pattern cannot match.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str, re.Match[str]], bool] | None = None
    marks: tuple[str, ...] = ()

    def find(self, text: str, lowered: str) -> Iterator[Secret]:
        """The values of this kind; ``lowered`` is the text in lower case."""
        if self.marks and not any(mark in lowered for mark in self.marks):
            return
        group = "v" if "v" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            value = match.group(group)
            if not value or value.startswith(PLACEHOLDER):
                continue
            if self.check is None or self.check(value, match):
                yield Secret(self.kind, *match.span(group))


def detector(
    kind: str,
    pattern: str,
    *marks: str,
    check: Callable[[str, re.Match[str]], bool] | None = None,
    flags: int = 0,
) -> Detector:
    """A detector of a pattern that is written as text."""
    return Detector(kind, re.compile(pattern, flags), check, marks)


_ESCAPES = re.compile(
    r"(?P<pair>\\\\)|\\[nrtfbv0\"'/]|\\[xu][0-9A-Fa-f]{2,4}|\x1b\[[0-9;]*[A-Za-z]|%[0-9A-Fa-f]{2}"
)


def without_escapes(text: str) -> str:
    """The text with blanks in place of escapes (``\\n``, ``%3D``, colours): what follows one begins
    there. Of the same length."""
    if "\\" not in text and "%" not in text and "\x1b" not in text:
        return text
    return _ESCAPES.sub(lambda one: one[0] if one["pair"] else " " * len(one[0]), text)


_UNICODE = re.compile(r"\\{1,8}u([0-9A-Fa-f]{4})")
_LINES = re.compile(r"(?:\\{1,8}r)?\\{1,8}n")


def decoded_forms(text: str) -> Iterator[str]:
    """The text read as a part of JSON, of an address, of a page: only where that is another one."""
    if "\\u" in text:
        yield _UNICODE.sub(lambda one: chr(int(one[1], 16)), text)
    if "\\n" in text:
        yield _LINES.sub("\n", text)
    if "%" in text and (plain := unquote(text)) != text:
        yield plain
    if "&" in text and (plain := html.unescape(text)) != text:
        yield plain


def has_digit(value: str, _: re.Match[str]) -> bool:
    """Whether a value has a digit: words do not."""
    return any(one.isdigit() for one in value)
