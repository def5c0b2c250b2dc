"""The pages over HTTP: status, headers, weight, attacks, and who may change what."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.served import serving, until
from support.web_site import HOSTILE, ROUTE, WebSite, fetch, run, variables

from modelscan.web.assets import FOLDER, assets
from modelscan.web.guard import HEADERS

CARD = "gpu=RTX+4090"
PAGES = (
    "/", "/find?gpu=RTX+4090", "/find", "/model/alibaba/qwen3-8b?gpu=RTX+4090",
    "/compare?model=qwen3-8b&model=qwen3-32b&gpu=RTX+4090", "/deployment/demo", "/traffic",
    "/scores", "/system", "/registry", "/docs", "/docs/how-to/serve", "/docs?q=proxy",
)  # fmt: skip
SCHEMAS = Path(__file__).parents[2] / "modelscan" / "schemas"


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_guarded_light_and_without_foreign_files(site: WebSite, path: str) -> None:
    status, page, headers = site.get(path)
    assert status == 200
    assert HEADERS.items() <= {name.title(): v for name, v in headers.items()}.items() | {
        (name, headers[name.lower()]) for name in HEADERS
    }
    assert headers["cache-control"] == "no-store" and "set-cookie" not in headers
    assert heading(page).strip() and page.count("<h1>") == 1
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    weight = len(page.encode()) + sum(len(site.get(one)[1].encode()) for one in set(loaded))
    assert weight <= 200_000
    assert not re.findall(r'(?:src|href|action)="(?!/|#|\?|http://127\.0\.0\.1)', page)
    assert " style=" not in page and " onclick" not in page


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/model/alibaba/qwen3-8bb", 404, "Did you mean"),
        ("/model/nosuch-model", 404, "no model"),
        ("/find?gpu=RTX+99999", 400, "The hardware was not understood"),
        ("/model/alibaba/qwen3-8b?gpu=nosuch", 400, "nosuch"),
        ("/model/deepseek/deepseek-r1?gpu=RTX+4090", 200, "It does not fit"),
        ("/model/openai/gpt-4o", 200, "It cannot run"),
        ("/deployment/nosuch", 404, "there is no deployment"),
        ("/traffic/ffffffffffffffffffffffffffffffff", 404, "there is no request"),
        ("/scores/compare?run=a&run=b", 404, "there is no report"),
        ("/find?gpu=RTX+4090&q=zzzzzz", 200, "No model matches all of this"),
        ("/docs/nosuch", 404, "the manual has no page"),
        ("/docs/..%2f..%2fREADME", 400, "not a plain path"),
        ("/docs?q=zzzzzz", 200, "Nothing in the manual has all words"),
        ("/docs/images/nosuch.png", 404, "there is no file"),
        ("/nosuch", 404, "there is no path"),
        ("/static/nosuch.js", 404, "there is no file"),
    ],
)
def test_states_keep_their_status_and_say_what_to_do(
    site: WebSite, path: str, status: int, words: str
) -> None:
    answer = site.get(path)
    assert (answer[0], words in answer[1]) == (status, True), answer[1][-1500:]


def test_scripts_get_problems_and_not_pages(site: WebSite) -> None:
    status, body, headers = site.get("/nosuch", Accept="*/*")
    assert status == 404 and headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "path_not_found"


def test_what_others_wrote_is_never_markup(site: WebSite) -> None:
    """Names of models and entries, file names, engines' answers and log lines, queries."""
    for path in ("/", "/traffic", "/deployment/demo", f"/find?{CARD}&q=%3Cscript%3Ealert(1)%3C/script%3E",
                 "/model/%3Cscript%3Ealert(1)%3C/script%3E", "/model/a?gpu=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
                 "/compare?model=%3Cimg%20src=x%20onerror=alert(1)%3E", "/deployment/%3Cb%3E", "/scores/compare?run=%3Cb%3E",
                 "/docs?q=%3Cscript%3Ealert(1)%3C/script%3E", "/docs/%3Cscript%3Ealert(1)%3C/script%3E"):  # fmt: skip
        page = site.get(path)[1]
        assert "<script>alert" not in page and "<img src=x" not in page, path
    traffic = site.get("/traffic")[1]
    assert "&lt;img src=x onerror=alert(1)&gt;" in traffic


