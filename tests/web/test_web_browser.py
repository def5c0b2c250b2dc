"""The pages in Chromium: both widths and themes, keyboard, script and no script, changes, attacks.

CI runs one theme per width; with WEB_MATRIX=full (make test-web) every page is opened in all four.
"""

from __future__ import annotations

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.browser import ratio, tab
from support.served import serving
from support.web_site import HOSTILE, ROUTE, WebSite, run, variables

pytestmark = pytest.mark.browser
CARD = "gpu=RTX+4090"
MODEL = f"/model/alibaba/qwen3-8b?{CARD}"
PAGES = {
    "here": "/", "find": f"/find?{CARD}", "model": MODEL,
    "nofit": f"/model/deepseek/deepseek-r1?{CARD}",
    "compare": f"/compare?model=qwen3-8b&model=qwen3-32b&{CARD}", "deployment": "/deployment/demo",
    "traffic": "/traffic", "scores": "/scores", "system": "/system", "registry": "/registry",
    "manual": "/docs/how-to/serve", "manual-search": "/docs?q=proxy",
}  # fmt: skip
STATES = {"empty": f"/find?{CARD}&q=zzzzzz", "badgpu": "/find?gpu=nosuch"}
FULL = os.environ.get("WEB_MATRIX") == "full"
LOOKS = (
    [(w, t) for w in (1280, 390) for t in ("light", "dark")]
    if FULL
    else [(1280, "light"), (390, "dark")]
)
_QUIET = "Failed to load resource"


@pytest.mark.parametrize(("width", "theme"), LOOKS)
@pytest.mark.parametrize("name", [*PAGES, *(STATES if FULL else ())])
def test_a_page_is_accessible_quiet_and_local(
    browser: Any, site: WebSite, axe: Path, name: str, width: int, theme: str
) -> None:
    path = {**PAGES, **STATES}[name]
    with tab(browser, width=width, theme=theme) as opened:
        opened.page.goto(site.url + path)
        opened.page.wait_for_load_state("load")
        assert opened.axe(axe) == []
        assert opened.overflow() == 0
        assert opened.small_targets() == []
        assert opened.received <= 200_000
        opened.shot(f"{name}-{width}-{theme}")
    assert [one for one in opened.problems() if _QUIET not in one] == []


@pytest.mark.parametrize("name", list(PAGES) if FULL else ["here", "find", "model"])
def test_a_page_says_the_same_without_a_script(browser: Any, site: WebSite, name: str) -> None:
    words = []
    for script in (True, False):
        with tab(browser, script=script) as opened:
            opened.page.goto(site.url + PAGES[name])
            found = opened.page.locator(
                "main h1, main h2, main tbody:not(.u-legend *) th, main .answer"
            )
            words.append([re.sub(r"[\d.,]+", "0", one) for one in found.all_inner_texts()])
    assert words[0] == words[1]


@pytest.mark.parametrize("name", list(PAGES) if FULL else ["model"])
def test_every_stop_of_the_tab_key_is_seen(browser: Any, site: WebSite, name: str) -> None:
    with tab(browser) as opened:
        opened.page.goto(site.url + PAGES[name])
        order = opened.tab_order()
    assert order[0] == "a Skip to the content"
    assert [stop for stop in order if "no visible focus" in stop] == []


def test_a_phone_of_320_pixels_scrolls_in_one_direction(browser: Any, site: WebSite) -> None:
    with tab(browser, width=320) as opened:
        for path in PAGES.values():
            opened.page.goto(site.url + path)
            assert opened.overflow() == 0, path


def test_the_slider_speaks_and_draws(browser: Any, site: WebSite) -> None:
    with tab(browser) as opened:
        opened.page.goto(site.url + MODEL)
        opened.page.focus("#tier")
        opened.page.keyboard.press("Home")
        first = opened.page.get_attribute("#tier", "aria-valuetext")
        opened.page.keyboard.press("ArrowRight")
        second = opened.page.get_attribute("#tier", "aria-valuetext")
        lines = opened.page.locator(".tierline").count()
    assert first.startswith("2k tokens: ") and second.startswith("4k tokens: ")
    assert " GiB, fits" in first and lines >= 2


