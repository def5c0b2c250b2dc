"""Every face of the client against a real server that misbehaves in every way."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import hub_faults
from support.fake_hub import FakeHub, Reply
from support.http_faces import QUICK, Face

from modelscan.core.errors import OfflineError, UsageError
from modelscan.hub.http_client import AnswerCache
from modelscan.net.async_client import AsyncHttpClient
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpLimits, HttpSettings, json_body
from modelscan.net.local import LocalTransport

pytest_plugins = ["support.http_fixtures"]
pytestmark = pytest.mark.timeout(300)  # a deadline that does not work hangs


def settings(**options: Any) -> HttpSettings:
    return HttpSettings(**{"timeout_s": 5.0, "pauses_s": QUICK, **options})


def failure(face: Face, url: str, **options: Any) -> HttpError:
    with pytest.raises(HttpError) as caught:
        face.get(url, settings(**options))
    return caught.value


def test_answers(face: Face, web: FakeHub) -> None:
    answer = face.get(web.url + "/api.json", settings(), params={"a": "b c"})
    assert answer.json() == {"acme": {"models": {}}}
    assert web.log[0].query == {"a": ["b c"]}
    assert web.log[0].headers["user-agent"].startswith("modelscan/")


def test_second_request_is_conditional(face: Face, web: FakeHub, tmp_path: Path) -> None:
    kept = settings(cache=AnswerCache(tmp_path))
    first = face.get(web.url + "/api.json", kept, cached=True)
    second = face.get(web.url + "/api.json", kept, cached=True)
    web.documents["/api.json"] = b'{"other": 1}'
    third = face.get(web.url + "/api.json", kept, cached=True)
    assert "if-none-match" not in web.log[0].headers
    assert web.log[1].headers["if-none-match"] == first.headers["etag"]
    assert second.not_modified and second.body == first.body and second.status == 200
    assert not third.not_modified and third.json() == {"other": 1}


def test_damaged_cache_is_not_used(face: Face, web: FakeHub, tmp_path: Path) -> None:
    kept = settings(cache=AnswerCache(tmp_path))
    face.get(web.url + "/api.json", kept, cached=True)
    for body in tmp_path.glob("*.body"):
        body.write_bytes(b"{}")
    answer = face.get(web.url + "/api.json", kept, cached=True)
    assert "if-none-match" not in web.log[1].headers
    assert answer.json() == {"acme": {"models": {}}}


def test_answers_to_a_token_are_kept_apart(face: Face, web: FakeHub, tmp_path: Path) -> None:
    kept = settings(cache=AnswerCache(tmp_path))
    face.get(web.url + "/api.json", kept, cached=True, headers={"Authorization": "Bearer x"})
    face.get(web.url + "/api.json", kept, cached=True)
    assert "if-none-match" not in web.log[1].headers
    assert AnswerCache(tmp_path).load(web.url + "/api.json", private=True)


def test_offline_opens_no_socket(face: Face, web: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(OfflineError, match="offline"):
        face.get(web.url + "/api.json", settings(offline=True))
    with HttpClient(settings(offline=True)) as http, pytest.raises(OfflineError):
        http.get_range(web.url + "/api.json", 0, 10)
    assert web.log == []


FAULTS = [
    ("500", "http_status", 3),
    ("503", "http_status", 3),
    ("401", "http_status", 1),
    ("404", "http_status", 1),
    ("huge", "too_large", 1),
    ("endless", "too_large", 1),
    ("redirect-loop", "redirects", 6),
    ("reset", "broken", 3),
    ("half", "broken", 3),
]


@pytest.mark.parametrize(("mode", "code", "requests"), FAULTS)
def test_faults_are_told_apart(
    face: Face, web: FakeHub, mode: str, code: str, requests: int
) -> None:
    web.fault("/api.json", mode)
    error = failure(face, web.url + "/api.json")
    assert (error.code, len(web.log)) == (code, requests)
    assert str(web.port) in error.message


def test_what_unpacks_to_too_much(tls_face: Face, web: FakeHub) -> None:
    hub_faults.bomb()
    web.fault("/api.json", "gzip-bomb")
    assert failure(tls_face, web.url + "/api.json").code == "too_large"


def test_without_httpx_compressed_bodies_are_refused(web: FakeHub) -> None:
    web.reply = lambda seen: Reply(b"\x1f\x8b", 200, {"Content-Encoding": "gzip"})
    with (
        HttpClient(settings(), LocalTransport()) as http,
        pytest.raises(HttpError, match="compressed"),
    ):
        http.get(web.url + "/api.json")
    assert web.log[0].headers["accept-encoding"] == "identity"


def test_body_limit_stops_reading_early(face: Face, web: FakeHub) -> None:
    web.fault("/api.json", "endless")
    with pytest.raises(HttpError, match=r"1\.00 MiB"):
        face.get(web.url + "/api.json", settings(), max_bytes=1 << 20)
    assert web.sent_bytes < 64 << 20


@pytest.mark.parametrize("mode", ["slow-headers", "slow-body", "hang"])
def test_deadline_bounds_the_whole_answer(face: Face, web: FakeHub, mode: str) -> None:
    """No single read of a dripping answer takes 0.6 s: only the whole can be over the limit."""
    web.fault("/api.json", mode)
    error = failure(face, web.url + "/api.json", timeout_s=0.6)
    assert error.code == "timeout"
    assert "0.6 s" in error.message and "http_timeout_s" in (error.hint or "")
    assert web.sent_bytes < 4096  # it was not read to its end
    assert len(web.log) <= 1  # a slow server is not asked again


@pytest.mark.parametrize("mode", ["500", "reset"])
def test_one_failure_is_survived(face: Face, web: FakeHub, mode: str) -> None:
    web.fault("/api.json", mode, times=1)
    assert face.get(web.url + "/api.json", settings()).status == 200
    assert len(web.log) == 2


def test_what_is_not_idempotent_is_sent_once(face: Face, web: FakeHub) -> None:
    web.fault("/api.json", "500")
    kind, body = json_body({"a": 1})
    with pytest.raises(HttpError) as caught:
        face.send("POST", web.url + "/api.json", settings(), None, headers=kind, body=body)
    assert (caught.value.status, caught.value.attempts, len(web.log)) == (500, 1, 1)
    assert web.log[0].query["_body"] == ['{"a": 1}']


def test_a_head_has_no_body(face: Face, web: FakeHub) -> None:
    answer = face.send("HEAD", web.url + "/api.json", settings(), None)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("body", [b'{"models": [\x00\xff not json', b"[" * 100_000])
def test_what_is_not_json(face: Face, web: FakeHub, body: bytes) -> None:
    web.documents["/api.json"] = body
    with pytest.raises(HttpError, match="not JSON"):
        face.get(web.url + "/api.json", settings()).json()


def test_rate_limit_names_the_wait(face: Face, web: FakeHub) -> None:
    web.fault("/api.json", "429")
    error = failure(face, web.url + "/api.json")
    assert (error.code, error.hint) == ("rate_limited", "try again in 55 s")
    assert len(web.log) == 1  # 55 s is too long to wait for


def test_short_retry_after_is_waited_for(face: Face, web: FakeHub) -> None:
    """The server's 0 s replace the client's hour."""
    web.retry_after = "0"
    web.fault("/api.json", "429", times=1)
    assert face.get(web.url + "/api.json", settings(pauses_s=(3600.0,))).status == 200
    assert len(web.log) == 2


def test_ranges(web: FakeHub) -> None:
    web.add("acme/tiny", {"model.gguf": bytes(range(256)) * 100, "notes.txt": b"0123456789"})
    with HttpClient(settings()) as http:
        lfs = web.url + "/acme/tiny/resolve/main/model.gguf"
        assert http.get_range(lfs, 1000, 16) == (bytes(range(256)) * 5)[1000:1016]
        assert http.get_range(web.url + "/acme/tiny/resolve/main/notes.txt", 8, 100) == b"89"
        assert http.get_range(lfs, 10**6, 10) == b""
        assert http.get_range(lfs, 0, 0) == b""
    assert http.received_bytes == 18


def test_a_server_without_ranges_is_refused(web: FakeHub) -> None:
    web.add("acme/tiny", {"model.gguf": bytes(5000)})
    web.fault("/cdn/", "ignore-range")
    url = web.url + "/acme/tiny/resolve/main/model.gguf"
    with HttpClient(settings()) as http:
        with pytest.raises(HttpError, match="byte ranges"):
            http.get_range(url, 0, 16)
        with pytest.raises(HttpError, match="byte ranges"):
            list(http.stream(url, 16))


def test_a_stream_goes_on_from_there(web: FakeHub) -> None:
    content = bytes(range(256)) * 40
    web.add("acme/tiny", {"model.gguf": content})
    url = web.url + "/acme/tiny/resolve/main/model.gguf"
    with HttpClient(settings()) as http:
        assert b"".join(http.stream(url, 0)) == content
        assert b"".join(http.stream(url, 10_000)) == content[10_000:]
        assert b"".join(http.stream(url, len(content))) == b""


def test_a_silent_stream_ends(web: FakeHub) -> None:
    """What has come is handed on; then only silence is limited."""
    web.fault("/api.json", "hang")
    with HttpClient(settings(timeout_s=1.5)) as http, pytest.raises(HttpError) as caught:
        list(http.stream(web.url + "/api.json", 0))
    assert (caught.value.code, "sent nothing for 1.5 s" in caught.value.message) == ("broken", True)


def test_a_redirect_to_another_host_loses_the_token(face: Face, web: FakeHub) -> None:
    web.add("acme/tiny", {"model.gguf": bytes(5000)})
    url = web.url + "/acme/tiny/resolve/main/model.gguf"
    headers = {"Authorization": "Bearer hf_valid", "Cookie": "m_session_id=hf_valid"}
    face.get(url, settings(), headers=headers)
    first, cdn = web.log
    assert first.headers["authorization"] == "Bearer hf_valid"
    assert cdn.host.startswith("localhost")
    assert "authorization" not in cdn.headers and "cookie" not in cdn.headers


def test_redirects_may_be_refused(face: Face, web: FakeHub) -> None:
    web.reply = lambda seen: Reply(b"", 302, {"Location": web.url + "/elsewhere"})
    with pytest.raises(HttpError) as caught:
        face.send("GET", web.url + "/api.json", settings(), HttpLimits(5.0, max_redirects=0))
    assert caught.value.headers["location"] == web.url + "/elsewhere"
    assert (caught.value.status, len(web.log)) == (302, 1)


def test_lines(face: Face, web: FakeHub) -> None:
    web.documents["/api.json"] = b'{"a": 1}\n\n{"b": "\xc3\xa4"}\r\nlast'
    lines = face.lines(web.url + "/api.json", settings())
    assert lines == ['{"a": 1}', "", '{"b": "ä"}', "last"]


@pytest.mark.parametrize(("mode", "code"), [("half", "broken"), ("hang", "broken"), ("404", "http_status"), ("endless", "too_large")])  # fmt: skip
def test_lines_that_break_off(face: Face, web: FakeHub, mode: str, code: str) -> None:
    web.fault("/api.json", mode)
    with pytest.raises(HttpError) as caught:
        face.lines(web.url + "/api.json", settings(), silence_s=1.5)
    assert (caught.value.code, len(web.log)) == (code, 1)


def test_lines_may_be_bounded(face: Face, web: FakeHub) -> None:
    web.documents["/api.json"] = b"1\n" * 100
    with pytest.raises(HttpError) as caught:
        face.lines(web.url + "/api.json", settings(), max_bytes=150)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("name", ["httpx", "local"])
def test_lines_may_have_a_deadline(web: FakeHub, name: str) -> None:
    """It drips on, so that no silence would end it."""
    web.fault("/api.json", "slow-body")
    transport = LocalTransport() if name == "local" else None
    with (
        HttpClient(settings(timeout_s=3600.0), transport) as http,
        pytest.raises(HttpError) as caught,
        http.lines("GET", web.url + "/api.json", within_s=0.6) as lines,
    ):
        list(lines)
    assert (caught.value.code, "0.6 s" in caught.value.message) == ("timeout", True)


def test_lines_come_as_they_are_sent(web: FakeHub) -> None:
    """A watch must not wait for a buffer to fill: the second line is sent after the first came."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        go_on = threading.Event()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
                go_on.wait(30)
                peer.sendall(b"4\r\ntwo\n\r\n0\r\n\r\n")

        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with (
            HttpClient(settings(timeout_s=20.0), LocalTransport()) as http,
            http.lines("GET", url) as lines,
        ):
            assert next(lines) == "one"
            go_on.set()
            assert list(lines) == ["two"]
        server.join()