def test_a_hostile_log_line_is_text(site: WebSite) -> None:
    log = next((site.home).rglob("engine.log"), None)
    assert log is not None
    with log.open("a") as lines:
        lines.write(f"\n{HOSTILE}</pre><script>alert(2)</script>\n")
    page = site.get("/deployment/demo")[1]
    assert "alert(2)" in page and "<script>alert(2)" not in page and HOSTILE not in page


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:80"])
def test_a_name_that_was_made_to_point_here_is_refused(site: WebSite, host: str) -> None:
    for path in ("/", "/api/v1/live", "/v1/deployments"):
        status, page, _ = site.get(path, Host=host)
        assert status in (403, 421) and "What runs here" not in page
        status = site.get(path, Host=host, Authorization="Bearer wrong")[0]
        assert status in (403, 421)


def test_a_page_changes_nothing_without_the_key(site: WebSite) -> None:
    path = "/v1/deployments/demo/stop"
    assert site.change(path) == 403
    assert site.change(path, Authorization="Bearer pg-ms-wrong") == 403
    assert site.change("/v1/deployments", {"model": "demo"}) == 403
    assert site.change("/v1/deployments/demo", method="DELETE") == 403
    assert site.change("/v1/cluster/routes/test", {"model": "demo"}) == 403
    assert "demo" in site.get("/")[1] and '"running"' in site.get("/v1/deployments")[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:9"}, {"Origin": "https://evil.test"}, {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ],
)  # fmt: skip
def test_pages_of_other_origins_change_nothing_even_with_the_key(
    site: WebSite, headers: dict[str, str]
) -> None:
    key = {"Authorization": f"Bearer {site.key}"}
    assert site.change("/v1/deployments/demo/stop", None, "POST", **{**headers, **key}) == 403


