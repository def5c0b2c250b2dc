"""The system's Chromium, driven by playwright: a page that remembers what went wrong in it.

    apt-get install chromium fonts-dejavu-core && pip install playwright axe-playwright-python

Nothing is downloaded by playwright itself. axe-core runs in an isolated world, so that the page's
policy stays as it is served.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# --no-sandbox: root in a container; the rest: a small /dev/shm, no calls home, the same pixels.
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check",
    "--font-render-hinting=none", "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP evil.test 127.0.0.1",
)  # fmt: skip
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
WAIT_MS = 60_000
SHOTS = os.environ.get("WEB_SHOTS")  # read here: a test has no variables of the developer's
_WATCH = (
    "addEventListener('securitypolicyviolation', e => (window.__csp ??= []).push("
    "`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile ?? ''}:${e.lineNumber}`))"
)


def find_chromium() -> str | None:
    """$MODELSCAN_CHROMIUM, else the first known name on PATH."""
    named = os.environ.get("MODELSCAN_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Tab:
    """One page: its console errors, policy violations, failed and foreign requests."""

    page: Any
    cdp: Any
    console: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    received: int = 0

    def problems(self) -> list[str]:
        """Everything that a test wants empty."""
        return [
            *self.console,
            *self.violations,
            *self.failed,
            *(f"foreign: {u}" for u in self.foreign),
        ]

    def shot(self, name: str) -> None:
        """A PNG of the whole page in the folder $WEB_SHOTS, where that is set."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            path = str(Path(SHOTS) / f"{name}.png")
            self.page.screenshot(path=path, full_page=True, animations="disabled", caret="hide")

    def axe(self, source: Path | str) -> list[tuple[str, str]]:
        """axe-core's violations: the rule, and the first element."""
        frame = self.cdp.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        made = self.cdp.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})
        world = made["executionContextId"]
        text = Path(source).read_text(encoding="utf-8")
        self.cdp.send("Runtime.evaluate", {"expression": text, "contextId": world})
        run = f"axe.run(document, {{runOnly: {{type: 'tag', values: {json.dumps(WCAG)}}}}})"
        answer = self.cdp.send("Runtime.evaluate", {
            "expression": f"{run}.then(r => JSON.stringify(r.violations))", "contextId": world,
            "awaitPromise": True, "returnByValue": True,
        })  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        found = json.loads(answer["result"]["value"])
        return [(one["id"], one["nodes"][0]["html"][:160]) for one in found]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def small_targets(self, least: int = 24) -> list[str]:
        """Controls under 24 x 24 pixels that are no links in a text."""
        script = """least => [...document.querySelectorAll('button, select, input, summary, .button, nav a')].filter(e => e.offsetParent)
          .map(e => [e, (e.closest('label') ?? e).getBoundingClientRect()]).filter(([e, r]) => r.width < least || r.height < least)
          .map(([e, r]) => `${e.tagName} ${e.name || e.textContent.trim().slice(0, 20)} ${r.width.toFixed(0)}x${r.height.toFixed(0)}`)"""
        return self.page.evaluate(script, least)

    def tab_order(self, most: int = 80) -> list[str]:
        """What the Tab key reaches, in order, each with whether its focus can be seen."""
        script = """() => { const e = document.activeElement; if (!e || e === document.body) return '';
          const s = getComputedStyle(e); const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
          return `${e.tagName.toLowerCase()} ${(e.getAttribute('aria-label') || e.name || e.textContent || '').trim().slice(0, 30)}${seen ? '' : ' (no visible focus)'}` }"""
        self.page.evaluate("document.activeElement?.blur()")
        order: list[str] = []
        for _ in range(most):
            self.page.keyboard.press("Tab")
            here = self.page.evaluate(script)
            if not here or (order and here == order[0]):
                break
            order.append(here)
        return order


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT_MS)  # five seconds are too few on a loaded machine
    path = find_chromium()
    assert path is not None, "no Chromium on PATH: apt-get install chromium"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, headless=True, args=list(FLAGS), timeout=WAIT_MS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(
    browser: Any, *, width: int = 1280, height: int = 900, theme: str = "light", script: bool = True
) -> Iterator[Tab]:
    """A page with cookies and storage of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="en-GB", timezone_id="UTC",
        color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce",
        java_script_enabled=script, device_scale_factor=1,
    )  # fmt: skip
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    opened = Tab(page, context.new_cdp_session(page))
    page.on("console", lambda m: m.type in ("error", "warning") and opened.console.append(m.text))
    page.on("pageerror", lambda error: opened.console.append(f"exception: {error}"))
    page.on("requestfailed", lambda r: _failed(opened, r))
    page.on("request", lambda r: _foreign(opened, r.url))
    if script:
        page.add_init_script(_WATCH)
    opened.cdp.send("Network.enable")
    opened.cdp.on("Network.loadingFinished", lambda e: _received(opened, e))
    try:
        yield opened
        if script and not page.is_closed():
            opened.violations += page.evaluate("window.__csp ?? []")
    finally:
        context.close()


def _failed(opened: Tab, request: Any) -> None:
    if request.failure != "net::ERR_ABORTED":  # left the page, or our own AbortController
        opened.failed.append(f"{request.failure}: {request.url}")


def _foreign(opened: Tab, url: str) -> None:
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost", None):
        opened.foreign.append(url)


def _received(opened: Tab, event: Any) -> None:
    opened.received += int(event["encodedDataLength"])


def ratio(one: str, two: str) -> float:
    """The WCAG contrast of two #rrggbb colours."""
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
