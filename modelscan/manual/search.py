"""Full-text search over the manual: pure apart from reading its pages once.

A part is the text below one heading. A part matches where each word of the query begins a word of
its page's title, its heading or its text; words of titles and headings count more.
``static/search.js`` does the same over ``index.js`` in the site of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from modelscan.manual.markup import headings_of, without_comment
from modelscan.manual.pages import ManualPage, manual_pages

_WORD = re.compile(r"[^\W_]+")
_HEADING = re.compile(r"^#{1,6} ")
_MARKS = re.compile(r"\]\([^)\s]*\)|^[|:\-\s]+$|^#+ |<br>|&lt;|\\?\||^>\s?", re.MULTILINE)
_INSIDE = re.compile(r"[`*\[\]]")
_IN_TITLE, _IN_HEADING, _MOST_IN_TEXT = 12, 8, 4
_AROUND = 70
_LONGEST_QUERY = 200
# Generated lists have every word: what people wrote comes first where all else is equal.
_LAST = ("reference/", "internals/")
_RECORDED = "internals/transcript"


@dataclass(frozen=True, slots=True)
class ManualPart:
    """The text below one heading of a page; ``heading`` is "" before the first one."""

    page: str
    title: str
    heading: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A part that matches, with the text around the first word that was found."""

    page: str
    title: str
    heading: str
    anchor: str
    excerpt: str


@cache
def manual_parts() -> tuple[ManualPart, ...]:
    """Every part of every page but the recorded session, which has every word; read once."""
    pages = [page for page in manual_pages() if page.name != _RECORDED]
    return tuple(part for page in pages for part in parts_of(page, page.text()))


def search_manual(query: str, most: int = 20) -> list[Hit]:
    """The best parts of the manual for a query, at most one for each heading."""
    return search(query, manual_parts(), most)


def search(query: str, parts: Iterable[ManualPart], most: int) -> list[Hit]:
    """The best of these parts, the highest score first; none for a query without words."""
    words = [word.lower() for word in _WORD.findall(query[:_LONGEST_QUERY])]
    if not words:
        return []
    scored = [(_score(part, words), at, part) for at, part in enumerate(parts)]
    best = sorted((row for row in scored if row[0] > 0), key=lambda row: (-row[0], row[1]))
    return [_hit(part, words) for _, _, part in best[:most]]


def parts_of(page: ManualPage, text: str) -> Iterator[ManualPart]:
    """A page cut at its headings."""
    headings = iter(headings_of(text))
    lines: list[str] = []
    heading, anchor, fenced = "", "", False
    for line in without_comment(text).splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or not _HEADING.match(line):
            lines.append(line)
        else:
            yield from _part(page, heading, anchor, lines)
            one, lines = next(headings), []
            heading, anchor = ("", "") if one.level == 1 and not anchor else (one.text, one.anchor)
    yield from _part(page, heading, anchor, lines)


def _part(
    page: ManualPage, heading: str, anchor: str, lines: Sequence[str]
) -> Iterator[ManualPart]:
    text = " ".join(_INSIDE.sub("", _MARKS.sub(" ", "\n".join(lines))).split())
    if text or heading:
        yield ManualPart(page.name, page.title, heading, anchor, text)


def _score(part: ManualPart, words: Sequence[str]) -> float:
    total = 0.0
    title, heading, text = part.title.lower(), part.heading.lower(), part.text.lower()
    for word in words:
        begins = re.compile(rf"(?<![^\W_]){re.escape(word)}")
        score = (
            _IN_TITLE * bool(begins.search(title)) + _IN_HEADING * bool(begins.search(heading))
            + min(len(begins.findall(text)), _MOST_IN_TEXT)
        )  # fmt: skip
        if not score:
            return 0.0
        total += score
    return total / (2 if part.page.startswith(_LAST) or part.page.endswith("index") else 1)


def _hit(part: ManualPart, words: Sequence[str]) -> Hit:
    found = (re.search(rf"(?<![^\W_]){re.escape(word)}", part.text.lower()) for word in words)
    at = next((one.start() for one in found if one), 0)
    return Hit(part.page, part.title, part.heading, part.anchor, _excerpt(part.text, at))


def _excerpt(text: str, at: int) -> str:
    """Whole words around a place, with ``…`` where something is left out."""
    begin = text.find(" ", at - _AROUND, at) + 1 if at > _AROUND else 0
    end = text.rfind(" ", at, at + 2 * _AROUND) if len(text) > at + 2 * _AROUND else len(text)
    return f"{'… ' if begin else ''}{text[begin:end].strip()}{' …' if end < len(text) else ''}"