def test_a_form_cannot_change_anything(site: WebSite) -> None:
    key = {"Authorization": f"Bearer {site.key}"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.change("/v1/deployments", {"model": "demo"}, **key, **form) == 415


def test_with_the_key_a_route_is_tested_and_a_deployment_restarted(site: WebSite) -> None:
    key = {"Authorization": f"Bearer {site.key}", "Origin": site.url}
    json_ = {"Content-Type": "application/json", "Accept": "application/json"}
    body = json.dumps({"model": ROUTE}).encode()
    status, text, _ = fetch("POST", f"{site.url}/v1/cluster/routes/test", body, **key, **json_)
    assert (status, json.loads(text)["ok"]) == (200, True)
    status, text, headers = fetch("POST", f"{site.url}/v1/deployments/demo/restart", b"", **key)
    assert status == 202 and headers["location"] == "/v1/deployments/demo/job"

    def job() -> Any:
        return json.loads(fetch("GET", site.url + headers["location"], None)[1])["job"]

    ended = until(lambda: one if (one := job())["state"] != "running" else None)
    assert (ended["state"], ended["action"], ended["error"]) == ("done", "restart", None)


def test_a_change_that_fails_says_why(site: WebSite) -> None:
    key = {"Authorization": f"Bearer {site.key}"}
    assert site.change("/v1/deployments", {"model": "nosuch"}, **key) == 404
    assert site.change("/v1/deployments", {"model": "deepseek/deepseek-r1"}, **key) == 409
    assert site.change("/v1/deployments", {"model": "demo", "hello": 1}, **key) == 400
    assert site.change("/v1/deployments/nosuch/start", **key) == 404


def test_programs_of_this_machine_read_and_plan_deployments(site: WebSite) -> None:
    status, text, _ = fetch("GET", f"{site.url}/v1/deployments", None, Accept="application/json")
    listed = json.loads(text)
    valid(listed, "list")
    assert status == 200 and listed["deployments"][0]["name"] == "demo"
    shown = json.loads(fetch("GET", f"{site.url}/v1/deployments/demo", None)[1])
    valid(shown, "show")
    body = json.dumps({"model": "qwen3-8b", "gpu": "RTX 4090"}).encode()
    headers = {"Content-Type": "application/json"}
    plan = json.loads(fetch("POST", f"{site.url}/v1/deployments/plan", body, **headers)[1])
    valid(plan, "plan")
    assert (
        plan["verdict"] == "fits" and plan["max_context_tokens"] >= plan["plan"]["context_tokens"]
    )


def valid(document: Any, name: str) -> None:
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_the_live_document_is_that_of_top_and_is_sent_once(site: WebSite) -> None:
    def asked(**headers: str) -> tuple[int, str, dict[str, str]]:
        return site.get("/api/v1/live", **headers)

    status, text, _ = asked()
    document = json.loads(text)
    valid(document, "top")
    assert {one["name"] for one in document["services"]} >= {"demo", ROUTE}
    assert status == 200 and len(text) < 4000

    def unchanged() -> bool:
        etag = asked()[2]["etag"]
        return asked(If_None_Match=etag)[0] == 304

    assert until(unchanged)


def test_the_series_has_columns_of_equal_length(site: WebSite) -> None:
    document = json.loads(site.get("/api/v1/series?of=demo&last=3600&points=60")[1])
    columns = [value for value in document.values() if isinstance(value, list) and value]
    assert {len(column) for column in columns} == {60}
    assert sum(document["requests_per_s"]) > 0
    other = json.loads(site.get("/api/v1/series?of=nosuch&last=-1&points=999999")[1])
    assert len(other["t"]) == 600 or len(other["t"]) == 180


def test_the_sizes_of_a_page_are_those_of_the_command(site: WebSite) -> None:
    document = json.loads(site.get(f"/api/v1/sizes/alibaba/qwen3-8b?{CARD}")[1])
    valid(document, "sizes")
    printed = run(
        site.home, "estimate", "alibaba/qwen3-8b", "--gpu", "RTX 4090", "--files", "--json"
    )
    assert json.loads(printed)["files"] == document["files"]


def test_a_plan_is_exported_from_the_page(site: WebSite) -> None:
    page = site.get(f"/model/alibaba/qwen3-8b?{CARD}&export=compose")[1]
    assert "services:" in page and "Download the file" in page
    status, text, headers = site.get(f"/export/compose/alibaba/qwen3-8b?{CARD}")
    assert status == 200 and "services:" in text and "attachment" in headers["content-disposition"]
    assert site.get("/export/nosuch/alibaba/qwen3-8b")[0] in (400, 404)


def test_static_files_have_names_with_their_hash_and_are_kept(site: WebSite) -> None:
    for asset in assets().values():
        status, _, headers = site.get(asset.url)
        assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert hashlib.sha256(asset.data).hexdigest()[:12] in asset.url
    for path in ("/static/../guard.py", "/static/%2e%2e/guard.py", "/static/app.css"):
        assert site.get(path)[0] in (400, 404)


def test_vendored_files_are_those_of_their_release() -> None:
    folder = FOLDER / "vendor" / "uplot"
    stated = re.findall(r"^(\S+) sha256: ([0-9a-f]{64})$", (folder / "SOURCE").read_text(), re.M)
    assert len(stated) == 3
    for name, digest in stated:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()
    assert "uPlot" in notice


def test_a_gateway_that_others_reach_shows_nothing_without_a_key(tmp_path: Path) -> None:
    home = tmp_path / "exposed"
    made = json.loads(run(home, "key", "create", "pages", "--scope", "read", "--json"))
    with serving("--expose", **variables(home)) as served:
        port = served.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        status, page, headers = fetch("GET", url + "/", None)
        assert status == 401 and "This gateway needs a key" in page
        assert "What runs here" not in page and "set-cookie" not in headers
        assert fetch("GET", url + "/api/v1/live", None)[0] == 401
        key = {"Authorization": f"Bearer {made['value'] if 'value' in made else made['key']}"}
        status, page, _ = fetch("GET", url + "/", None, **key)
        assert status == 200 and "What runs here" in page
        own = {**key, "Origin": url, "Sec-Fetch-Site": "same-origin"}
        assert fetch("POST", url + "/v1/deployments/demo/stop", b"", **own)[0] == 403
    assert not list((home / "state").glob("pages-*.key"))


def test_the_pages_key_works_next_to_stored_keys_and_only_for_changes(tmp_path: Path) -> None:
    home = tmp_path / "locked"
    run(home, "key", "create", "laptop", "--scope", "infer")
    with serving(**variables(home)) as served:
        key = (home / "state" / f"pages-{served.url.rpartition(':')[2]}.key").read_text().strip()
        assert fetch("GET", served.url + "/", None)[0] == 200
        sent = {"Authorization": f"Bearer {key}", "Origin": served.url}
        assert fetch("POST", served.url + "/v1/deployments/nosuch/stop", b"", **sent)[0] == 404
        assert served.chat("any", key)[0] == 401
        assert served.get("/v1/audit", key)[0] == 403
        sent["Authorization"] += "0"
        assert fetch("POST", served.url + "/v1/deployments/nosuch/stop", b"", **sent)[0] == 401