def test_typing_shows_the_list_at_once_and_keeps_the_focus(browser: Any, site: WebSite) -> None:
    from playwright.sync_api import expect

    with tab(browser) as opened:
        opened.page.goto(f"{site.url}/find?{CARD}")
        opened.page.keyboard.press("/")
        opened.page.keyboard.type("qwen3 32b")
        expect(opened.page.locator(".models tbody th a").first).to_contain_text("Qwen3 32B")
        assert opened.page.evaluate("document.activeElement.name") == "q"
        assert "q=qwen3+32b" in opened.page.url
        assert opened.page.inner_text("#said") != ""
        opened.page.keyboard.type("zzzz")
        expect(opened.page.locator("#results .notice")).to_contain_text("No model matches")
    assert opened.problems() == []


def test_models_are_marked_and_compared_by_the_keyboard(browser: Any, site: WebSite) -> None:
    with tab(browser) as opened:
        opened.page.goto(f"{site.url}/find?{CARD}")
        for number in (0, 1):
            opened.page.locator("input[name=model]").nth(number).focus()
            opened.page.keyboard.press("Space")
        opened.page.keyboard.press("Enter")
        opened.page.wait_for_url("**/compare?**")
        assert opened.page.locator("article.card").count() == 2


def test_the_numbers_of_here_are_live_and_a_lost_server_is_told(
    browser: Any, site: WebSite
) -> None:
    from playwright.sync_api import expect

    with tab(browser) as opened:
        opened.page.goto(site.url + "/")
        cell = opened.page.locator('[data-service="demo"] [data-v="waiting"]')
        opened.page.evaluate(
            "document.querySelector('[data-service=\"demo\"] [data-v=\"waiting\"]').textContent = 'x'"
        )
        expect(cell).to_have_text("0", timeout=60_000)
        opened.page.route("**/api/v1/live", lambda route: route.abort())
        expect(opened.page.locator("#lost")).to_be_visible(timeout=60_000)
        expect(opened.page.locator("#lost")).to_contain_text("Not updated since")
        assert cell.inner_text() == "0"
        opened.page.unroute("**/api/v1/live")
        expect(opened.page.locator("#lost")).to_be_hidden(timeout=60_000)


def test_the_key_moves_from_the_link_to_a_header_and_changes_things(
    browser: Any, site: WebSite
) -> None:
    from playwright.sync_api import expect

    sent: list[dict[str, str]] = []
    with tab(browser) as opened:
        opened.page.on("request", lambda r: r.method == "POST" and sent.append(r.headers))
        opened.page.goto(site.url + "/")
        assert opened.page.locator("button.change:visible").count() == 0
        opened.page.goto("about:blank")
        opened.page.goto(f"{site.url}/#key={site.key}")
        expect(opened.page.locator("#mode")).to_have_text("May change")
        assert site.key not in opened.page.url
        opened.page.goto(site.url + "/traffic")
        row = opened.page.locator("tr", has=opened.page.locator("th", has_text="demo"))
        button = row.get_by_role("button", name="Test")
        button.focus()
        opened.page.keyboard.press("Enter")
        expect(row.locator(".job")).to_contain_text("answers in", timeout=60_000)
        opened.page.goto(site.url + "/deployment/demo")
        opened.page.on("dialog", lambda dialog: dialog.accept())
        opened.page.get_by_role("button", name="Restart", exact=True).click()
        expect(opened.page.locator("#told")).to_have_text("restart: done", timeout=120_000)
        assert opened.page.context.cookies() == []
    assert sent and all(one["authorization"] == f"Bearer {site.key}" for one in sent)
    assert not any(site.key in one.get("referer", "") for one in sent)
    assert opened.violations == []


def test_hostile_names_answers_and_log_lines_run_nothing(browser: Any, site: WebSite) -> None:
    with tab(browser) as opened:
        opened.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in (
            "/traffic",
            "/",
            "/deployment/demo",
            f"/find?q={HOSTILE}",
            f"/compare?model={HOSTILE}",
        ):
            opened.page.goto(site.url + path)
        opened.page.goto(site.url + "/traffic")
        assert HOSTILE in opened.page.inner_text("main")
        tries = ("document.querySelector('main').setAttribute('onclick', 'window.ran = 1')",
                 "document.body.innerHTML = '<b>'", "document.createElement('script').src = '/x.js'")  # fmt: skip
        failed = [
            opened.page.evaluate(
                f"(() => {{ try {{ {one}; return '' }} catch (e) {{ return e.name }} }})()"
            )
            for one in tries
        ]
    assert failed == ["TypeError"] * 3


