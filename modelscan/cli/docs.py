"""``modelscan docs``: the manual that comes with modelscan, in a browser or in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Markdown, Note, Table, Text
from modelscan.cli.framework import single
from modelscan.cli.output import Mode
from modelscan.core.errors import ModelscanError, UsageError

if TYPE_CHECKING:
    from modelscan.manual.pages import ManualPage
    from modelscan.manual.search import Hit

_MOST_FOUND = 10


@dataclass(frozen=True, slots=True)
class ManualRow:
    """``page`` is what ``modelscan docs PAGE`` takes; ``section``: "" for the first page."""

    page: str
    title: str
    section: str


@dataclass(frozen=True, slots=True)
class FoundPart:
    """A part of a page that has every word; ``heading``: "" for the beginning of the page."""

    page: str
    title: str
    heading: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class ManualAnswer:
    """``site``: the first HTML file, where files were written; ``markdown``: of the page that was
    named; ``pages``: the whole list, or the page; ``found``: null without a search.
    """

    site: str | None
    pages: tuple[ManualRow, ...]
    found: tuple[FoundPart, ...] | None = None
    markdown: str | None = None


def docs(
    context: Context,
    page: Annotated[
        str | None, typer.Argument(metavar="[PAGE]", help="Print this page, such as 'serve'.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Find pages with these words.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List every page.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write the pages as HTML files."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print where the pages are; open no browser.")
    ] = False,
) -> Document[ManualAnswer]:
    """Read the manual: a page in the terminal, or all pages in a browser. Works offline.

    Without an argument the pages are written into the cache and opened.
    """
    chosen = [name for name, given in (("PAGE", page is not None), ("--search", search is not None),
              ("--list", listed), ("--output", output is not None)) if given]  # fmt: skip
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined", hint="modelscan docs --help")
    if search is not None:
        return _search(search)
    if page is not None:
        return _page(page)
    if listed:
        return _list()
    return _site(context, output, no_browser)


def _page(name: str) -> Document[ManualAnswer]:
    from modelscan.manual.pages import find_page

    page = find_page(name)
    text = page.text()
    answer = ManualAnswer(None, (_row(page),), markdown=text)
    return Document("docs", answer, [Markdown(text, page.name)], [page.name])


def _search(words: str) -> Document[ManualAnswer]:
    from modelscan.manual.pages import find_page
    from modelscan.manual.search import search_manual

    hits = search_manual(words, _MOST_FOUND)
    pages = [find_page(name) for name in dict.fromkeys(hit.page for hit in hits)]
    found = tuple(FoundPart(hit.page, hit.title, hit.heading, hit.excerpt) for hit in hits)
    answer = ManualAnswer(None, tuple(_row(page) for page in pages), found)
    hint = f"modelscan docs {hits[0].page}" if hits else "modelscan docs --list"
    ids = [page.name for page in pages]
    return Document("docs", answer, [_found(words, hits)], ids, hint=hint)


def _found(words: str, hits: Sequence[Hit]) -> Table:
    rows = [(hit.page, hit.heading or hit.title, hit.excerpt) for hit in hits]
    return Table(
        ("page", "heading", "text"), rows, below=("text",),
        empty=f"nothing in the manual has all words of '{words}'",
    )  # fmt: skip


def _list() -> Document[ManualAnswer]:
    from modelscan.manual.pages import manual_pages

    rows = tuple(_row(page) for page in manual_pages())
    table = Table(("page", "title"), [(row.page, row.title) for row in rows])
    return Document("docs", ManualAnswer(None, rows), [table], [row.page for row in rows])


def _site(context: Context, output: Path | None, no_browser: bool) -> Document[ManualAnswer]:
    """The pages as files: in the folder that was given, else in the cache, and then opened."""
    from modelscan.manual.pages import manual_pages
    from modelscan.manual.site import cached_site, write_site

    try:
        folder = cached_site(context.config.paths.cache) if output is None else output
        if output is not None:
            write_site(output)
    except OSError as error:
        raise ModelscanError(
            f"the pages cannot be written: {error}", hint="modelscan docs --output FOLDER"
        ) from error
    first = (folder / "index.html").resolve()
    rows = tuple(_row(page) for page in manual_pages())
    shown = output is None and not no_browser and _open(context, first)
    note = Note(f"{len(rows)} pages; in the terminal: modelscan docs --list")
    blocks: list[Block] = [note] if shown else [Text(str(first)), note]
    return Document("docs", ManualAnswer(str(first), rows), blocks, [str(first)])


def _open(context: Context, file: Path) -> bool:
    """Start a browser where a person uses the command; whether there is one."""
    import webbrowser

    return context.output.mode is Mode.HUMAN and webbrowser.open(file.as_uri())


def _row(page: ManualPage) -> ManualRow:
    return ManualRow(page.name, page.title, page.section)


app = single(docs)
