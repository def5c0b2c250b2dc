"""The manual as a folder of files, in Chromium: its search finds what `modelscan docs` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.browser import tab

from modelscan.manual.search import search_manual
from modelscan.manual.site import write_site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("manual")
    write_site(folder)
    return folder.as_uri()


@pytest.mark.parametrize("query", ["proxy", "kv cache", "EXIT code", "zzzzzz", "a+(b", "<b>"])
def test_the_search_of_the_files_is_that_of_the_command(
    browser: Any, root: str, query: str
) -> None:
    from playwright.sync_api import expect

    with tab(browser, width=390, theme="dark") as opened:
        opened.page.goto(f"{root}/index.html")
        opened.page.fill("input[name=q]", query)
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#answer")).to_contain_text("“")
        shown = opened.page.locator("#found a").evaluate_all(
            "all => all.map(a => a.getAttribute('href'))"
        )
    hits = search_manual(query)
    assert shown == [f"{hit.page}.html{'#' if hit.anchor else ''}{hit.anchor}" for hit in hits]
    assert opened.problems() == []


def test_its_pages_are_accessible(browser: Any, root: str, axe: Path) -> None:
    for width, theme, page in ((1280, "light", "how-to/serve"), (390, "dark", "reference/errors")):
        with tab(browser, width=width, theme=theme) as opened:
            opened.page.goto(f"{root}/{page}.html")
            # axe reads the style sheets itself, which the page's policy forbids: reported there.
            assert opened.axe(axe) == []
            assert opened.overflow() == 0