def test_an_upload_is_read_once(web: FakeHub) -> None:
    for transport in (None, LocalTransport()):
        with HttpClient(settings(), transport) as http, pytest.raises(HttpError) as caught:
            http.upload(web.url + "/nothing", iter([b"a=1", b"&b=2"]), 7)
        assert caught.value.status == 404
    assert [seen.query for seen in web.log] == [{"a": ["1"], "b": ["2"]}] * 2


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "not an address", "http://", "http://[::1", "http://a b/", "http://a:x/"]
)  # fmt: skip
def test_addresses_that_are_none(face: Face, url: str) -> None:
    with pytest.raises(UsageError):
        face.get(url, settings())


def test_nothing_listens(face: Face) -> None:
    error = failure(face, "http://user:secret@127.0.0.1:9/x?token=secret")
    assert error.message.startswith("cannot connect to 127.0.0.1:9")
    assert "secret" not in error.message
    assert (error.code, error.attempts) == ("connect", 3)


def test_no_thread_is_left(web: FakeHub) -> None:
    """The supervisor checks an engine's health and forks: threads do not survive that."""
    with HttpClient(settings(), LocalTransport()) as http:
        for _ in range(50):
            http.get(web.url + "/api.json")
            assert [t for t in threading.enumerate() if isinstance(t, threading.Timer)] == []