def test_another_page_cannot_frame_it_or_use_it(browser: Any, site: WebSite) -> None:
    body = f"""<!doctype html><title>other</title><iframe src="{site.url}/" id="f"></iframe>
      <form id="x" method="post" action="{site.url}/v1/deployments/demo/stop"></form>""".encode()

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with tab(browser) as opened:
            opened.page.goto(f"http://127.0.0.1:{server.server_port}/")
            assert all("What runs here" not in frame.content() for frame in opened.page.frames[1:])
            with opened.page.expect_response("**/stop") as answered:
                opened.page.evaluate("document.getElementById('x').submit()")
            assert answered.value.status == 403
            opened.page.wait_for_url("**/stop")
            opened.page.goto(f"http://127.0.0.1:{server.server_port}/")
            fetched = opened.page.evaluate(
                "url => fetch(url, {method: 'POST', headers: {authorization: 'Bearer x'}}).then(() => 'read', e => e.name)",
                f"{site.url}/v1/deployments/demo/stop",
            )
            assert fetched == "TypeError"
    finally:
        server.shutdown()
        server.server_close()
    assert '"running"' in site.get("/v1/deployments")[1]


def test_a_curator_approves_a_proposal(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    home = tmp_path / "curated"
    made = run(home, "key", "create", "carol", "--scope", "curator", "-q").split()
    run(
        home,
        "registry",
        "add",
        "acme/demo",
        "--from",
        "demo",
        "--publish",
        f"description={HOSTILE}",
    )
    run(home, "registry", "curate", "propose", "acme/demo@1", "--tag", "curated")
    key = next(word for word in made if word.startswith("sk-ms-"))
    with serving(**variables(home)) as served, tab(browser) as opened:
        opened.page.goto(f"{served.url}/registry")
        opened.page.get_by_role("button", name="Key", exact=True).click()
        opened.page.get_by_role("textbox", name="Key").fill(key)
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#mode")).to_have_text("May change")
        expect(opened.page.locator("#results tbody th")).to_have_text("acme/demo")
        opened.page.on("dialog", lambda dialog: dialog.accept())
        opened.page.get_by_role("button", name="Approve").click()
        expect(opened.page.locator("#told")).to_have_text("done")
        expect(opened.page.locator("article.card")).to_contain_text("1 of 2 approvals: carol")
        assert opened.overflow() == 0
        opened.page.get_by_label("Why not").fill(f"not yet {HOSTILE}")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("article.card")).to_have_count(0)
        expect(opened.page.locator("#told")).to_have_text("done")
        opened.page.get_by_role("button", name="Key", exact=True).click()
        opened.page.get_by_role("button", name="Forget the key").click()
        expect(opened.page.locator("#mode")).to_have_text("Read-only")
        assert opened.page.locator(".change:visible").count() == 0
        assert opened.problems() == []


def test_a_gateway_that_others_reach_is_opened_with_a_key(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    home = tmp_path / "exposed"
    made = run(
        home, "key", "create", "pages", "--scope", "read", "--scope", "operator", "-q"
    ).split()
    key = next(word for word in made if word.startswith("sk-ms-"))
    with serving("--expose", **variables(home)) as served, tab(browser) as opened:
        url = f"http://127.0.0.1:{served.url.rpartition(':')[2]}"
        opened.page.goto(url + "/")
        expect(opened.page.locator("h1")).to_have_text("This gateway needs a key")
        opened.page.fill("#unlock-key", "sk-ms-wrong-wrong-wrong")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#unlock-fault")).to_be_visible()
        opened.page.fill("#unlock-key", key)
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("h1")).to_contain_text("What runs here")
        opened.page.goto(url + "/traffic")
        expect(opened.page.locator("h1")).to_contain_text("Who answers which name")
        assert opened.page.context.cookies() == []
    assert opened.violations == []


PAIRS = (("--text", "--bg", 4.5), ("--soft", "--bg", 4.5), ("--soft", "--sheet", 4.5), ("--accent", "--bg", 4.5), ("--bad", "--bad-bg", 4.5), ("--good", "--bg", 4.5), ("--good", "--sheet", 4.5), ("--accent-text", "--accent", 4.5),
         ("--in", "--weights", 4.5), ("--in", "--kv", 4.5), ("--in", "--compute", 4.5), ("--in", "--runtime", 4.5), ("--in", "--other", 4.5), ("--text", "--pool", 4.5), ("--limit", "--bg", 4.5), ("--k2", "--bg", 4.5),
         ("--weights", "--track", 3), ("--kv", "--track", 3), ("--compute", "--track", 3), ("--runtime", "--track", 3), ("--strong-line", "--bg", 3), ("--focus", "--bg", 3))  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_pictures_have_contrast(browser: Any, site: WebSite, theme: str) -> None:
    """axe does not look at shapes and texts in pictures, so the palette itself is checked."""
    with tab(browser, theme=theme) as opened:
        opened.page.goto(site.url + "/scores")
        names = sorted({name for pair in PAIRS for name in pair[:2]})
        values = opened.page.evaluate(
            "names => names.map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())",
            names,
        )
    colours = dict(zip(names, values, strict=True))
    low = [
        (a, b, round(ratio(colours[a], colours[b]), 2))
        for a, b, least in PAIRS
        if ratio(colours[a], colours[b]) < least
    ]
    assert low == []


