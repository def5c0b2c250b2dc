"""Pickle files and code that a repository brings: refused, unless ``--allow-unsafe`` is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.fake_hub import FakeHub
from support.hub_content import llama_config, llama_tensors, safetensors

pytest_plugins = ("support.hub_fixtures",)

Run = Callable[..., Ran]
GPU = ("--gpu", "RTX 4090")
PICKLED = {
    "config.json": json.dumps(llama_config()).encode(),
    "pytorch_model-00001-of-00002.bin": b"x" * 100_000,
    "pytorch_model-00002-of-00002.bin": b"y" * 100_000,
    "pytorch_model.bin.index.json": b"{}",
    "training_args.bin": b"z",
    "tokenizer.json": b"{}",
}
WITH_CODE = {
    "config.json": json.dumps(llama_config()).encode(),
    "model.safetensors": safetensors(llama_tensors()),
    "modeling_tiny.py": b"print('hello')",
    "tokenizer.json": b"{}",
}


@pytest.fixture(autouse=True)
def content(hub: FakeHub) -> None:
    hub.add("demo/pickled", PICKLED)
    hub.add("demo/coded", WITH_CODE)


@pytest.mark.parametrize("command", ["pull", "deploy"])
def test_pickles_are_refused(hub: FakeHub, run_in_process: Run, command: str) -> None:
    """Exit 3, the file named, the way out in the hint, and nothing of it fetched."""
    ran = run_in_process(command, "hf:demo/pickled", "--json")
    error = ran.json["error"]
    assert (ran.code, error["code"]) == (3, "unsafe_format")
    assert "pytorch_model-00001-of-00002.bin" in error["message"]
    assert "--allow-unsafe" in error["hint"]
    assert hub.seen("/cdn") == []


def test_pickles_that_were_allowed(run_in_process: Run) -> None:
    """The weights, their index and the tokenizer; not what a training left."""
    ran = run_in_process("pull", "hf:demo/pickled", *GPU, "--allow-unsafe", "--json")
    assert ran.code == 0, ran.out
    assert sorted(file["path"] for file in ran.json["files"]) == [
        name for name in sorted(PICKLED) if name != "training_args.bin"
    ]
    dry = run_in_process("deploy", "hf:demo/pickled", *GPU, "--allow-unsafe", "--dry-run", "--json")
    argv, plan = dry.json["launch"]["argv"], dry.json["plan"]
    assert argv[argv.index("--model") + 1].endswith(f"/snapshots/{plan['revision']}")
    assert "--trust-remote-code" in argv
    assert plan["estimate"]["parts"]["weights_bytes"] >= 200_000


@pytest.mark.parametrize("parameter", ["trust-remote-code", "trust_remote_code=true"])
@pytest.mark.parametrize("command", [("plan",), ("pull",), ("deploy", "--dry-run")])
def test_a_repositorys_code_is_refused(
    run_in_process: Run, command: tuple[str, ...], parameter: str
) -> None:
    ran = run_in_process(*command, "hf:demo/coded", *GPU, "--param", parameter, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "unsafe_code")
    assert "--allow-unsafe" in ran.json["error"]["hint"]


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_a_repositorys_code_that_was_allowed(run_in_process: Run, backend: str) -> None:
    """It is fetched, and the engine told; without the word neither."""
    options = (*GPU, "--backend", backend, "--json")
    plain = run_in_process("pull", "hf:demo/coded", *options).json
    allowed = run_in_process("pull", "hf:demo/coded", *options, "--allow-unsafe").json
    paths = [[file["path"] for file in ran["files"]] for ran in (plain, allowed)]
    assert ["modeling_tiny.py" in found for found in paths] == [False, True]
    for extra, told in (((), False), (("--allow-unsafe",), True)):
        dry = run_in_process("deploy", "hf:demo/coded", "--dry-run", *options, *extra).json
        assert ("--trust-remote-code" in dry["launch"]["argv"]) is told


def test_a_deployment_file_may_allow_it(run_in_process: Run, tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text("deployment:\n  model: hf:demo/pickled\n  allow_unsafe: true\n")
    ran = run_in_process("deploy", "-f", str(file), *GPU, "--dry-run", "--json")
    assert ran.code == 0, ran.out
    file.write_text("deployment:\n  model: hf:demo/pickled\n")
    assert run_in_process("deploy", "-f", str(file), *GPU, "--dry-run").code == 3