def when(condition: Callable[[], Any], act: Callable[[], None]) -> threading.Thread:
    """Act as soon as the condition holds."""

    def wait() -> None:
        pause = threading.Event()
        while not condition():
            pause.wait(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["httpx", "local"])
def test_cancel_stops_a_request_under_way(web: FakeHub, name: str) -> None:
    web.fault("/api.json", "hang")
    transport = LocalTransport() if name == "local" else None
    with HttpClient(settings(timeout_s=3600.0), transport) as http:
        thread = when(lambda: web.log, http.cancel)
        with pytest.raises(HttpError, match="was stopped"):
            http.get(web.url + "/api.json")
        thread.join()
        with pytest.raises(HttpError, match="was stopped"):
            http.get(web.url + "/api.json")


def test_cancelling_the_task_stops_an_async_request(web: FakeHub) -> None:
    web.fault("/api.json", "hang")

    async def run() -> None:
        async with AsyncHttpClient(settings(timeout_s=3600.0)) as client:
            task = asyncio.create_task(client.get(web.url + "/api.json"))
            while not web.log:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


def test_async_requests_run_side_by_side(web: FakeHub) -> None:
    """One hangs; those after it come back."""
    web.fault("/slow", "hang")

    async def run() -> list[int]:
        async with AsyncHttpClient(settings(timeout_s=3600.0)) as client:
            slow = asyncio.create_task(client.get(web.url + "/slow"))
            while not web.log:
                await asyncio.sleep(0.01)
            answers = await asyncio.gather(*(client.get(web.url + "/api.json") for _ in range(20)))
            slow.cancel()
            return [answer.status for answer in answers]

    assert asyncio.run(run()) == [200] * 20


