"""A request wakes what sleeps on an Ollama server, on a cluster and behind another gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.fake_gpustack import FakeGpuStack
from support.fake_ollama import State, running
from support.served import routed, serving, until, write_routing
from support.tiny_gguf import write_tiny_gguf
from support.tiny_hf import write_tiny_hf

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]


def test_ollama_loads_again_what_it_unloaded(
    run_in_process: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, state = write_tiny_gguf(tmp_path / "tiny.gguf"), State()
    with running(state) as url:
        monkeypatch.setenv("MODELSCAN_OLLAMA_ENDPOINT", url)
        words = ("--target", "ollama", "--name", "mine", "--context", "512")
        assert run_in_process("deploy", str(model), *words).code == 0
        assert run_in_process("stop", "mine", "--sleep").code == 0
        assert not state.loaded
        with serving() as gateway:
            assert gateway.chat("mine")[0] == 200
            assert "mine:latest" in state.loaded
            state.loaded.clear()  # its keep_alive is over
            row = run_in_process("show", "mine", "--json").json["deployment"]
            assert (row["asleep"], row["reason"]) == (True, "Ollama has unloaded it")
            until(lambda: gateway.chat("mine")[0] == 200 and state.loaded)
            state.loaded.clear()
            state.refuses = "model requires more system memory (9.1 GiB) than is available"
            assert run_in_process("show", "mine", "--json").json["deployment"]["asleep"]
            status, body = until(lambda: _refused(gateway.chat("mine")))
            assert status == 503 and "mine did not start" in body["error"]["message"]


def _refused(answer: tuple[int, object]) -> tuple[int, object] | None:
    return answer if answer[0] != 200 else None


def test_a_clusters_replicas_come_back(
    run_in_process: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
    folder = write_tiny_hf(tmp_path / "tiny", architectures=["LlamaForCausalLM"])
    with FakeGpuStack() as lab:
        assert run_in_process("target", "add", "lab", lab.url, "--key", "env:LAB_KEY").code == 0
        words = ("--name", "one", "--target", "lab", "--context", "1k", "--json")
        done = run_in_process("deploy", str(folder), *words)
        assert done.code == 0, done.out
        assert run_in_process("stop", "one", "--sleep", "--drain", "0").code == 0
        (model,) = lab.models.values()
        assert model["replicas"] == 0
        with serving() as gateway:
            status, body = gateway.chat("one")
            assert status == 200, body
            assert model["replicas"] == 1
            assert run_in_process("stop", "one", "--drain", "0").code == 0
            until(lambda: gateway.chat("one")[0] == 503)
            assert model["replicas"] == 0


def test_a_request_wakes_a_model_behind_another_gateway(
    run_in_process: Run, model_file: Path, home: Path, tmp_path: Path
) -> None:
    assert run_in_process("deploy", str(model_file), "--name", "a").code == 0
    assert run_in_process("stop", "a", "--sleep").code == 0
    away = tmp_path / "away"
    with serving() as node:
        entry = {"name": "there", "type": "openai", "base_url": node.url, "model": "lab/a",
                 "served_model": "a", "tier": "self_hosted"}  # fmt: skip
        write_routing(away, routed(entry))
        with serving(MODELSCAN_HOME=str(away)) as control:
            assert control.chat("there")[0] == 200
            assert len(living(home)) == 2
    assert run_in_process("stop", "a").code == 0
    eventually(lambda: living(home) == [])
    assert os.environ["MODELSCAN_HOME"] == str(home)
