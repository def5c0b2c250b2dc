"""``node cert``, and what a gateway, its clients and a node do with certificates."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.control_planes import RecordingPlane
from support.gateway_client import body, one, request
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.served import engines, routed, serving, until, write_routing
from support.tls import Cluster, answered, serial, stranger

from modelscan.core.errors import UsageError
from modelscan.core.tls import TlsFiles
from modelscan.gateway.control.probe import probe
from modelscan.gateway.node.certificates import CertificateFolder
from modelscan.gateway.node.control_plane import ControlPlane
from modelscan.gateway.node.join import tls_files
from modelscan.gateway.node.record import Membership
from modelscan.gateway.snapshot import Snapshot
from modelscan.state.config import load


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "certificates")


def test_the_files_are_private_and_say_what_they_are_for(cluster: Cluster) -> None:
    shown = cluster.folder.show()
    assert [(c.name, c.use, c.problem) for c in shown.certificates] == [
        ("ca", "authority", None), ("gw", "node", None), ("laptop", "client", None)]  # fmt: skip
    gateway = shown.certificates[1]
    assert gateway.hosts == ("localhost", "127.0.0.1")
    assert 363 <= gateway.days_left <= 365
    for file in cluster.path.glob("*.key"):
        assert file.stat().st_mode & 0o777 == 0o600, file


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("issue", "n1"), "needs the names or addresses"),
        (("issue", "ca", "--host", "x"), "no name of a certificate"),
        (("issue", "../up", "--host", "x"), "no name of a certificate"),
        (("issue", "n1", "--host", "http://x"), "no host name or address"),
        (("issue", "n1", "--host", "300.1.1.1"), "no host name or address"),
        (("issue", "gw", "--host", "x"), "there is a certificate 'gw' already"),
        (("renew", "nothing"), "there is no certificate 'nothing'"),
        (("show", "nothing"), "there is no certificate 'nothing'"),
        (("init",), "a new authority would end every certificate"),
    ],
)
def test_mistakes_with_certificates(
    cluster: Cluster, run_in_process: Any, words: tuple[str, ...], text: str
) -> None:
    ran = run_in_process("node", "cert", *words, "--dir", str(cluster.path))
    assert ran.code == 2
    assert text in ran.err
    assert "hint: " in ran.err


def test_without_an_authority_the_first_step_is_named(run_in_process: Any, tmp_path: Path) -> None:
    ran = run_in_process("node", "cert", "issue", "n1", "--host", "n1.lan", "--dir", str(tmp_path))
    assert (ran.code, "modelscan node cert init" in ran.err) == (2, True)


def test_renewal_replaces_what_is_due_and_keeps_its_hosts(cluster: Cluster) -> None:
    cluster.expire("gw")
    assert cluster.folder.show("gw").certificates[0].problem == "expired"
    answer = cluster.folder.renew([])
    assert ([c.name for c in answer.renewed], answer.kept) == (["gw"], ("laptop",))
    renewed = answer.renewed[0]
    assert (renewed.hosts, renewed.problem) == (("localhost", "127.0.0.1"), None)
    assert renewed.days_left >= 28, "the same lifetime as before"
    assert [c.name for c in cluster.folder.renew(["laptop"], force=True).renewed] == ["laptop"]
    assert cluster.folder.show("laptop").certificates[0].use == "client"


def test_a_certificate_of_another_authority_is_shown_as_such(cluster: Cluster) -> None:
    cert, _, _ = stranger(cluster.path)
    shown = {one.name: one.problem for one in cluster.folder.show().certificates}
    assert shown["stranger"] == f"not issued by {cluster.path / 'ca.pem'}"
    assert cert.exists()


def test_no_certificate_outlives_the_authority(tmp_path: Path) -> None:
    folder = CertificateFolder(tmp_path)
    folder.init("short", days=10)
    assert folder.issue("n1", ["n1.lan"]).days_left <= 10
    with pytest.raises(UsageError, match="exists"):
        folder.init("again")


def test_without_a_client_certificate_no_byte_of_http(cluster: Cluster, tmp_path: Path) -> None:
    cert, keyfile, _ = stranger(tmp_path)
    with serving(*cluster.listen()) as gateway:
        assert answered(gateway.url, cluster.client()).startswith(b"HTTP/1.1 200")
        assert answered(gateway.url, cluster.client("gw")).startswith(b"HTTP/1.1 200")
        assert answered(gateway.url, None) == b"", "not even to plain HTTP"
        assert answered(gateway.url, cluster.client(None)) == b""
        wrong = cluster.client(None)
        wrong.load_cert_chain(cert, keyfile)
        assert answered(gateway.url, wrong) == b""
        cluster.expire("laptop")
        assert answered(gateway.url, cluster.client()) == b""


def test_renewed_certificates_are_used_without_a_restart(cluster: Cluster) -> None:
    with serving(*cluster.listen()) as gateway:
        before = serial(gateway.url, cluster.client())
        cluster.cert("gw").write_text("half written")
        assert serial(gateway.url, cluster.client()) == before, "the old one stays in use"
        cluster.cert("gw").unlink()
        cluster.key("gw").unlink()
        made = cluster.folder.issue("gw", ["127.0.0.1"])
        until(lambda: serial(gateway.url, cluster.client()) == int(made.serial, 16))


def test_a_gateway_is_the_client_of_a_backend_with_certificates(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Requests and probes to https with an own authority: only with the right files."""
    files = TlsFiles(
        str(cluster.cert("ca")), str(cluster.cert("laptop")), str(cluster.key("laptop"))
    )
    _, _, other_ca = stranger(tmp_path)
    with engines("alpha") as (engine,):
        write_routing(_home(), routed(engine.entry()))
        with serving(*cluster.listen()) as node:
            port = int(node.url.rpartition(":")[2])
            fine = backend("fine", port, scheme="https", tls=files)
            rows = {
                "fine": fine,
                "bare": replace(fine, name="bare", tls=TlsFiles(files.ca)),
                "system": replace(fine, name="system", tls=None),
                "stranger": replace(fine, name="stranger", tls=replace(files, ca=str(other_ca))),
                "missing": replace(fine, name="missing", tls=replace(files, cert="/nowhere.pem")),
                "san": replace(fine, name="san", host="127.0.0.2"),
            }
            names = list(rows)
            routes = [route(name, index) for index, name in enumerate(names)]
            rows["fine"] = replace(fine, served_model="alpha")
            made = Snapshot(table(list(rows.values()), *routes), access(key()))
            with Gateway(made) as gateway:
                statuses = {
                    name: one(gateway.port, request(body(model=name))).status for name in names
                }
            assert statuses.pop("fine") == 200
            assert set(statuses.values()) <= {502, 503}, statuses
            assert probe(fine, identify=False).fault is None
            for name in names[1:]:
                assert probe(rows[name], identify=False).fault is not None, name


