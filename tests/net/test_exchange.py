"""The decisions of the client, as values: no server, no clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.net.address import checked, host_of, is_loopback, keeps_credentials, public
from modelscan.net.conditional import StoredAnswer, renewed, validators
from modelscan.net.errors import HttpError, requested_wait_s, status_error
from modelscan.net.exchange import (
    Body,
    HttpLimits,
    HttpRequest,
    Lines,
    Read,
    answer_of,
    on_head,
    retry_pause_s,
)

LIMITS = HttpLimits(5.0, max_bytes=1000, pauses_s=(0.3, 1.0))
SECRETS = {"Authorization": "Bearer x", "cookie": "a=b", "X-Api-Key": "k"}
GET = HttpRequest("GET", "https://hub.example/a/b", {"Accept": "*/*", **SECRETS})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.255.1.2", "127.1",
     "::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::1%lo"],
)  # fmt: skip
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["127.example.com", "127.0.0.1.example.com", "localhost.example", "notlocalhost", "10.0.0.1",
     "128.0.0.1", "1127.0.0.1", "::2", "fe80::1", "::ffff:10.0.0.1", "", "a:b", "host:8000"],
)  # fmt: skip
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_addresses() -> None:
    assert checked("http://a/b c/ä?x=1#part", {"q": "1 2"}) == "http://a/b%20c/%C3%A4?x=1&q=1+2"
    assert checked("https://a:1/b%20c?sig=%2F") == "https://a:1/b%20c?sig=%2F"
    assert public("http://me:secret@a/b") == "http://a/b"
    assert host_of("http://me:secret@a:1/b?c") == "a:1"
    for wrong in ("http://a\n/b", "http://a:99999/", "//a/b", "file:///etc/passwd"):
        with pytest.raises(UsageError):
            checked(wrong)


@pytest.mark.parametrize(
    ("to", "kept"),
    [
        ("https://hub.example/x", True),
        ("https://HUB.example:443/x", True),
        ("https://hub.example:444/x", False),
        ("http://hub.example/x", False),
        ("https://cdn.hub.example/x", False),
        ("https://hub.example.evil/x", False),
    ],
)
def test_where_credentials_may_go(to: str, kept: bool) -> None:
    assert keeps_credentials(GET.url, to) is kept
    assert keeps_credentials("http://hub.example/", "https://hub.example/")


def follow(location: str, request: HttpRequest = GET, status: int = 302) -> HttpRequest:
    step = on_head(request, status, {"location": location}, 0, LIMITS)
    assert isinstance(step, HttpRequest)
    return step


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    same = GET._replace(url="https://hub.example/c", first_url=GET.url)
    assert follow("/c", status=status) == same
    away = follow("https://cdn.example/x?sig=secret", status=status)
    assert away.headers == {"Accept": "*/*"}
    assert away.shown == GET.url  # messages do not show the signed address
    assert follow("https://other.example/", away).first_url == GET.url


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://hub.example/", "unencrypted"),
        ("https://127.0.0.1/", "this machine"),
        ("https://localhost:8443/", "this machine"),
        ("ftp://hub.example/", "not an http"),
        ("https://[::1", "not an http"),
    ],
)
def test_redirects_that_are_refused(location: str, why: str) -> None:
    with pytest.raises(HttpError, match=why) as caught:
        follow(location)
    assert caught.value.code == "redirects"


def test_redirects_end() -> None:
    with pytest.raises(HttpError, match="more than 5 times"):
        on_head(GET, 302, {"location": "/c"}, 5, LIMITS)
    post = GET._replace(method="POST")
    for request, limits in ((post, LIMITS), (GET, LIMITS._replace(max_redirects=0))):
        step = on_head(request, 302, {"location": "/c"}, 0, limits)
        assert isinstance(step, Read) and step.cut


def test_what_is_read() -> None:
    assert on_head(GET, 200, {"content-length": "1000"}, 0, LIMITS) == Read(1000)
    assert on_head(GET, 304, {}, 0, LIMITS) == Read(1000)
    head = GET._replace(method="HEAD")
    assert on_head(head, 200, {"content-length": "5000"}, 0, LIMITS) == Read(1000)
    with pytest.raises(HttpError, match="1000 B"):
        on_head(GET, 200, {"content-length": "1001"}, 0, LIMITS)


@pytest.mark.parametrize(
    ("status", "headers", "good"),
    [
        (206, {"content-range": "bytes 10-19/100"}, True),
        (206, {"content-range": "bytes 0-19/100"}, False),
        (206, {}, False),
        (200, {}, False),
    ],
)
def test_parts_begin_where_they_should(status: int, headers: dict[str, str], good: bool) -> None:
    limits = LIMITS._replace(range_start=10)
    if good:
        assert on_head(GET, status, headers, 0, limits) == Read(1000)
        return
    with pytest.raises(HttpError) as caught:
        on_head(GET, status, headers, 0, limits)
    assert caught.value.code == "no_ranges"


def test_a_body_is_bounded() -> None:
    body = Body("http://a/", Read(10))
    assert body.add(b"12345") and body.add(b"67890")
    with pytest.raises(HttpError, match="10 B"):
        body.add(b"1")
    cut = Body("http://a/", Read(10, cut=True))
    assert cut.add(b"12345") and not cut.add(b"678901")
    assert cut.joined() == b"1234567890"


@given(st.lists(st.binary(max_size=20)), st.binary(max_size=5))
def test_lines_do_not_depend_on_the_parts(parts: list[bytes], last: bytes) -> None:
    whole = b"".join([*parts, last])
    lines = Lines("http://a/")
    cut = [line for part in (*parts, last) for line in lines.add(part)] + list(lines.end())
    expected = [line.decode("utf-8", "replace").rstrip("\r") for line in whole.split(b"\n")]
    assert cut == (expected if whole.rpartition(b"\n")[2] else expected[:-1])


def test_a_line_without_end_is_refused() -> None:
    lines = Lines("http://a/", line_bytes=10)
    assert list(lines.add(b"12345\n1234567890")) == ["12345"]
    with pytest.raises(HttpError, match="10 B"):
        list(lines.add(b"1"))


def test_a_stream_may_be_bounded() -> None:
    lines = Lines("http://a/", max_bytes=10)
    assert list(lines.add(b"12345\n7890")) == ["12345"]
    with pytest.raises(HttpError, match="10 B"):
        list(lines.add(b"1"))


def failed(status: int | None, code: str | None = None, **headers: str) -> HttpError:
    return HttpError("no", url="http://a/", status=status, code=code, headers=headers)


@pytest.mark.parametrize(
    ("method", "error", "attempt", "pause_s"),
    [
        ("GET", failed(503), 1, 0.3),
        ("GET", failed(503), 2, 1.0),
        ("GET", failed(503), 3, None),
        ("HEAD", failed(429), 1, 0.3),
        ("PUT", failed(500), 1, 0.3),
        ("DELETE", failed(None, "connect"), 1, 0.3),
        ("GET", failed(None, "broken"), 1, 0.3),
        ("GET", failed(None, "timeout"), 1, None),
        ("GET", failed(None, "stopped"), 1, None),
        ("GET", failed(404), 1, None),
        ("GET", failed(501), 1, None),
        ("POST", failed(503), 1, None),
        ("GET", failed(429, **{"retry-after": "7"}), 1, 7.0),
        ("GET", failed(429, **{"retry-after": "9"}), 1, None),
        ("GET", failed(503, **{"retry-after": "Thu, 01 Jan 1970 00:00:12 GMT"}), 1, 2.0),
        ("GET", failed(429, ratelimit='"api";r=0;t=3'), 2, 3.0),
    ],
)
def test_another_attempt(
    method: str, error: HttpError, attempt: int, pause_s: float | None
) -> None:
    request = HttpRequest(method, "http://a/", {}, b"x")
    assert retry_pause_s(request, error, attempt, LIMITS, now=10.0) == pause_s
    once = request._replace(body=iter([b"x"]))
    assert retry_pause_s(once, error, attempt, LIMITS, now=10.0) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 50),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=12;t=55'}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_requested_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert requested_wait_s(headers, now=10.0) == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "no"}', ": no"),
        (b'{"error": {"message": "a\\n b"}}', ": a b"),
        (b'{"detail": "why"}', ": why"),
        (b"<html>sign in</html>", ""),
        (b"[1]", ""),
    ],
)
def test_a_status_with_its_explanation(body: bytes, message: str) -> None:
    assert status_error("http://a/", 500, {}, body).message == f"a answered 500{message}"
    with pytest.raises(HttpError):
        answer_of(GET, 500, {}, body, "now")
    assert answer_of(GET, 304, {}, b"", "now").status == 304


def test_conditional_requests() -> None:
    both = StoredAnswer(b"old", '"e"', "Mon", "then")
    assert validators(None) == {}
    assert validators(both) == {"If-None-Match": '"e"'}
    assert validators(replace(both, etag=None)) == {"If-Modified-Since": "Mon"}
    assert renewed(both, 304, {}, b"", "now") == replace(both, retrieved_at="now")
    assert renewed(both, 200, {"etag": '"f"'}, b"new", "now") == StoredAnswer(
        b"new", '"f"', None, "now"
    )
