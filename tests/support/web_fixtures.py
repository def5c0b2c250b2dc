"""One gateway and one Chromium for all tests of the pages; without Chromium its tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium, find_chromium
from support.web_gallery import Gallery, gallery_site
from support.web_site import WebSite, web_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """A gateway with its pages."""
    with web_site(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium; each test opens a page of its own in it."""
    pytest.importorskip("playwright.sync_api")
    if find_chromium() is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe.min.js of the package that brings it along."""
    bundled = pytest.importorskip("axe_playwright_python")
    return Path(bundled.__file__).with_name("axe.min.js")


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """The address of crowded and empty pages."""
    with gallery_site(Gallery()) as url:
        yield url
