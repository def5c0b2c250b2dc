"""The client against a real server that misbehaves in every way named in the issue."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time

import pytest
from modelscan.net.cache import AnswerCache
from support import hub_faults
from support.fake_hub import FakeHub, Reply

from modelscan.core.errors import OfflineError, UsageError
from modelscan.net.client import HttpClient
from modelscan.net.deadline import wait_asked_s
from modelscan.net.errors import HttpError


@pytest.fixture
def hub():
    with FakeHub() as running:
        running.documents["/api.json"] = b'{"acme": {"models": {}}}'
        yield running


def client(**options):
    return HttpClient(**{"timeout_s": 3.0, "backoff_s": (0.01, 0.01), **options})


def failure(hub, **options):
    with client(**options) as http, pytest.raises(HttpError) as caught:
        http.get(hub.url + "/api.json")
    return caught.value


def test_answers(hub):
    with client() as http:
        answer = http.get(hub.url + "/api.json", params={"a": "b c"})
    assert answer.json() == {"acme": {"models": {}}}
    assert hub.log[0].query == {"a": ["b c"]}
    assert hub.log[0].headers["user-agent"].startswith("modelscan/")


def test_second_request_is_conditional(hub, tmp_path):
    with client(cache_dir=tmp_path) as http:
        first = http.get(hub.url + "/api.json", cached=True)
        second = http.get(hub.url + "/api.json", cached=True)
        hub.documents["/api.json"] = b'{"other": 1}'
        third = http.get(hub.url + "/api.json", cached=True)
    assert "if-none-match" not in hub.log[0].headers
    assert hub.log[1].headers["if-none-match"] == first.headers["etag"]
    assert second.not_modified and second.body == first.body and second.status == 200
    assert not third.not_modified and third.json() == {"other": 1}


def test_damaged_cache_is_not_used(hub, tmp_path):
    with client(cache_dir=tmp_path) as http:
        http.get(hub.url + "/api.json", cached=True)
        for body in tmp_path.glob("*.body"):
            body.write_bytes(b"{}")
        answer = http.get(hub.url + "/api.json", cached=True)
    assert "if-none-match" not in hub.log[1].headers
    assert answer.json() == {"acme": {"models": {}}}


def test_answers_to_a_token_are_kept_apart(hub, tmp_path):
    with client(cache_dir=tmp_path) as http:
        http.get(hub.url + "/api.json", cached=True, headers={"Authorization": "Bearer x"})
        http.get(hub.url + "/api.json", cached=True)
    assert "if-none-match" not in hub.log[1].headers
    assert AnswerCache(tmp_path).load(hub.url + "/api.json", private=True)


def test_offline_opens_no_socket(hub, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("a socket was opened")

    with client(offline=True) as http:
        monkeypatch.setattr(socket, "socket", refuse)
        with pytest.raises(OfflineError, match="offline"):
            http.get(hub.url + "/api.json")
        with pytest.raises(OfflineError):
            http.get_range(hub.url + "/api.json", 0, 10)
    assert hub.log == []


@pytest.mark.parametrize(
    ("mode", "code", "attempts"),
    [
        ("500", "http_status", 3),
        ("503", "http_status", 3),
        ("401", "http_status", 1),
        ("404", "http_status", 1),
        ("huge", "too_large", 1),
        ("endless", "too_large", 1),
        ("gzip-bomb", "too_large", 1),
        ("redirect-loop", "redirects", 6),
        ("reset", "broken", 3),
        ("half", "broken", 3),
    ],
)
def test_faults_are_told_apart(hub, mode, code, attempts):
    hub_faults.bomb()
    hub.fault("/api.json", mode)
    started = time.monotonic()
    error = failure(hub)
    assert (error.code, len(hub.log)) == (code, attempts)
    assert str(hub.port) in error.message
    assert time.monotonic() - started < 3


def test_body_limit_stops_reading_early(hub):
    hub.fault("/api.json", "endless")
    with client() as http, pytest.raises(HttpError, match=r"1\.00 MiB"):
        http.get(hub.url + "/api.json", max_bytes=1 << 20)
    assert http.received_bytes < 2 << 20
    assert hub.sent_bytes < 64 << 20


@pytest.mark.parametrize("mode", ["slow-headers", "slow-body", "hang"])
def test_deadline_bounds_the_whole_answer(hub, mode):
    hub.fault("/api.json", mode)
    started = time.monotonic()
    error = failure(hub, timeout_s=0.6)
    assert error.code == "timeout"
    assert "0.6 s" in error.message and "http_timeout_s" in error.hint
    assert time.monotonic() - started < 1.5
    assert len(hub.log) == 1  # a slow server is not asked again


def test_one_failure_is_survived(hub):
    for mode in ("500", "reset"):
        hub.heal()
        hub.fault("/api.json", mode, times=1)
        with client() as http:
            assert http.get(hub.url + "/api.json").status == 200


def test_garbage_is_not_json(hub):
    hub.fault("/api.json", "garbage")
    with client() as http, pytest.raises(HttpError, match="not JSON"):
        http.get(hub.url + "/api.json").json()


def test_nested_without_end_is_not_json_either(hub):
    hub.documents["/api.json"] = b"[" * 100_000
    with client() as http, pytest.raises(HttpError, match="not JSON"):
        http.get(hub.url + "/api.json").json()


def test_rate_limit_names_the_wait(hub):
    hub.fault("/api.json", "429")
    started = time.monotonic()
    error = failure(hub)
    assert (error.code, error.hint) == ("rate_limited", "try again in 55 s")
    assert len(hub.log) == 1  # 55 s is too long to wait for
    assert time.monotonic() - started < 1


def test_short_retry_after_is_waited_for(hub):
    hub.retry_after = "1"
    hub.fault("/api.json", "429", times=1)
    started = time.monotonic()
    with client() as http:
        assert http.get(hub.url + "/api.json").status == 200
    assert time.monotonic() - started >= 1


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
def test_wait_asked(headers, seconds):
    assert wait_asked_s(headers, now=10.0) == seconds


def test_ranges(hub):
    hub.add("acme/tiny", {"model.gguf": bytes(range(256)) * 100, "notes.txt": b"0123456789"})
    with client() as http:
        lfs = hub.url + "/acme/tiny/resolve/main/model.gguf"
        assert http.get_range(lfs, 1000, 16) == (bytes(range(256)) * 5)[1000:1016]
        assert http.get_range(hub.url + "/acme/tiny/resolve/main/notes.txt", 8, 100) == b"89"
        assert http.get_range(lfs, 10**6, 10) == b""
        assert http.get_range(lfs, 0, 0) == b""
    assert http.received_bytes == 18


def test_a_server_without_ranges_is_refused(hub):
    hub.add("acme/tiny", {"model.gguf": bytes(5000)})
    hub.fault("/cdn/", "ignore-range")
    with client() as http, pytest.raises(HttpError, match="no parts of files"):
        http.get_range(hub.url + "/acme/tiny/resolve/main/model.gguf", 0, 16)


def test_a_redirect_to_another_host_loses_the_token(hub):
    hub.add("acme/tiny", {"model.gguf": bytes(5000)})
    with client() as http:
        url = hub.url + "/acme/tiny/resolve/main/model.gguf"
        headers = {"Authorization": "Bearer hf_valid", "Cookie": "m_session_id=hf_valid"}
        http.get_range(url, 0, 16, headers=headers)
    asked, cdn = hub.log
    assert asked.headers["authorization"] == "Bearer hf_valid"
    assert cdn.host.startswith("localhost")
    assert "authorization" not in cdn.headers and "cookie" not in cdn.headers


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "not an address", "http://", "http://[::1"])
def test_addresses_that_are_none(url):
    with client() as http, pytest.raises(UsageError):
        http.get(url)


def test_nobody_listens():
    with client() as http, pytest.raises(HttpError, match="cannot connect to") as got:
        http.get("http://user:secret@127.0.0.1:9/x?token=secret")
    assert "127.0.0.1:9" in got.value.message and "secret" not in got.value.message
    assert got.value.code == "connect"


def test_broken_proxy_settings_are_explained(hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:1")
    with client() as http, pytest.raises(UsageError, match="proxy settings"):
        http.get(hub.url + "/api.json")


def test_proxy_of_the_environment_is_used(hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    with client() as http:
        assert http.get("http://models.invalid/api.json?x=1").json() == {"acme": {"models": {}}}
    assert hub.log[0].host == "models.invalid"


def test_cancel_stops_a_request_under_way(hub):
    hub.fault("/api.json", "hang")
    with client(timeout_s=30) as http:
        threading.Timer(0.3, http.cancel).start()
        started = time.monotonic()
        with pytest.raises(HttpError, match="was stopped"):
            http.get(hub.url + "/api.json")
        assert time.monotonic() - started < 3
        with pytest.raises(HttpError, match="was stopped"):
            http.get(hub.url + "/api.json")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for this machine, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def tls_hub(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with FakeHub(tls=context) as running:
        running.documents["/api.json"] = b"{}"
        yield running


def test_tls_with_an_own_authority(tls_hub, certificate):
    with client(ca_file=str(certificate[0])) as http:
        assert http.get(tls_hub.url + "/api.json").json() == {}
    error = failure(tls_hub)
    assert error.code == "connect" and "certificate" in error.message.lower()


@pytest.mark.parametrize("mode", ["slow-headers", "slow-body", "hang"])
def test_the_deadline_holds_under_tls(tls_hub, certificate, mode):
    tls_hub.fault("/api.json", mode)
    started = time.monotonic()
    error = failure(tls_hub, timeout_s=0.7, ca_file=str(certificate[0]))
    assert error.code == "timeout"
    assert time.monotonic() - started < 2


def test_a_server_that_never_finishes_the_handshake():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        started = time.monotonic()
        with client(timeout_s=0.5) as http, pytest.raises(HttpError) as caught:
            http.get(url)
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < 2


def test_from_encrypted_to_unencrypted_is_not_followed(tls_hub, certificate, hub):
    tls_hub.reply = lambda seen: Reply(b"", 302, {"Location": hub.url + "/api.json"})
    with client(ca_file=str(certificate[0])) as http, pytest.raises(HttpError, match="unencrypted"):
        http.get(tls_hub.url + "/api.json")
    assert hub.log == []


def test_a_ca_file_that_is_none(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "none.pem"):
        with (
            client(ca_file=str(tmp_path / name)) as http,
            pytest.raises(UsageError, match="CA file"),
        ):
            http.get("https://127.0.0.1:9/")
