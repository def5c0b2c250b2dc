"""The client against answers in the server's shapes: errors, paging, retries, streams, versions."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelscan.core.errors import AuthError, ModelscanError, OfflineError, RemoteError, UsageError
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.targets.gpustack import client as module
from modelscan.targets.gpustack.client import Client, Connection, dialect_of
from modelscan.targets.gpustack.errors import error_from, message_of

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)


def connect(answer: Answer, version: str = "v2.3.0", **changes: Any) -> Client:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": version})
        return answer(request)

    where = Connection("lab", "http://127.0.0.1:1", **changes)
    return Client(where, HttpxTransport(inner=httpx.MockTransport(handle)))


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "management", "inference"),
        [("v2.3.0", "/v2", "/v1"), ("2.0.1", "/v2", "/v1"), ("0.7.1", "/v1", "/v1-openai"),
         ("0.0.0.dev0", "/v2", "/v1")],
    )  # fmt: skip
    def test_paths(self, version: str, management: str, inference: str) -> None:
        found = dialect_of(version)
        assert (found.management, found.inference) == (management, inference)

    @pytest.mark.parametrize("version", ["0.3.2", "1.0.0", "soon"])
    def test_others_are_refused(self, version: str) -> None:
        with pytest.raises(UsageError, match="not supported"):
            dialect_of(version)

    def test_another_program(self) -> None:
        answered = connect(lambda _: httpx.Response(404), version="")
        with answered as client, pytest.raises(RemoteError) as caught:
            _ = client.dialect
        assert caught.value.code == "not_gpustack"


# One answer per shape the server uses: the second occurs on management paths as well.
SHAPES = [
    ({"code": 404, "reason": "NotFound", "message": "Model not found"}, "Model not found"),
    ({"error": {"message": "Model not found", "code": 404, "type": "NotFound"}}, "Model not found"),
    ({"detail": "Not Found"}, "Not Found"),
    ({"code": 422, "reason": "Invalid", "message": "1 validation errors:\n  {'type': 'missing', "
      "'loc': ('body', 'source'), 'msg': 'Field required', 'input': {}}"}, "source: Field required"),
]  # fmt: skip


class TestErrors:
    @pytest.mark.parametrize(("body", "sentence"), SHAPES)
    def test_shapes(self, body: dict[str, Any], sentence: str) -> None:
        assert message_of(body) == sentence

    @pytest.mark.parametrize(
        ("status", "kind", "code"),
        [(401, AuthError, "auth"), (403, AuthError, "scope"), (400, UsageError, "refused"),
         (409, UsageError, "already_exists"), (422, UsageError, "refused"),
         (404, RemoteError, "not_found"), (500, RemoteError, "remote"),
         (503, RemoteError, "remote")],
    )  # fmt: skip
    def test_statuses(self, status: int, kind: type[ModelscanError], code: str) -> None:
        found = error_from(status, {"message": "no"}, "", what="list models", target="lab")
        assert isinstance(found, kind)
        assert found.code == code
        assert found.hint

    def test_no_key_in_a_message(self) -> None:
        body = {"message": "bad key gpustack_0123456789abcdef_0123456789abcdef"}
        assert "0123456789abcdef" not in message_of(body)


class TestCalls:
    def test_every_page(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            page = int(request.url.params["page"])
            rows = [{"id": page * 10 + n} for n in range(2)]
            return httpx.Response(200, json={"items": rows, "pagination": {"totalPage": 3}})

        with connect(answer) as client:
            assert [row["id"] for row in client.list("models")] == [10, 11, 20, 21, 30, 31]

    @pytest.mark.parametrize("method", ["get", "put", "delete"])
    def test_idempotent_calls_are_repeated(self, method: str) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.method)
            if len(seen) == 1:
                raise httpx.ReadError("cut")
            return httpx.Response(502 if len(seen) == 2 else 200, json={"ok": 1})

        with connect(answer) as client:
            arguments = ("models/1", {}) if method == "put" else ("models/1",)
            getattr(client, method)(*arguments, what="try")
        assert len(seen) == 3

    def test_a_create_is_sent_once(self) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.method)
            raise httpx.ReadError("cut")

        with connect(answer) as client, pytest.raises(RemoteError) as caught:
            client.post("models", {}, what="create")
        assert (seen, caught.value.code) == (["POST"], "unreachable")

    def test_a_delete_that_worked_and_was_not_heard(self) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.method)
            if len(seen) == 1:
                raise httpx.ReadError("cut")
            return httpx.Response(404, json={"message": "gone"})

        with connect(answer) as client:
            assert client.delete("models/1", what="delete") is None

    @pytest.mark.parametrize(
        ("version", "path", "url"),
        [("v2.3.0", "chat/completions", "/v1/chat/completions"), ("v2.3.0", "rerank", "/v1/rerank"),
         ("0.7.1", "embeddings", "/v1-openai/embeddings"), ("0.7.1", "rerank", "/v1/rerank")],
    )  # fmt: skip
    def test_where_each_question_goes(self, version: str, path: str, url: str) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.url.path)
            return httpx.Response(200, json={})

        with connect(answer, version) as client:
            client.infer(path, {}, what="ask")
        assert seen == [url]

    def test_a_page_of_html(self) -> None:
        answered = connect(lambda _: httpx.Response(200, text="<html>"))
        with answered as client, pytest.raises(RemoteError) as caught:
            client.list("models")
        assert caught.value.code == "not_json"

    def test_the_key_goes_along_and_nowhere_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("K", "gpustack_secret_key_0")
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.headers["authorization"])
            return httpx.Response(302, headers={"location": "http://elsewhere.example/"})

        with connect(answer, api_key="env:K") as client, pytest.raises(RemoteError):
            client.get("models", what="list")
        assert seen == ["Bearer gpustack_secret_key_0"]  # the redirect was not followed

    def test_offline(self) -> None:
        where = Connection("lab", "http://gpustack.example", offline=True)
        with pytest.raises(OfflineError):
            Client(where)

    def test_a_stream_that_is_cut(self) -> None:
        class Cut(httpx.SyncByteStream):
            def __iter__(self) -> Any:
                yield json.dumps({"type": 1, "data": {"id": 1}}).encode() + b"\n\n"
                raise httpx.ReadError("cut")

        with (
            connect(lambda _: httpx.Response(200, stream=Cut())) as client,
            pytest.raises(RemoteError, match="cut"),
            client.stream("models", what="watch", params={}) as lines,
        ):
            assert next(lines).startswith('{"type"')
            list(lines)


class TestOwnAuthority:
    """A server with a certificate of its own: only its CA file opens the way."""

    @pytest.fixture
    def secure(self, tmp_path: Path) -> Iterator[tuple[str, Path]]:
        certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not installed")
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True,
        )  # fmt: skip

        class Version(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b'{"version": "v2.3.0"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Version)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", certificate
        server.shutdown()
        server.server_close()
        thread.join()

    def test_with_and_without_it(self, secure: tuple[str, Path]) -> None:
        url, certificate = secure
        with Client(Connection("lab", url, ca_file=str(certificate))) as client:
            assert client.dialect.version == "v2.3.0"
        with Client(Connection("lab", url)) as client, pytest.raises(RemoteError) as caught:
            _ = client.dialect
        assert "certificate" in caught.value.message.lower()
        with pytest.raises(UsageError, match="CA file"):
            Client(Connection("lab", url, ca_file="/no/such/file.pem"))
