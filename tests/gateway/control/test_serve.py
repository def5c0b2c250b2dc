"""``modelscan serve`` as a process: reload, health, keys, restarts, drain, addresses, TLS."""

from __future__ import annotations

import datetime
import json
import os
import signal
import socket
import ssl
import stat
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Ran
from support.served import engines, routed, serving, until, write_routing

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.gateway.control.listening import ServeOptions, check_exposure, check_tls, listen
from modelscan.state.server.audit import list_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore
from modelscan.traces.store import ReceiptStore


def create_key(home: Path, name: str, **limits: Any) -> str:
    with ServerDatabase.open(home / "state") as database:
        return KeyStore(database).create(name, KeyLimits(**limits))[1]


def content(answer: tuple[int, Any]) -> str:
    status, body = answer
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"])


def state_of(health: Any, backend: str) -> str:
    return str(next(b["state"] for b in health["backends"] if b["name"] == backend))


def test_the_file_is_reloaded_and_an_invalid_one_changes_nothing(clean_environment: Path) -> None:
    home = clean_environment
    with engines("one", "two") as (one, two):
        file = write_routing(home, routed(one.entry()))
        with serving() as gateway:
            assert content(gateway.chat("one")) == "from one"
            assert gateway.chat("two")[0] == 404
            write_routing(home, routed(two.entry(), aliases={"gpt-4o": "two"}))
            gateway.event("reloaded")
            assert until(lambda: gateway.chat("gpt-4o")[0] == 200)
            assert gateway.chat("one")[0] == 404
            file.write_text("version: 1\nrouting:\n  mode: direct\n  fallbak: true\n")
            event = gateway.event("invalid")
            assert "fallbak" in event["text"]
            assert content(gateway.chat("gpt-4o")) == "from two"
            status, health = gateway.get("/health")
            assert (status, health["status"], health["routing_file"]["valid"]) == (
                200, "degraded", False,
            )  # fmt: skip
            assert "line 4" in health["routing_file"]["errors"][0]
            moved = {**one.entry(), "base_url": f"http://127.0.0.1:{two.port}"}
            write_routing(home, routed(moved))
            gateway.event("reloaded")
            health = until(lambda: _all_up(gateway.get("/health")[1]))
            assert health["routing_file"]["valid"]
            assert content(gateway.chat("one")) == "from two"
    with ServerDatabase.open(home / "state") as database:
        changes = list_audit(database, limit=9).changes
    assert [(row.action, row.target) for row in changes] == [("routing.reload", str(file))] * 2
    assert (changes[0].before, len({changes[0].after, changes[1].before})) == (
        changes[1].after, 2,
    )  # fmt: skip


def test_a_backend_that_dies_is_left_out_and_comes_back(clean_environment: Path) -> None:
    role = {"role_id": "chatty", "operation": "chat", "routing_policy": {"strategy": "round_robin"}}
    with engines("one", "two") as (one, two):
        write_routing(clean_environment, routed(one.entry(), two.entry(), roles=[role]))
        with serving("--workers", "2") as gateway:
            health = until(lambda: _all_up(gateway.get("/health")[1]))
            assert {b["engine"] for b in health["backends"]} == {"vllm"}
            answers = [content(gateway.chat("chatty")) for _ in range(6)]
            assert sorted(answers) == ["from one"] * 3 + ["from two"] * 3
            one.stop()
            assert {content(gateway.chat("chatty")) for _ in range(4)} == {"from two"}
            gateway.event("backend", backend="one", state="down")
            listed = gateway.get("/v1/models")[1]["data"]
            assert "one" not in [row["id"] for row in listed]
            status, body = gateway.chat("one")
            assert status in (502, 503), body
            one.start()
            gateway.event("backend", backend="one", state="up")
            assert content(gateway.chat("one")) == "from one"
            facts = next(r for r in gateway.get("/v1/models")[1]["data"] if r["id"] == "two")
            facts = facts["modelscan"]
            assert facts["where"] == ["local"]
            assert facts["context"] == {"tokens": 4096, "source": "engine"}
            assert facts["loaded"] is True
            text = gateway.get("/metrics")[1]
            assert 'modelscan_backend_up{backend="one"} 1' in text


