"""NO_PROXY and the proxy variables as shells, containers and VPNs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelscan.core.errors import UsageError
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.net.proxies import proxy_for

PROXY = "http://10.0.0.1:3128"


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("hub.example", "", False),
        ("hub.example", "*", True),
        ("hub.example", "example", True),
        ("hub.example", ".example", True),
        ("hub.example", "*.example", True),
        ("hub.example", "ample", False),
        ("example", ".example", True),
        ("hub.example", "localhost, hub.example ", True),
        ("hub.example", "a.b hub.example", True),
        ("hub.example", "hub.example:443", True),
        ("hub.example", "hub.example:8443", False),
        ("HUB.example.", "hub.EXAMPLE", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd07:b51a:cc66:f0::5]", "fd07:b51a:cc66:f0::/64", True),
        ("[fd07:b51a:cc66:f0::5]", "[fd07:b51a:cc66:f0::]/64", True),
        ("[fd08::5]", "fd07:b51a:cc66:f0::/64", False),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("[2001:db8::1]", "[2001:db8:0::1]:443", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("[::ffff:10.1.2.3]", "10.0.0.0/8", True),
        (
            "hub.example",
            "localhost,127.0.0.1,::1,[::1],fd07::/64,[::1,10.0.0.0/99,:,http://x",
            False,
        ),
    ],
)
def test_exceptions(host: str, no_proxy: str, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        found = proxy_for(f"https://{host}/x", {"HTTPS_PROXY": PROXY, name: no_proxy})
        assert (found is None) is direct


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "0.0.0.0"])
def test_this_machine_never_has_a_proxy(host: str) -> None:
    assert proxy_for(f"http://{host}:1/", {"ALL_PROXY": PROXY, "HTTP_PROXY": PROXY}) is None


def test_the_variable_of_the_scheme_comes_first() -> None:
    both = {"ALL_PROXY": "all.example:1", "https_proxy": "https.example:2"}
    found = proxy_for("https://hub.example/", both)
    assert found == ("http://https.example:2", "https_proxy")
    found = proxy_for("http://hub.example/", both)
    assert found == ("http://all.example:1", "ALL_PROXY")
    assert proxy_for("http://hub.example/", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}) is None


@pytest.mark.parametrize(
    "value",
    ["http://me:secret@127.0.0.1:abc", "http://me:secret@[::1", "gopher://me:secret@h:1",
     "http://me:secret@h:99999", "http://", "me:secret@h:x", "socks4://h:1"],
)  # fmt: skip
def test_a_value_that_is_no_proxy_is_named_without_its_password(value: str) -> None:
    with pytest.raises(UsageError, match="proxy settings") as caught:
        proxy_for("https://hub.example/", {"https_proxy": value})
    assert "https_proxy=" in caught.value.message
    assert "secret" not in caught.value.message + str(caught.value.hint)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_a_tls_variable_that_names_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    missing = tmp_path / "missing" / "company.pem"
    monkeypatch.setenv(variable, str(missing))
    client = HttpClient(HttpSettings(timeout_s=30.0, pauses_s=()), HttpxTransport())
    with pytest.raises(UsageError) as caught:
        client.send("GET", "https://models.invalid/")
    assert f"{variable}={missing} cannot be used" in caught.value.message
    assert f"unset {variable}" in (caught.value.hint or "")


def test_a_bundle_without_a_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "empty.pem"
    bundle.write_text("nothing\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    client = HttpClient(HttpSettings(timeout_s=30.0, pauses_s=()), HttpxTransport())
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        client.send("GET", "https://models.invalid/")


@pytest.mark.parametrize("url", ["https://hub.invalid/", "http://hub.invalid/"])
def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:secret@127.0.0.1:9")
    client = HttpClient(HttpSettings(timeout_s=30.0, pauses_s=()), HttpxTransport())
    with pytest.raises(HttpError) as caught:
        client.send("GET", url)
    assert caught.value.message.startswith(
        "cannot connect to hub.invalid by the proxy http://127.0.0.1:9 (ALL_PROXY): "
    )
    assert "NO_PROXY" in (caught.value.hint or "")
