"""The manual's pages and their search, at ``/docs``."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from modelscan.core.errors import UsageError
from modelscan.manual.html import Addressing, navigation, page_html
from modelscan.manual.pages import FRONT, manual_pages
from modelscan.manual.search import search_manual
from modelscan.web.visit import View, Visit

ROOT = "/docs"
_KEPT = 64  # pages as HTML: the largest has 300 kB


def view(visit: Visit) -> View:
    """The page of the address, or what a search found."""
    query = visit.text("q")
    if query:
        hits = search_manual(query)
        values = {"title": f"Search: {query}", "words": query, "hits": hits, "html": "",
                  "pages": navigation("", _ADDRESSING), "address": address}  # fmt: skip
        return View("manual.html", values)
    name = visit.parts.get("page", "").strip("/") or FRONT
    title, html, pages = _rendered(name)
    return View("manual.html", {"title": title, "words": "", "hits": None, "html": html,
                                "pages": pages, "address": address})  # fmt: skip


def address(name: str) -> str:
    """Where a page is: ``/docs/how-to/serve``; the first page is ``/docs``."""
    return ROOT if name == FRONT else f"{ROOT}/{quote(name)}"


_ADDRESSING = Addressing(address, lambda file: f"{ROOT}/{quote(file)}")


@lru_cache(maxsize=_KEPT)
def _rendered(name: str) -> tuple[str, str, str]:
    page = next((one for one in manual_pages() if one.name == name), None)
    if page is None:
        raise UsageError(
            f"the manual has no page '{name}'", code="unknown_page", hint="modelscan docs --list"
        )
    return page.title, page_html(page, _ADDRESSING), navigation(name, _ADDRESSING)
