"""A page of the manual as HTML, with the list of all pages: for the site of files and the gateway.

``Addressing`` says where pages and pictures are; everything else is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from itertools import groupby

from modelscan.manual.links import target_of
from modelscan.manual.markup import Heading, render
from modelscan.manual.pages import ManualPage, manual_pages

_LEAST_HEADINGS = 4
_NAVIGATION = '<nav class="pages" id="all-pages" aria-label="Manual" tabindex="-1">'


@dataclass(frozen=True)
class Addressing:
    """``page``: the address of a page by its name; ``picture``: of a file below ``docs/``."""

    page: Callable[[str], str]
    picture: Callable[[str], str]

    def of(self, page: str, link: str) -> str | None:
        """Where a link of a page leads; None: to a file that the manual does not have."""
        target = target_of(page, link)
        if target is None:
            return link
        if target.path.endswith(".md"):
            name = target.path.removesuffix(".md")
            known = any(one.name == name for one in manual_pages())
            anchor = f"#{target.anchor}" if target.anchor else ""
            return f"{self.page(name)}{anchor}" if known else None
        return self.picture(target.path) if target.path.startswith("images/") else None


def page_html(page: ManualPage, to: Addressing) -> str:
    """A page's text and, where it has several, the list of its headings."""
    made = render(page.text(), lambda link: to.of(page.name, link))
    title, cut, rest = made.html.partition("</h1>\n")
    contents = _contents(made.headings)
    return f'<article class="text">\n{title}{cut}{contents}{rest}</article>\n'


def navigation(current: str, to: Addressing) -> str:
    """Every page as a link, by section."""
    parts = []
    for section, pages in groupby(manual_pages(), key=lambda page: page.section):
        heading = f"<h2>{escape(section)}</h2>\n" if section else ""
        rows = "\n".join(_row(page, current, to) for page in pages)
        parts.append(f"{heading}<ul>\n{rows}\n</ul>\n")
    return f"{_NAVIGATION}\n{''.join(parts)}</nav>\n"


def _row(page: ManualPage, current: str, to: Addressing) -> str:
    mark = ' aria-current="page"' if page.name == current else ""
    return f'<li><a href="{escape(to.page(page.name))}"{mark}>{escape(page.title)}</a></li>'


def _contents(headings: tuple[Heading, ...]) -> str:
    second = [one for one in headings if one.level == 2]
    if len(second) < _LEAST_HEADINGS:
        return ""
    rows = "\n".join(f'<li><a href="#{one.anchor}">{escape(one.text)}</a></li>' for one in second)
    return f"<details><summary>On this page</summary>\n<ul>\n{rows}\n</ul></details>\n"
