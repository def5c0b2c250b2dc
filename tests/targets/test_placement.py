"""What was promised to one deployment is not promised to another; targets and weights."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.deployments import ESTIMATE, make, plan

from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.plan import Plan, ReservedMemory
from modelscan.core.units import GIB
from modelscan.formats.files import is_projector
from modelscan.state.config import Config, load
from modelscan.state.store import Store
from modelscan.targets.local.reserved import held_bytes
from modelscan.targets.local.weights import expected
from modelscan.targets.registry import find_target, resolve_target

pytest_plugins = ("support.engine_fixtures",)


def planned(host: int | None, *gpus: tuple[int, int]) -> Plan:
    devices = tuple(DeviceEstimate(index, Parts(), size) for index, size in gpus)
    estimate = dataclasses.replace(
        ESTIMATE,
        per_gpu=devices,
        host=None if host is None else DeviceEstimate(None, Parts(), host),
        total_bytes=(host or 0) + sum(size for _, size in gpus),
    )
    return plan(estimate=estimate)


def with_pools(planned: Plan, parts: Parts, *pools: int) -> Plan:
    devices = tuple(
        dataclasses.replace(device, parts=parts, kv_pool_bytes=pool)
        for device, pool in zip(planned.estimate.per_gpu, pools, strict=True)
    )
    return dataclasses.replace(
        planned, estimate=dataclasses.replace(planned.estimate, per_gpu=devices)
    )


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.sqlite3") as opened:
        yield opened


def test_a_starting_deployment_holds_all_of_its_estimate(store: Store) -> None:
    store.put(make("a", state=State.STARTING, plan=planned(GIB, (0, 5 * GIB), (1, 6 * GIB))))
    store.put(make("me", state=State.STARTING, plan=planned(GIB, (0, GIB))))
    assert held_bytes(store, "me") == (
        ReservedMemory(0, 5 * GIB),
        ReservedMemory(1, 6 * GIB),
        ReservedMemory(None, GIB),
    )


def test_a_starting_engine_with_a_pool_holds_all_that_it_will_set_aside(store: Store) -> None:
    """What vLLM was asked for is 24 GiB, what it takes is its share of the card."""
    parts = Parts(kv_cache_bytes=4 * GIB, recurrent_state_bytes=GIB)
    value = planned(None, (0, 24 * GIB), (1, 24 * GIB))
    value = with_pools(value, parts, 54 * GIB, 2 * GIB)
    store.put(make("pooled", state=State.STARTING, plan=value))
    assert held_bytes(store, "me") == (ReservedMemory(0, 73 * GIB), ReservedMemory(1, 24 * GIB))


def test_a_running_one_holds_only_what_the_probe_cannot_see(store: Store) -> None:
    """On a GPU the driver shows it; in host memory untouched and mapped pages look available."""
    store.put(make("gpu", plan=planned(None, (0, 5 * GIB)), pid=os.getpid()))
    store.put(make("cpu", plan=planned(3 * GIB), pid=os.getpid()))
    (held,) = held_bytes(store, "me")
    assert held.index is None
    assert 2 * GIB < held.memory_bytes < 3 * GIB


def test_what_does_not_run_holds_nothing(store: Store) -> None:
    for state in (State.STOPPED, State.FAILED):
        store.put(make(state.value, state=state, plan=planned(GIB, (0, GIB))))
    store.put(make("elsewhere", target="cluster", state=State.STARTING, plan=planned(GIB)))
    store.put(make("unplanned", state=State.PENDING, plan=None))
    assert held_bytes(store, "me") == ()


def test_promised_memory_makes_the_next_deploy_not_fit(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path, config: Config
) -> None:
    """A deployment that is starting was promised all of this machine's memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    row = make("greedy", state=State.STARTING, endpoint=None, plan=planned(total), launch=None)
    with Store.open(config.paths.store_file) as opened:
        opened.put(dataclasses.replace(row, request=None))
    refused = run_in_process("deploy", str(model_file), "--json")
    assert refused.code == 3, refused.out
    assert refused.json["error"]["code"] == "does_not_fit"
    assert refused.json["error"]["details"]["needed_bytes"] > 0
    with Store.open(config.paths.store_file) as opened:
        assert opened.get("tiny") is None


def test_targets(home: Path) -> None:
    config = load()
    assert resolve_target(None, config) == resolve_target("auto", config) == "local"
    assert find_target("local", config).route_type == "local"
    with pytest.raises(UsageError, match="no target 'locl'") as caught:
        find_target("locl", config)
    assert caught.value.hint


def test_weights_are_found_by_their_plan(tmp_path: Path, config: Config) -> None:
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "mmproj-m.gguf"):
        (tmp_path / name).touch()
    files = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "mmproj-m.gguf")
    found = expected(plan(repo=str(tmp_path), files=files), config)
    assert found.model == tmp_path / files[0]
    assert found.projector == tmp_path / files[2]
    one = str(tmp_path / files[0])
    single = expected(plan(repo=one, files=(one,)), config)
    assert (single.model, single.projector) == (tmp_path / files[0], None)


def test_weights_that_are_gone(tmp_path: Path, config: Config) -> None:
    with pytest.raises(ModelscanError, match="no longer exists"):
        expected(plan(repo=str(tmp_path), files=("gone.gguf",)), config)


def test_weights_that_would_be_fetched_have_their_future_place(config: Config) -> None:
    remote = plan(source="huggingface", repo="org/repo", files=("m.gguf",), revision="abc")
    found = expected(remote, config).model
    assert found.parts[-4:] == ("models--org--repo", "snapshots", "abc", "m.gguf")


@pytest.mark.parametrize(
    ("name", "projector"),
    [("mmproj-F16.gguf", True), ("model-mmproj-f16.gguf", True), ("model.gguf", False)],
)
def test_projectors_are_told_by_name(name: str, projector: bool) -> None:
    assert is_projector(name) is projector


def test_the_row_is_private_and_holds_no_key(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("K", "literal-secret-value")
    done = run_in_process("deploy", str(model_file), "--api-key", "env:K", "--json")
    assert done.code == 0, done.out
    assert json.loads(done.out)["deployment"]["api_key"] == "env:K"
    for file in (home / "state").rglob("*"):
        if file.is_file() and "lock" not in file.suffix:
            assert file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine with a card in it, as the probe would report it."""
    from modelscan.gpu.inventory import inventory

    card = inventory("RTX 4090").gpus
    machine = dataclasses.replace(inventory(None), gpus=card, source="local")
    monkeypatch.setattr("modelscan.gpu.inventory.inventory", lambda *_: machine)


def test_a_gpu_the_engine_was_not_built_for_is_left_out_and_that_is_said(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path, monkeypatch: Any,
    with_gpu: None,
) -> None:  # fmt: skip
    done = run_in_process("deploy", str(model_file), "--json")
    assert done.code == 0, done.out
    assert done.json["deployment"]["gpus"] == []
    assert any("CPU only" in warning for warning in done.json["warnings"])
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", "/bin/true")
    dry = run_in_process("deploy", str(model_file), "--name", "other", "--dry-run", "--json")
    assert dry.json["deployment"]["gpus"] == [0]
    argv = dry.json["launch"]["argv"]
    assert argv[argv.index("--n-gpu-layers") + 1] == "all"


def test_a_gpu_that_was_asked_for_is_not_left_out_silently(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path, with_gpu: None
) -> None:
    refused = run_in_process("deploy", str(model_file), "--gpu", "0", "--json")
    assert refused.code == 3
    assert refused.json["error"]["code"] == "cpu_only_build"
