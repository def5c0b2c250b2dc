"""``modelscan top``: rates between two looks, with and without a gateway, here and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.deployments import ESTIMATE, make, plan
from support.served import engines, routed, serving, until, write_routing

from modelscan.core.deployment import Measured, MeasuredParts
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.gateway.top.look import device_figures, gateway_root
from modelscan.gateway.top.overview import DeploymentLook, GatewayLook, TopLook, overview
from modelscan.gateway.top.page import read_page
from modelscan.gateway.top.shares import device_shares, parts_bytes
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore
from modelscan.state.store import Store
from modelscan.supervisor.speed import parse_page

PAGE = """
# HELP modelscan_build Always 1.
modelscan_build{version="0.9"} 1.0
modelscan_start_time_seconds 5.0
modelscan_backend_up{backend="one"} 1.0
modelscan_backend_up{backend="a \\"b\\" \\\\ \\nc"} 0.0
modelscan_requests_total{backend="one",operation="chat",route="r",status="200"} REQUESTS
modelscan_requests_total{backend="one",operation="chat",route="q",status="500"} 1.0
modelscan_tokens_total{backend="one",kind="output",route="r"} TOKENS
modelscan_tokens_total{backend="one",kind="input",route="r"} 99.0
modelscan_engine_kv_cache_used_ratio{backend="one"} 0.5
modelscan_in_flight 3.0
this is no sample
modelscan_in_flight{ 3.0
"""


def page(at: float, requests: int, tokens: int) -> GatewayLook:
    text = PAGE.replace("REQUESTS", f"{requests}").replace("TOKENS", f"{tokens}")
    return GatewayLook("http://here", read_page(text, at))


def engine(tokens: int, running: int = 2) -> Any:
    return parse_page(
        f"llamacpp:tokens_predicted_total {tokens}\nllamacpp:requests_processing {running}\n"
        "llamacpp:requests_deferred 1\n"
    )


def deployment(tokens: int | None = None, backends: tuple[str, ...] = ("one",)) -> DeploymentLook:
    seen = None if tokens is None else engine(tokens)
    return DeploymentLook("demo", "running", "ok", "llama.cpp", (0,), 10, 9, backends, seen)


def test_rates_are_those_between_two_looks() -> None:
    first, second = TopLook(0.0, page(10.0, 100, 500)), TopLook(2.0, page(12.0, 110, 540))
    answer = overview(first, second)
    assert (answer.gateway.requests_per_s, answer.gateway.tokens_per_s) == (5.0, 20.0)
    assert (answer.gateway.in_flight, answer.gateway.version) == (3, "0.9")
    rows = {one.name: one for one in answer.services}
    assert rows["one"].kv_cache_used == 0.5
    assert rows['a "b" \\ \nc'].state == "not up"
    alone = overview(None, second)
    assert alone.gateway.requests_per_s is None
    assert overview(second, first).gateway.requests_per_s is None


def test_a_restarted_gateway_has_no_rate() -> None:
    again = read_page(PAGE.replace("time_seconds 5.0", "time_seconds 6.0"), 12.0)
    answer = overview(TopLook(0.0, page(10.0, 100, 500)), TopLook(2.0, GatewayLook("u", again)))
    assert answer.gateway.requests_per_s is None


def test_an_engine_counts_for_itself_and_the_gateway_for_the_rest() -> None:
    before = TopLook(0.0, page(10.0, 100, 500), (deployment(100),))
    now = TopLook(2.0, page(12.0, 110, 540), (deployment(160),))
    answer = overview(before, now)
    assert [one.name for one in answer.services] == ["demo", 'a "b" \\ \nc']
    row = answer.services[0]
    assert (row.tokens_per_s, row.requests_per_s) == (30.0, 5.0)
    assert (row.running, row.waiting) == (2, 1)
    silent = overview(TopLook(0.0, before.gateway, (deployment(),)),
                      TopLook(2.0, now.gateway, (deployment(),)))  # fmt: skip
    assert silent.services[0].tokens_per_s == 20.0
    down = GatewayLook("http://here", fault="no answer")
    none = overview(TopLook(0.0, down, (deployment(100),)), TopLook(2.0, down, (deployment(160),)))
    assert none.gateway.state == "not_running"
    assert (none.services[0].tokens_per_s, none.services[0].requests_per_s) == (30.0, None)


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("gpu.lan:8900", "http://gpu.lan:8900"),
        ("https://gpu.lan/v1/", "https://gpu.lan"),
        ("http://[::1]:8900/v1", "http://[::1]:8900"),
    ],
)
def test_the_address_of_a_gateway(given: str, root: str) -> None:
    assert gateway_root(given) == root


@pytest.mark.parametrize("given", ["", "ftp://x", "http://"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(UsageError):
        gateway_root(given)


def test_the_deployments_of_this_machine_and_a_gateway(
    clean_environment: Path, run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry(deployment="mine")))
        with Store.open(load().paths.store_file) as store:
            store.put(make("mine", state=State.STOPPED))
        lines = run_in_process("top", "--once", "--json", "--interval", "0.2")
        assert (lines.code, lines.json["schema"]) == (0, "modelscan.top/1")
        assert lines.json["gateway"]["state"] == "not_running"
        assert [s["name"] for s in lines.json["services"]] == ["mine"]
        with ServerDatabase.open(clean_environment / "state") as database:
            seeing = KeyStore(database).create("seeing", KeyLimits(scopes=("read",)))[1]
            using = KeyStore(database).create("using", KeyLimits())[1]
        write_routing(clean_environment, routed(one.entry()))
        monkeypatch.setenv("SEEING", seeing)
        with serving() as gateway:
            assert gateway.chat("one", using)[0] == 200
            until(lambda: "modelscan_requests_total" in gateway.get("/metrics", seeing)[1])
            ran = run_in_process(
                "top", "--url", f"{gateway.url}/v1", "--key", "env:SEEING", "--json",
                "--count", "2", "--interval", "0.2",
            )  # fmt: skip
            rows = [json.loads(line) for line in ran.out.splitlines()]
            assert [row["event"] for row in rows] == ["top", "top"]
            assert [s["name"] for s in rows[1]["services"]] == ["one"]
            assert rows[1]["gateway"]["requests_per_s"] is not None
            assert rows[1]["devices"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--url", "http://127.0.0.1:9", "--once"), 5),
        (("--url", "ftp://x", "--once"), 2),
        (("--url", "http://192.0.2.1", "--offline", "--once"), 2),
        (("--key", "env:NOT_SET", "--once"), 4),
        (("--once", "--count", "3"), 2),
    ],
)
def test_what_cannot_be_shown(
    clean_environment: Path, run_in_process: Callable[..., Ran], words: tuple[str, ...], code: int
) -> None:
    ran = run_in_process("top", *words)
    assert ran.code == code, ran.err
    assert "hint: " in ran.err


def test_another_server_is_not_a_gateway(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("one") as (one,):
        one.metrics = "vllm:num_requests_running 3.0\n"
        ran = run_in_process("top", "--url", f"http://127.0.0.1:{one.port}", "--once")
        assert (ran.code, "not modelscan serve" in ran.err) == (5, True)


def on_gpus(gpus: tuple[int, ...], measured: Measured | None) -> Any:
    each = tuple(DeviceEstimate(index, Parts(weights_bytes=10), 10) for index in gpus)
    estimate = replace(ESTIMATE, total_bytes=10 * len(gpus), per_gpu=each)
    return make("large", gpus=gpus, plan=plan(estimate=estimate), measured=measured)


def test_a_deployment_on_several_gpus_has_a_share_of_each() -> None:
    parts = {
        "CUDA0": MeasuredParts(7, 1),
        "CUDA1": MeasuredParts(8, 1),
        "CUDA_Host": MeasuredParts(2),
    }
    shares = device_shares([on_gpus((2, 5), Measured("engine_log", None, 19, parts))])
    assert {index: (row[0].promised_bytes, row[0].measured_bytes) for index, row in shares.items()} == {
        2: (10, 8), 5: (10, 9), None: (0, 2),
    }  # fmt: skip


def test_figures_of_other_gpus_than_the_recorded_ones_count_as_unknown() -> None:
    shares = device_shares(
        [on_gpus((2,), Measured("engine_log", None, 9, {"CUDA3": MeasuredParts(9)}))]
    )
    assert shares[2][0].measured_bytes == 9  # the total of the only GPU
    shares = device_shares(
        [on_gpus((2, 3), Measured("engine_log", None, 9, {"CUDA3": MeasuredParts(9)}))]
    )
    assert [shares[index][0].measured_bytes for index in (2, 3)] == [None, None]
    assert device_shares([on_gpus((2, 3), None)])[3][0].promised_bytes == 10


def test_a_pool_contains_the_cache_in_it() -> None:
    assert parts_bytes(MeasuredParts(5, 3, 4, compute_bytes=1)) == 10


def test_devices_say_what_other_programs_use() -> None:
    gpu = Gpu(index=2, vendor="nvidia", name="X", memory_bytes=100, free_bytes=40, source="nvml")
    rows = device_figures(
        Inventory(gpus=(gpu,), host=Host(None, None, None)), [on_gpus((2,), None)]
    )
    assert (rows[0].own_bytes, rows[0].other_bytes, rows[0].used_bytes) == (10, 50, 60)
    assert rows[1].other_bytes is None
