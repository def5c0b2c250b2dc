"""Header lines of every answer: pages, files, documents, refusals; compression where it is taken."""

from __future__ import annotations

import gzip

import httpx
import pytest
from support.web_site import WebSite

from modelscan.web.packed import accepts_gzip

client = httpx.Client(timeout=60, trust_env=False)
PATHS = (
    "/", "/nosuch", "/static/nosuch.js", "/docs/nosuch", "/docs/%2e%2e/x", "/metrics", "/health",
    "/openapi.json", "/v1/models", "/v1/models/nosuch", "/v1/deployments", "/v1/traces",
    "/v1/registry/models?cursor=zzz", "/registry?cursor=zzz", "/api/v1/live", "/api/tags",
    "/api/v1/sizes/nosuch", "/api/v1/series", "/export/nosuch/demo", "/deployment/nosuch",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_no_answer_is_framed_guessed_or_kept(site: WebSite, path: str, accept: str) -> None:
    answer = client.get(site.url + path, headers={"Accept": accept})
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] in ("no-store", "private, max-age=1")
    assert answer.status_code != 503 or path == "/v1/traces"
    if "%2e" not in path:  # refused by the worker, which knows no pages
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_wrong_cursor_is_the_visitors_fault(site: WebSite) -> None:
    assert client.get(site.url + "/registry?cursor=zzz").status_code == 422


def test_pages_and_files_are_compressed_for_those_who_take_it(site: WebSite) -> None:
    plain = client.get(site.url + "/docs/reference/cli", headers={"Accept-Encoding": "identity"})
    with client.stream("GET", site.url + "/docs/reference/cli") as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    assert len(raw) < len(plain.content) / 3
    assert gzip.decompress(raw) == plain.content


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [("gzip, deflate, br", True), ("br;q=1.0, GZIP;q=0.5", True), ("gzip;q=0", False),
     ("", False), ("identity", False), ("gzip;q=..", False), ("notgzip", False)],
)  # fmt: skip
def test_accept_encoding_is_read(accepted: str, taken: bool) -> None:
    assert accepts_gzip(accepted) is taken


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80@evil.example", "127.0.0.1:80, evil", "[::1]x1", "127.0.0.1:1:2", "evil"]
)
def test_a_host_header_that_is_no_address_of_this_machine_is_refused(
    site: WebSite, host: str
) -> None:
    assert client.get(site.url + "/docs", headers={"Host": host}).status_code == 421
