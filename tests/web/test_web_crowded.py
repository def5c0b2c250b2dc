"""Pages with more than fits, with nothing, and with markup in every text that others wrote."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.browser import tab
from support.web_gallery import HOSTILE, Gallery, gallery_site

from modelscan.web.environment import page_text

FULL = os.environ.get("WEB_MATRIX") == "full"
NAMES = tuple(Gallery().pages())
SOME = ("here", "traffic", "registry")
LOOKS = [(w, t) for w in (1280, 390) for t in ("light", "dark")] if FULL else [(390, "dark")]
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Whole(HTMLParser):
    """Whether tags are closed in order; the tags and the attributes that were found."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        optional = ("li", "option", "p", "td", "th", "tr")
        while self.open and self.open[-1] != tag and self.open[-1] in optional:
            self.open.pop()
        assert self.open and self.open.pop() == tag, tag


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_and_texts_are_never_markup(name: str, *, hostile: bool) -> None:
    text = page_text(*Gallery(hostile).pages()[name])
    reader = Whole()
    reader.feed(text)
    assert reader.open == [] and "img" not in reader.tags
    assert not [one for one in reader.names if one == "style" or one.startswith("on")]
    assert all(b - a <= 1 for a, b in zip([1, *reader.headings], reader.headings, strict=False))
    assert HOSTILE not in text and "<script>alert" not in text
    assert len(text.encode()) <= 130_000


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), LOOKS)
@pytest.mark.parametrize("name", NAMES if FULL else SOME)
def test_a_crowded_page_is_accessible_and_fits(
    browser: Any, gallery: str, axe: Path, name: str, width: int, theme: str
) -> None:
    with tab(browser, width=width, theme=theme) as opened:
        opened.page.goto(f"{gallery}/{name}")
        opened.page.wait_for_load_state("networkidle")
        assert opened.axe(axe) == []
        assert opened.overflow() == 0
        assert opened.small_targets() == []
        assert opened.received <= 200_000
        opened.shot(f"crowded-{name}-{width}-{theme}")
    assert opened.problems() == []


@pytest.mark.browser
def test_pictures_over_time_are_there_without_a_script(browser: Any, gallery: str) -> None:
    for name in ("traffic", "deployment"):
        with tab(browser, script=False) as opened:
            opened.page.goto(f"{gallery}/{name}")
            pictures = opened.page.locator("figure.series svg.chart")
            assert pictures.count() == 3
            box = pictures.first.bounding_box()
            assert box is not None and box["width"] > 300
            assert "highest" in (pictures.first.get_attribute("aria-label") or "")
            assert opened.page.locator("details", has_text="as a table").count() >= 1


@pytest.mark.browser
def test_markup_in_every_text_runs_nothing(browser: Any) -> None:
    with gallery_site(Gallery(hostile=True)) as url, tab(browser) as opened:
        opened.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for name in NAMES if FULL else SOME:
            opened.page.goto(f"{url}/{name}")
            assert opened.page.locator("main img, main script:not([type])").count() == 0
            assert opened.overflow() == 0, name
    assert opened.problems() == []