def test_the_rig_finds_planted_faults(browser: Any, site: WebSite, axe: Path) -> None:
    with tab(browser) as opened:
        opened.page.goto(f"{site.url}/find?{CARD}&q=zzzzzz")
        opened.page.evaluate("document.querySelector('#results .notice').style.color = '#999'")
        assert "color-contrast" in [rule for rule, _ in opened.axe(axe)]
        opened.page.evaluate(
            "document.body.append(Object.assign(document.createElement('img'), {src: 'http://example.invalid/x.png', alt: ''}))"
        )
        opened.page.wait_for_load_state("networkidle")
    assert opened.foreign or any("img-src" in one for one in opened.violations)


def with_key(opened: Any, site: WebSite, path: str) -> None:
    """Open a page of the site with the pages' key; confirmations are accepted."""
    from playwright.sync_api import expect

    opened.page.on("dialog", lambda dialog: dialog.accept())
    opened.page.goto(f"{site.url}{path}#key={site.key}")
    expect(opened.page.locator("#mode")).to_have_text("May change")


def test_the_context_is_changed_by_the_keyboard_and_the_log_is_paused(
    browser: Any, site: WebSite
) -> None:
    from playwright.sync_api import expect

    with tab(browser) as opened:
        with_key(opened, site, "/deployment/demo")
        opened.page.get_by_role("button", name="Pause").click()
        expect(opened.page.locator("#log-pause")).to_have_attribute("aria-pressed", "true")
        opened.page.locator("#log-filter").fill("no line has this")
        expect(opened.page.locator("#log-lines")).to_be_empty()
        opened.page.locator("input[name=context_tokens]").fill("768")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#told")).to_have_text("set: done", timeout=120_000)
        expect(opened.page.locator("#live .answer")).to_contain_text("768 context")
        opened.page.get_by_role("button", name="Upgrade its weights").click()
        expect(opened.page.locator("#told")).to_contain_text("comes from no hub", timeout=60_000)
    assert opened.problems() == []


def test_kept_texts_are_shown_as_text(browser: Any, site: WebSite) -> None:
    import json

    from playwright.sync_api import expect
    from support.served import until

    run(site.home, "trace", "on", "--content", "--route", ROUTE)

    def kept() -> Any:
        site.served.chat(ROUTE, max_tokens=4)
        newest = json.loads(run(site.home, "trace", "list", "--json"))["spans"][0]["trace_id"]
        page = site.get(f"/traffic/{newest}")[1]
        return newest if "are kept by choice" in page else None

    trace = until(kept)
    with tab(browser) as opened:
        opened.page.goto(f"{site.url}/traffic/{trace}")
        assert opened.page.locator(".texts").is_hidden()
        with_key(opened, site, f"/traffic/{trace}")
        opened.page.get_by_role("button", name="Show the texts").click()
        expect(opened.page.locator("article.message")).to_have_count(2)
        expect(opened.page.locator("article.message pre").last).to_have_text(HOSTILE)
        assert opened.page.locator("main img").count() == 0
    assert opened.violations == []


def test_an_alias_is_set_by_the_page(browser: Any, site: WebSite) -> None:
    from playwright.sync_api import expect

    run(site.home, "registry", "add", "acme/by-page", "--from", "demo", "--publish")
    with tab(browser) as opened:
        with_key(opened, site, "/registry")
        form = opened.page.get_by_role("form", name="Set an alias")
        form.locator("input[name=slug]").fill("acme/by-page")
        form.locator("input[name=alias]").fill("production")
        form.locator("input[name=version]").fill("1")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#told")).to_have_text("done")
        row = opened.page.locator("#results tbody tr", has_text="acme/by-page")
        expect(row).to_contain_text("production → 1")
        form.locator("input[name=slug]").fill("acme/nosuch")
        form.locator("input[name=alias]").fill("production")
        form.locator("input[name=version]").fill("1")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#told")).to_contain_text("refused")