def test_the_least_loaded_server_counts_other_clients_too(clean_environment: Path) -> None:
    role = {"role_id": "any", "operation": "chat", "routing_policy": {"strategy": "least_loaded"}}
    with engines("one", "two") as (one, two):
        one.metrics = "vllm:num_requests_running 3.0\nvllm:num_requests_waiting 2.0\n"
        two.metrics = "vllm:num_requests_running 0.0\nvllm:num_requests_waiting 0.0\n"
        write_routing(clean_environment, routed(one.entry(), two.entry(), roles=[role]))
        with serving() as gateway:
            until(lambda: _all_up(gateway.get("/health")[1]))
            until(lambda: {content(gateway.chat("any")) for _ in range(4)} == {"from two"})


def _all_up(health: Any) -> Any:
    return health if all(b["state"] == "up" for b in health["backends"]) else None


def test_keys_have_scopes_and_revoking_the_last_one_opens_nothing(clean_environment: Path) -> None:
    home = clean_environment
    infer = create_key(home, "infer", models=("one",))
    read = create_key(home, "read", scopes=("read",))
    spent = create_key(home, "spent", budget_tokens=10, budget_period="total")
    with engines("one", "two") as (one, two):
        write_routing(home, routed(one.entry(), two.entry()))
        with serving() as gateway:
            assert gateway.chat("one")[0] == 401
            assert gateway.chat("one", "sk-ms-wrong")[0] == 401
            assert content(gateway.chat("one", infer)) == "from one"
            assert gateway.chat("two", infer)[0] == 403
            assert gateway.chat("one", read)[0] == 403
            assert [r["id"] for r in gateway.get("/v1/models", infer)[1]["data"]] == ["one"]
            assert len(gateway.get("/v1/models", read)[1]["data"]) > 1
            assert gateway.get("/v1/models")[0] == 401
            assert gateway.get("/health")[0] == 200  # only this machine can ask
            assert gateway.get("/nothing", infer)[0] == 404
            assert gateway.get("/health", **{"X-Modelscan-Scopes": "admin"})[0] == 200
            forged = {"X-Modelscan-Key": "read", "X-Modelscan-Scopes": "admin"}
            assert gateway.get("/v1/models", **forged)[0] == 401
            assert content(gateway.chat("one", spent)) == "from one"
            until(lambda: gateway.chat("one", spent)[0] == 429)
            with ServerDatabase.open(home / "state") as database:
                for name in ("infer", "read", "spent"):
                    KeyStore(database).revoke(name)
            until(lambda: gateway.chat("one", infer)[0] == 401)
            assert gateway.chat("one")[0] == 401
            assert gateway.stop() == 0
    leaks = [h for h in one.headers if infer in str(h)]
    assert leaks == []
    for file in (home / "state").iterdir():
        assert infer.encode() not in file.read_bytes()


