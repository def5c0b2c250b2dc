"""What pages change and show with a key: every change against every attack, and the real thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.served import until
from support.web_site import HOSTILE, ROUTE, WebSite, fetch, run

SCHEMAS = Path(__file__).parents[2] / "modelscan" / "schemas"
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/deployments", {"model": "demo"}),
    ("PATCH", "/v1/deployments/demo", {"context_tokens": 1024}),
    ("DELETE", "/v1/deployments/demo", None),
    ("POST", "/v1/deployments/demo/start", None),
    ("POST", "/v1/deployments/demo/stop", None),
    ("POST", "/v1/deployments/demo/restart", None),
    ("POST", "/v1/deployments/demo/upgrade", None),
    ("POST", "/v1/cache/prune", {"delete": True}),
    ("POST", "/v1/cluster/routes/test", {"model": "demo"}),
    ("PUT", "/v1/registry/models/acme/demo/aliases/production", {"version": "1"}),
    ("POST", "/v1/registry/curations/x/approvals", None),
    ("DELETE", "/v1/registry/curations/x", {"reason": "no"}),
)
ATTACKS: dict[str, dict[str, str]] = {
    "another port": {"Origin": "http://127.0.0.1:9"},
    "another site": {"Origin": "https://evil.test"},
    "a sandboxed frame": {"Origin": "null"},
    "a link of another site": {"Sec-Fetch-Site": "cross-site"},
    "a subdomain": {"Sec-Fetch-Site": "same-site"},
    "a name made to point here": {"Host": "evil.test"},
    "no key": {"Authorization": ""},
    "a wrong key": {"Authorization": "Bearer pg-ms-wrong"},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_change_is_made_by_a_page_of_others_or_without_the_key(
    site: WebSite, attack: str
) -> None:
    right = {"Authorization": f"Bearer {site.key}"}
    for method, path, body in CHANGES:
        status = site.change(path, body, method, **{**right, **ATTACKS[attack]})
        assert status in (401, 403, 421), (method, path, status)
    assert '"running"' in site.get("/v1/deployments")[1]


def test_a_form_of_another_page_is_no_json(site: WebSite) -> None:
    form = {"Authorization": f"Bearer {site.key}", "Content-Type": "text/plain"}
    for method, path, body in CHANGES:
        if body is not None and "curations" not in path:  # which need another key
            assert site.change(path, body, method, **form) == 415, path


def job_of(site: WebSite, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Make a change with the pages' key, and wait for its job."""
    sent = {"Authorization": f"Bearer {site.key}", "Origin": site.url, "Accept": "application/json",
            "Content-Type": "application/json"}  # fmt: skip
    data = b"" if body is None else json.dumps(body).encode()
    status, text, headers = fetch(method, site.url + path, data, **sent)
    assert status == 202, text

    def ended() -> Any:
        job = json.loads(fetch("GET", site.url + headers["location"], None)[1])["job"]
        return job if job["state"] != "running" else None

    return dict(until(ended))


def test_the_context_is_changed_and_the_same_again_is_refused(site: WebSite) -> None:
    ended = job_of(site, "PATCH", "/v1/deployments/demo", {"context_tokens": 1024})
    assert (ended["state"], ended["action"], ended["error"]) == ("done", "set", None)
    row = json.loads(site.get("/v1/deployments/demo")[1])["deployment"]
    assert (row["context_tokens"], row["state"]) == (1024, "running")
    key = {"Authorization": f"Bearer {site.key}"}
    assert site.change("/v1/deployments/demo", {"context_tokens": 1024}, "PATCH", **key) == 400
    assert site.change("/v1/deployments/demo", {"context": 1024}, "PATCH", **key) == 400
    assert site.change("/v1/deployments/demo", {}, "PATCH", **key) == 400
    assert site.change("/v1/deployments/demo", {"context_tokens": 0}, "PATCH", **key) == 400
    assert site.change("/v1/deployments/nosuch", {"context_tokens": 9}, "PATCH", **key) == 404