def _home() -> Path:
    import os

    return Path(os.environ["MODELSCAN_HOME"])


def plane_of(url: str, ca: Path, cert: Path | None = None, keyfile: Path | None = None) -> Any:
    """The node's client."""
    return ControlPlane(Membership(url, "env:NODE_KEY", tls_files(ca, cert, keyfile)), load(), 30.0)


def test_a_node_shows_its_certificate(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_KEY", "a-secret")
    ca = cluster.cert("ca")
    with RecordingPlane(tls=cluster.server()) as server:
        own = plane_of(server.url, ca, cluster.cert("laptop"), cluster.key("laptop"))
        assert own.register({"host_id": "n1"}).outcome == "accepted"
        assert plane_of(server.url, ca).register({"host_id": "n1"}).outcome == "unreachable"
        broken = plane_of(server.url, ca, cluster.cert("laptop"), cluster.key("gw"))
        told = broken.register({"host_id": "n1"})
        assert (told.outcome, "--cert-key FILE" in str(told.hint)) == ("refused", True)
        assert server.count("register") == 1


@pytest.mark.parametrize("fault", ["expired", "another authority", "another host"])
def test_a_node_does_not_trust_a_wrong_control_plane(
    cluster: Cluster, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_KEY", "a-secret")
    ca = cluster.cert("ca")
    if fault == "expired":
        cluster.expire("gw")
    elif fault == "another authority":
        ca = stranger(tmp_path)[2]
    else:
        cluster.cert("gw").unlink()
        cluster.folder.issue("gw", ["gpu9.lan"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.cert("gw"), cluster.key("gw"))
    with RecordingPlane(tls=context) as server:
        told = plane_of(server.url, ca).register({"host_id": "n1"})
        assert (told.outcome, server.messages) == ("unreachable", []), "the key was not sent"
        assert "certificate" in str(told.problem).lower()
