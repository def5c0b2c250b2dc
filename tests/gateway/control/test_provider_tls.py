"""Hand-written providers with certificates of their owner: a gateway that demands them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.served import engines, routed, serving, until, write_routing
from support.tls import Cluster

import modelscan
from modelscan.core.errors import RemoteError
from modelscan.routing.schema import parse


def entry(url: str, **tls: str) -> dict[str, object]:
    return {"name": "far", "type": "openai", "base_url": url, "model": "lab/one",
            "served_model": "one", "tier": "self_hosted", "tls": tls}  # fmt: skip


def test_files_of_a_provider_are_used_for_its_requests_and_probes(
    clean_environment: Path, tmp_path: Path, run_in_process: Callable[..., Ran]
) -> None:
    cluster, far = Cluster(tmp_path / "certificates"), tmp_path / "far"
    files = {"ca": str(cluster.cert("ca")), "cert": str(cluster.cert("laptop")),
             "key": str(cluster.key("laptop"))}  # fmt: skip
    with engines("one") as (one,):
        write_routing(far, routed(one.entry()))
        with serving(*cluster.listen(), MODELSCAN_HOME=str(far)) as server:
            write_routing(clean_environment, routed(entry(server.url, **files)))
            tested = run_in_process("route", "test", "far", "--json")
            assert tested.code == 0, tested.out
            assert modelscan.Router().chat("far", "Hello").content == "from one"
            with serving() as gateway:
                assert gateway.chat("far")[0] == 200
                until(lambda: gateway.get("/health")[1]["backends"][0]["state"] == "up")
                # Without the certificate there is no answer, with the reason.
                write_routing(clean_environment, routed(entry(server.url, ca=files["ca"])))
                until(lambda: gateway.chat("far")[0] in (502, 503))
                with pytest.raises(RemoteError):
                    modelscan.Router().chat("far", "Hello")
                write_routing(clean_environment, routed(entry(server.url, **files)))
                until(lambda: gateway.chat("far")[0] == 200)


@pytest.mark.parametrize(
    ("url", "tls", "fault"),
    [
        ("https://h:1", {"ca": "ca.pem"}, "ca is no whole path"),
        ("https://h:1", {"ca": "~/ca.pem"}, "ca is no whole path"),
        ("https://h:1", {"key": "/k.pem"}, "key needs cert"),
        ("http://h:1", {"ca": "/ca.pem"}, "tls needs an https address"),
        ("https://h:1", {"cafile": "/ca.pem"}, "unknown key 'cafile'"),
    ],
)
def test_files_that_cannot_be_meant(url: str, tls: dict[str, str], fault: str) -> None:
    file = parse({"version": 1, "routing": {"mode": "direct", **routed(entry(url, **tls))}})
    assert any(fault in one.message for one in file.errors), file.errors