def test_a_change_that_cannot_be_made_says_why_and_leaves_it_running(site: WebSite) -> None:
    ended = job_of(site, "POST", "/v1/deployments/demo/upgrade")
    assert ended["state"] == "failed" and "no hub" in ended["error"]["message"]
    page = site.get("/deployment/demo")[1]
    assert "upgrade failed" in page
    assert '"running"' in site.get("/v1/deployments")[1]


def test_weights_that_nothing_uses_are_listed_and_deleted(site: WebSite) -> None:
    part = site.home / "cache" / "huggingface" / "hub" / "models--org--cut" / "blobs"
    listed = json.loads(site.get("/v1/cache")[1])
    jsonschema.validate(listed, json.loads((SCHEMAS / "cache.list.json").read_text()))
    key = {"Authorization": f"Bearer {site.key}", "Origin": site.url, "Content-Type": "application/json"}  # fmt: skip
    for body, deleted in ({}, False), ({"delete": True}, True):
        sent = json.dumps(body).encode()
        status, text, _ = fetch("POST", f"{site.url}/v1/cache/prune", sent, **key)
        answer = json.loads(text)
        jsonschema.validate(answer, json.loads((SCHEMAS / "cache.prune.json").read_text()))
        assert (status, answer["deleted"]) == (200, deleted)
    assert not part.exists()
    assert site.change("/v1/cache/prune", {"delete": "yes"}, **key) == 400


def test_an_alias_is_set_and_shown(site: WebSite) -> None:
    run(site.home, "registry", "add", "acme/aliased", "--from", "demo", "--publish",
        f"description={HOSTILE}")  # fmt: skip
    key = {"Authorization": f"Bearer {site.key}"}
    path = "/v1/registry/models/acme/aliased/aliases/production"
    assert site.change(path, {"version": "1"}, "PUT", **key) == 200
    page = site.get("/registry")[1]
    assert "production → 1" in page and "<img src=x" not in page
    assert site.change(path, {"version": "7"}, "PUT", **key) == 404


def test_texts_are_shown_to_the_key_alone_and_only_where_they_are_kept(site: WebSite) -> None:
    site.served.chat(ROUTE, max_tokens=4)
    newest = until(lambda: json.loads(run(site.home, "trace", "list", "--json"))["spans"])
    before = newest[0]["trace_id"]
    page = site.get(f"/traffic/{before}")[1]
    assert "No texts of this request were kept" in page and "trace on --content" in page
    run(site.home, "trace", "on", "--content", "--route", ROUTE)

    def kept() -> Any:
        site.served.chat(ROUTE, max_tokens=4)
        rows = json.loads(run(site.home, "trace", "list", "--json"))["spans"]
        shown = [
            json.loads(run(site.home, "trace", "show", one["trace_id"], "--json"))
            for one in rows[:1]
        ]
        return next((one["span"] for one in shown if one["span"]["content"]), None)

    span = until(kept)
    page = site.get(f"/traffic/{span['trace_id']}")[1]
    assert "are kept by choice" in page and "Hello" not in page
    path = f"/v1/traces/{span['trace_id']}"
    own = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
    assert fetch("GET", site.url + path, None, **own)[0] == 403
    key = {**own, "Authorization": f"Bearer {site.key}"}
    status, text, headers = fetch("GET", site.url + path, None, **key)
    assert (status, headers["cache-control"]) == (200, "no-store")
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / "trace.show.json").read_text()))
    assert document["span"]["content"]["messages"][0]["content"] == "Hello"
    assert document["span"]["content"]["answer"]["content"] == HOSTILE
    assert fetch("GET", f"{site.url}/v1/traces/nosuch", None, **key)[0] == 404


def test_the_log_is_sent_once(site: WebSite) -> None:
    status, text, _ = site.get("/api/v1/log?of=demo")
    answer = json.loads(text)
    assert status == 200 and answer["lines"] and answer["error"] is None
    until(lambda: site.get("/api/v1/log?of=demo", If_None_Match=site.get("/api/v1/log?of=demo")[2]["etag"])[0] == 304)  # fmt: skip
    missing = json.loads(site.get("/api/v1/log?of=nosuch")[1])
    assert missing["lines"] == [] and "nosuch" in missing["error"]