def test_requests_end_before_the_gateway_does_and_leave_receipts(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        with serving() as gateway:
            one.go.clear()
            answers: list[Any] = []
            asking = threading.Thread(target=lambda: answers.append(gateway.chat("one")))
            asking.start()
            until(lambda: one.requests)
            gateway.process.send_signal(signal.SIGINT)
            gateway.event("stopping")
            one.go.set()
            asking.join()
            assert content(answers[0]) == "from one"
            assert gateway.process.wait(60) == 0
            assert gateway.event("stopped")
    with ServerDatabase.open(clean_environment / "state") as database:
        (row,) = ReceiptStore(database).newest(10)
    assert (row.route, row.backend, row.tier, row.status) == ("one", "one", "local", 200)
    assert (row.input_tokens, row.output_tokens, row.left_machine_bytes) == (7, 3, 0)
    (span,) = run_in_process("trace", "list", "--since", "1h", "--route", "one", "--json").json[
        "spans"
    ]
    assert (span["trace_id"], span["left_machine"]) == (row.trace_id, None)
    assert run_in_process("trace", "list", "--status", "404", "-q").out == ""
    shown = run_in_process("trace", "show", row.trace_id)
    assert "Hello" not in shown.out
    assert "left_machine\tnothing" in shown.out
    assert run_in_process("trace", "show", "0" * 32).code == 2


def test_a_killed_worker_is_started_again(clean_environment: Path) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        with serving("--workers", "2") as gateway:
            for pid in children(gateway.process.pid):
                os.kill(pid, signal.SIGKILL)
                gateway.event("worker")
            until(lambda: all(w["ready"] for w in gateway.get("/health")[1]["workers"]))
            assert content(gateway.chat("one")) == "from one"
            workers = children(gateway.process.pid)
            gateway.process.kill()
            gateway.process.wait()
            until(lambda: not any(lives(pid) for pid in workers))


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_is_refused_before_anything_starts(
    run_in_process: Callable[..., Ran], clean_environment: Path
) -> None:
    exposed = run_in_process("serve", "--expose", "--port", "0")
    assert exposed.code == 2
    assert "hint: modelscan key create" in exposed.err
    public = run_in_process("serve", "--host", "0.0.0.0", "--port", "0")
    assert (public.code, "--expose" in public.err) == (2, True)
    file = clean_environment / "config" / "routing.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("version: 1\nrouting:\n  mdoe: direct\n")
    broken = run_in_process("serve", "--port", "0", "--json")
    assert (broken.code, broken.json["error"]["details"]["line"]) == (2, 3)
    file.unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for workers in ("1", "2"):
            busy = run_in_process("serve", "--port", port, "--workers", workers)
            assert (busy.code, f"(process {os.getpid()})" in busy.err) == (1, True)
    no_cert = run_in_process("serve", "--tls-key", "key.pem")
    assert (no_cert.code, "--tls-cert" in no_cert.err) == (2, True)
    missing = run_in_process("serve", "--tls-cert", "nowhere.pem")
    assert (missing.code, "nowhere.pem" in missing.err) == (2, True)


def test_addresses_that_others_can_reach_need_expose_and_a_key() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(UsageError):
            check_exposure(ServeOptions(host=host), 1)
        with pytest.raises(UsageError):
            check_exposure(ServeOptions(host=host, expose=True), 0)
        check_exposure(ServeOptions(host=host, expose=True), 1)
    for host in (None, "localhost", "127.0.0.1", "::1", "127.8.8.8"):
        check_exposure(ServeOptions(host=host), 0)
    assert ServeOptions(expose=True).address == "0.0.0.0"
    assert ServeOptions(expose=True).accepted_hosts is None
    assert "evil.example" not in (ServeOptions().accepted_hosts or ())
    with pytest.raises((UsageError, ModelscanError)):
        listen(ServeOptions(host="192.0.2.1", port=0, expose=True))


def test_another_gateway_cannot_share_the_port() -> None:
    first = listen(ServeOptions(port=0, workers=2))
    port = first[0][0].getsockname()[1]
    assert {one.getsockname()[1] for row in first for one in row} == {port}
    with pytest.raises(ModelscanError, match="is in use"):
        listen(ServeOptions(port=port, workers=2))
    for row in first:
        for one in row:
            one.close()


def certificate(folder: Path, name: str, issuer: tuple[Any, Any] | None = None) -> Any:
    """A certificate with its key as PEM files; without an issuer, one that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    parent, parent_key = issuer or (None, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.subject if parent is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=parent is None, path_length=None), critical=True)
    )
    signed = builder.sign(parent_key, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(secret)
    return signed, key


def test_tls_with_client_certificates(clean_environment: Path, tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "client", authority)
    certificate(tmp_path, "server")
    words = ("--host", "localhost", "--tls-cert", str(tmp_path / "server.pem"), "--tls-key",
             str(tmp_path / "server.key"), "--client-ca", str(tmp_path / "authority.pem"))  # fmt: skip
    with serving(*words) as gateway:
        assert gateway.url.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        with (
            pytest.raises(OSError),
            urllib.request.urlopen(gateway.url + "/ready", context=context),
        ):
            pass
        context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        with urllib.request.urlopen(gateway.url + "/health", context=context) as response:
            assert json.load(response)["status"] == "ok"
    with pytest.raises(UsageError, match="cannot be used as a certificate"):
        check_tls(ServeOptions(tls_cert=tmp_path / "server.pem", tls_key=tmp_path / "client.key"))


def test_a_page_of_another_host_gets_no_answer(clean_environment: Path) -> None:
    with serving() as gateway:
        assert gateway.get("/health", Host="evil.example")[0] in (400, 403, 421)
        assert gateway.get("/health", Host="localhost:1")[0] == 200
        status, _ = gateway.get("/health", Origin="https://evil.example")
        assert status in (200, 403)
        document = gateway.get("/openapi.json")[1]
        assert {"/health", "/v1/models", "/v1/chat/completions"} <= set(document["paths"])
        status, body = gateway.get("/no/such/path")
        assert (status, body["code"]) == (404, "path_not_found")
        assert gateway.ask("POST", "/health", {})[0] == 405
        assert stat.S_IMODE((clean_environment / "state").stat().st_mode) == 0o700