def test_tls_with_an_own_authority(
    tls_face: Face, tls_hub: FakeHub, certificate: tuple[Path, Path]
) -> None:
    own = settings(ca_file=str(certificate[0]))
    assert tls_face.get(tls_hub.url + "/api.json", own).json() == {}
    error = failure(tls_face, tls_hub.url + "/api.json")
    assert error.code == "connect" and "certificate" in error.message.lower()


@pytest.mark.parametrize("mode", ["slow-headers", "slow-body", "hang"])
def test_the_deadline_holds_under_tls(
    tls_face: Face, tls_hub: FakeHub, certificate: tuple[Path, Path], mode: str
) -> None:
    tls_hub.fault("/api.json", mode)
    error = failure(tls_face, tls_hub.url + "/api.json", timeout_s=0.7, ca_file=str(certificate[0]))
    assert error.code == "timeout"
    assert tls_hub.sent_bytes < 4096


def test_a_server_that_never_finishes_the_handshake(tls_face: Face) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert failure(tls_face, url, timeout_s=0.5).code == "timeout"


def test_from_encrypted_to_unencrypted_is_not_followed(
    tls_face: Face, tls_hub: FakeHub, certificate: tuple[Path, Path], web: FakeHub
) -> None:
    tls_hub.reply = lambda seen: Reply(b"", 302, {"Location": web.url + "/api.json"})
    error = failure(tls_face, tls_hub.url + "/api.json", ca_file=str(certificate[0]))
    assert "unencrypted" in error.message
    assert web.log == []


def test_a_ca_file_that_is_none(tls_face: Face, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "none.pem"):
        with pytest.raises(UsageError, match="CA file"):
            tls_face.get("https://127.0.0.1:9/", settings(ca_file=str(tmp_path / name)))
