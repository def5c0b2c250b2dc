"""Servers with certificates of one's own, and on unix sockets: bench and eval reach them, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.bench_server import BenchServer
from support.eval_endpoint import answering
from support.served import routed, write_routing
from support.tls import Cluster

from modelscan.evals.items import SuiteRequest
from modelscan.evals.suites.registry import SUITES

pytest.importorskip("inspect_ai")
pytestmark = pytest.mark.timeout(1800)
Run = Callable[..., Ran]
TOOLS = SUITES["tools"].make(SuiteRequest())
BENCH = ("bench", "run", "own", "--requests", "2", "--warmup", "0", "--input-tokens", "20",
         "--output-tokens", "3", "--json")  # fmt: skip
EVAL = ("eval", "run", "tools", "--route", "own", "--limit", "3", "--json")


def entry(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "own", "type": "openai", "base_url": url, "model": "scripted", **more}


def files(cluster: Cluster) -> dict[str, str]:
    ca, cert, key = cluster.cert("ca"), cluster.cert("laptop"), cluster.key("laptop")
    return {"ca": str(ca), "cert": str(cert), "key": str(key)}


def test_a_benchmark_shows_the_client_certificate(
    run_in_process: Run, clean_environment: Path, tmp_path: Path
) -> None:
    """Without the certificate, or without the authority, nothing is measured: exit 5."""
    cluster = Cluster(tmp_path / "tls")
    with BenchServer(tls=cluster.server()) as server:
        write_routing(clean_environment, routed(entry(server.url, tls=files(cluster))))
        done = run_in_process(*BENCH)
        assert done.code == 0, done
        assert done.json["points"][0]["errors"]["broken"] == 0
        for lacking in ({"ca": files(cluster)["ca"]}, None):
            more = {"tls": lacking} if lacking else {}
            write_routing(clean_environment, routed(entry(server.url, **more)))
            assert run_in_process(*BENCH).code == 5


def test_an_evaluation_shows_the_client_certificate(
    run_in_process: Run, clean_environment: Path, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path / "tls")
    with answering(TOOLS, cluster.server()) as server:
        write_routing(clean_environment, routed(entry(server.url, tls=files(cluster))))
        done = run_in_process(*EVAL)
        assert done.code == 0, done
        assert (done.json["status"], done.json["scores"][0]["value"]) == ("valid", 1.0)
        write_routing(clean_environment, routed(entry(server.url)))
        assert run_in_process(*EVAL).code == 5


def test_an_evaluation_of_a_server_on_a_unix_socket(
    run_in_process: Run, clean_environment: Path, tmp_path: Path
) -> None:
    """A server that answers, though not with what the suite wants: a valid run that scores 0."""
    path = str(tmp_path / "s.sock")
    own = {"name": "own", "type": "openai", "unix_socket": path, "model": "scripted"}
    with BenchServer(unix=path):
        write_routing(clean_environment, routed(own))
        done = run_in_process(*EVAL)
    assert done.code == 0, done.json["reason"]
    assert (done.json["status"], done.json["scores"][0]["value"]) == ("valid", 0.0)
