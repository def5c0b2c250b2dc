"""``/v1/registry`` on a running gateway: ETags, merge patches, refusals, pages, scopes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.served import Served, serving, write_routing

from modelscan.state.server.audit import list_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore

MODELS = "/v1/registry/models"


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def etag(self) -> str:
        return self.headers["etag"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("registry") / "home"
    write_routing(home, {})
    with serving(MODELSCAN_HOME=str(home)) as running:
        yield running


def ask(
    gateway: Served, method: str, path: str, body: Any = None, key: str | None = None, **more: str
) -> Answer:
    connection = http.client.HTTPConnection(gateway.url.partition("//")[2], timeout=60)
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, data, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    plain = json.loads(text) if text and "json" in found.get("content-type", "") else text
    return Answer(answer.status, plain, found)


def made(gateway: Served, slug: str, **facts: Any) -> Answer:
    answer = ask(gateway, "POST", MODELS, {"slug": slug, **facts})
    assert answer.status == 201, answer
    return answer


def version(gateway: Served, slug: str, **facts: Any) -> Answer:
    body = {"weights_url": "https://huggingface.co/acme/coder", **facts}
    return ask(gateway, "POST", f"{MODELS}/{slug}/versions", body)


def problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_model_from_its_creation_to_its_end(gateway: Served) -> None:
    created = made(gateway, "acme/first", license="mit")
    path = created.headers["location"]
    assert path == f"{MODELS}/acme/first" and created.etag == f'"{created.body["etag"]}"'
    problem(ask(gateway, "POST", MODELS, {"slug": "acme/first"}), 409, "exists")
    again = ask(gateway, "POST", MODELS, {"slug": "acme/first"}, If_None_Match="*")
    problem(again, 412, "exists")
    read = ask(gateway, "GET", path)
    assert (read.status, read.body, read.etag) == (200, created.body, created.etag)
    assert ask(gateway, "GET", path, If_None_Match=read.etag).status == 304
    assert ask(gateway, "HEAD", path).status == 200
    problem(ask(gateway, "PATCH", path, {"family": "x"}), 428, "if_match_required")
    patched = ask(gateway, "PATCH", path, {"family": "x", "license": None}, If_Match=read.etag)
    assert (patched.body["family"], patched.body["license"]) == ("x", None)
    stale = ask(gateway, "PATCH", path, {"family": "y"}, If_Match=read.etag)
    problem(stale, 412, "stale")
    assert stale.etag == patched.etag and stale.body["etag"] == patched.body["etag"]
    weak = ask(gateway, "PATCH", path, {"family": "y"}, If_Match=f"W/{patched.etag}")
    assert weak.status == 412
    problem(ask(gateway, "DELETE", path), 428, "if_match_required")
    problem(ask(gateway, "DELETE", path, If_Match=read.etag), 412, "stale")
    assert ask(gateway, "DELETE", path, If_Match="*").status == 204
    problem(ask(gateway, "GET", path), 404, "unknown_model")


def test_versions_are_published_once(gateway: Served) -> None:
    made(gateway, "pub", license="mit")
    first = version(gateway, "pub", revision="a" * 40)
    assert first.status == 201
    assert first.headers["location"] == f"{MODELS}/pub/versions/1"
    same = version(gateway, "pub", revision="a" * 40)
    assert (same.status, same.body["version"]) == (200, "1")
    path = first.headers["location"]
    edited = ask(gateway, "PATCH", path, {"quantization": "Q4_K_M"}, If_Match=first.etag)
    assert edited.status == 200
    published = ask(gateway, "POST", f"{path}/publish", {})
    assert (published.status, published.body["state"]) == (200, "published")
    assert ask(gateway, "POST", f"{path}/publish").body == published.body
    fixed = ask(gateway, "PATCH", path, {"quantization": "Q8_0"}, If_Match="*")
    problem(fixed, 409, "version_published")
    problem(ask(gateway, "DELETE", path, If_Match="*"), 409, "version_published")
    relied = ask(gateway, "PATCH", f"{MODELS}/pub", {"license": "apache-2.0"}, If_Match="*")
    problem(relied, 409, "version_published")
    assert ask(gateway, "PUT", f"{path}/tags/quick").body["tags"] == ["quick"]
    named = ask(gateway, "PUT", f"{MODELS}/pub/aliases/champion", {"version": "1"})
    assert named.body["aliases"] == {"champion": "1"}
    for alias in ("latest", "v1", "1", "a.b"):
        refused = ask(gateway, "PUT", f"{MODELS}/pub/aliases/{alias}", {"version": "1"})
        problem(refused, 422, "invalid")
    problem(
        ask(gateway, "PUT", f"{MODELS}/pub/aliases/x", {"version": "9"}), 404, "unknown_version"
    )
    resolved = ask(gateway, "GET", "/v1/registry/resolve/pub@champion")
    assert resolved.body["version"] == "1" and resolved.body["tags"] == ["quick"]
    assert ask(gateway, "GET", "/v1/registry/resolve/pub").body["chosen_by"] == "champion"
    assert ask(gateway, "DELETE", f"{path}/tags/quick").status == 204
    assert ask(gateway, "DELETE", f"{MODELS}/pub/aliases/champion").status == 204
    problem(ask(gateway, "GET", "/v1/registry/resolve/pub@champion"), 404, "unknown_alias")
    deprecated = ask(gateway, "PATCH", path, {"state": "deprecated"}, If_Match="*")
    assert deprecated.body["state"] == "deprecated"
    problem(ask(gateway, "GET", "/v1/registry/resolve/pub"), 409, "not_published")
    listed = ask(gateway, "GET", f"{MODELS}/pub/versions").body["items"]
    assert [one["version"] for one in listed] == ["1"]
    events = [row["event"] for row in ask(gateway, "GET", f"{MODELS}/pub/history").body["items"]]
    assert events == [
        "version.deprecated", "alias.removed", "tag.removed", "alias.set", "tag.added",
        "version.published", "version.updated", "version.created", "model.created",
    ]  # fmt: skip


def test_lists_are_filtered_paged_and_revalidated(gateway: Served) -> None:
    for number in range(5):
        made(gateway, f"list/m{number}", family="listed", modalities=["text"])
    seen: list[str] = []
    cursor = ""
    while True:
        page = ask(gateway, "GET", f"{MODELS}?family=listed&limit=2{cursor}")
        seen += [one["slug"] for one in page.body["items"]]
        if page.body["next_cursor"] is None:
            break
        cursor = f"&cursor={page.body['next_cursor']}"
    assert seen == [f"list/m{number}" for number in range(5)]
    assert page.etag.startswith('W/"')
    path = f"{MODELS}?q=list%20m3&modality=text"
    first = ask(gateway, "GET", path)
    row = first.body["items"][0]
    assert row == ask(gateway, "GET", f"{MODELS}/list/m3").body  # with its ETag
    assert ask(gateway, "GET", path, If_None_Match=first.etag).status == 304
    made(gateway, "list/m3-more", family="listed", modalities=["text"])
    fresh = ask(gateway, "GET", path, If_None_Match=first.etag)
    assert (fresh.status, len(fresh.body["items"])) == (200, 2)


@pytest.mark.parametrize(
    "query",
    ["licence=mit", "limit=0", "limit=x", "limit=9999", "max_vram_bytes=-1", "cursor=garbage",
     "family=a&family=b", "min_context=1.5", "sort=x", "visibility=all", "q=" + "x" * 600],
)  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(gateway: Served, query: str) -> None:
    assert ask(gateway, "GET", f"{MODELS}?{query}").status in (400, 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"[]", 400), (b"\xff", 400), (b"", 400), (b"[" * 100_000, 400),
        ({"slug": "A b"}, 422), ({}, 422), ({"slug": "ok", "licence": "mit"}, 422),
        ({"slug": "ok", "context_tokens": "many"}, 422), ({"slug": "ok", "context_tokens": -1}, 422),
        ({"slug": "ok", "license": "not spdx!"}, 422), ({"slug": "ok", "visibility": "all"}, 422),
        ({"slug": "ok", "description": "x" * 30_000}, 422), (b" " * 3_000_000, 413),
        ({"slug": "a/versions"}, 422), ({"slug": "ok", "name": "a\x00b"}, 422),
    ],
)  # fmt: skip
def test_bodies_that_are_refused(gateway: Served, body: Any, status: int) -> None:
    answer = ask(gateway, "POST", MODELS, body)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "facts",
    [
        {"weights_url": "ftp://x/y"}, {"weights_url": "https://user:secret@host/x"},
        {"files": [{"path": "../x"}]}, {"files": [{"path": "/etc/x"}]},
        {"files": [{"path": "a", "sha256": "short"}]}, {"files": [{"path": "a"}, {"path": "a"}]},
        {"state": "published"}, {"version": "7"}, {"min_vram_bytes": 0},
    ],
)  # fmt: skip
def test_facts_of_versions_that_are_refused(gateway: Served, facts: dict[str, Any]) -> None:
    made_before = ask(gateway, "GET", f"{MODELS}/facts").status == 200
    if not made_before:
        made(gateway, "facts")
    problem(version(gateway, "facts", **facts), 422, "invalid")


def test_no_path_has_weights(gateway: Served) -> None:
    made(gateway, "w")
    version(gateway, "w")
    for path in ("w/weights", "w/versions/1/weights", "w/versions/1/model.safetensors"):
        for method in ("GET", "PUT", "POST"):
            assert ask(gateway, method, f"{MODELS}/{path}", b"x").status in (404, 405)


def test_who_may_change_is_recorded(clean_environment: Path) -> None:
    home = clean_environment
    write_routing(home, {})
    with ServerDatabase.open(home / "state") as database:
        store = KeyStore(database)
        keys = {
            scope: store.create(scope, KeyLimits((scope,)))[1]
            for scope in ("read", "operator", "curator", "infer")
        }
    with serving() as running:
        body = {"slug": "mine"}
        for scope, status in (("read", 403), ("infer", 403), ("operator", 201), ("curator", 409)):
            assert ask(running, "POST", MODELS, body, keys[scope]).status == status
        assert ask(running, "GET", MODELS).status == 401
        assert (
            ask(running, "GET", f"{MODELS}/mine", key=keys["read"]).body["created_by"] == "operator"
        )
    with ServerDatabase.open(home / "state") as database:
        row = list_audit(database, limit=1).changes[0]
    assert (row.action, row.actor, row.target) == ("registry.model.created", "operator", "mine")
