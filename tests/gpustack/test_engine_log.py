"""The log that shows why an engine failed is kept while the engine restarts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_gpustack import FakeGpuStack
from support.tiny_hf import write_tiny_hf

from modelscan.targets.gpustack import client
from modelscan.targets.gpustack.engine_log import EngineLog, more_telling, read_as

Run = Callable[..., Any]
OOM = b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
BEGUN = b"INFO 11-30 00:20:01 [utils.py:233] non-default args: {'model': '/models/tiny'}\n"


@pytest.fixture
def deploy(run_in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setattr(client, "_PAUSE_S", 0.0)
    monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
    folder = write_tiny_hf(tmp_path / "tiny", architectures=["LlamaForCausalLM"])

    def run(server: FakeGpuStack, *words: str) -> Any:
        run_in_process("target", "add", "lab", server.url, "--key", "env:LAB_KEY")
        return run_in_process("deploy", str(folder), "--name", "one", "--target", "lab", "--json",
                              *words)  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("version", "states", "restarts", "attempts"),
    [
        ("v2.3.0", ["error", "starting"], [0, 1, 2], [OOM, b"", b""]),
        ("0.7.1", ["error", "starting"], [0, 1, 2], [OOM, b"", b""]),
        # A poller misses the short state: on 2.x the attempt before can be read.
        ("v2.3.0", ["starting"], [1, 2], [BEGUN, OOM, BEGUN]),
        ("v2.3.0", ["starting"], [2], [BEGUN, OOM, b""]),
        ("v2.3.0", ["starting"], [1, 1, 2], [OOM, BEGUN, BEGUN]),
    ],
)
def test_a_log_that_began_again_does_not_lose_the_cause(
    deploy: Run, run_in_process: Run, version: str, states: list[str], restarts: list[int],
    attempts: list[bytes],
) -> None:  # fmt: skip
    with FakeGpuStack(version) as server:
        server.states, server.restarts, server.attempts = states, restarts, attempts
        failed = deploy(server)
        error = failed.json["error"]
        assert (failed.code, error["code"]) == (5, "restart_loop")
        assert any("CUDA out of memory" in line for line in error["details"]["log"])
        assert "CUDA out of memory" in error["message"]
        kept = json.loads(run_in_process("logs", "one", "--json").out)["lines"]
        assert any("CUDA out of memory" in line for line in kept)


def test_the_log_of_a_model_that_keeps_restarting(deploy: Run, run_in_process: Run) -> None:
    """Without a wait: the present attempt has only begun, the one before shows the error."""
    with FakeGpuStack() as server:
        server.states, server.restarts, server.attempts = ["starting"], [1], [OOM, BEGUN]
        assert deploy(server, "--no-wait").code == 0
        lines = json.loads(run_in_process("logs", "one", "--json").out)["lines"]
        assert any("CUDA out of memory" in line for line in lines)


def test_the_newer_of_two_telling_logs_is_kept() -> None:
    memory = read_as("vllm", ["torch.OutOfMemoryError: CUDA out of memory"])
    other = read_as("vllm", ["RuntimeError: something else"])
    port = read_as("vllm", ["OSError: [Errno 98] Address already in use"])
    begun, empty = read_as("vllm", ["INFO loading"]), EngineLog()
    assert [log.clarity for log in (memory, port, other, begun, empty)] == [3, 3, 2, 1, 0]
    assert more_telling(memory, port) is port
    assert all(more_telling(memory, log) is memory for log in (other, begun, empty))
    unknown = read_as("an engine of the server's own", ["out of memory"])
    assert (unknown.failure, unknown.clarity) == (None, 1)


def test_an_excerpt_has_the_cause_wherever_it_is() -> None:
    filler = [f"INFO step {n}" for n in range(100)]
    cause = "torch.OutOfMemoryError: CUDA out of memory"
    for lines in ([*filler, cause], [cause, *filler], [*filler, cause, *filler]):
        excerpt = read_as("vllm", lines).excerpt()
        assert cause in excerpt and len(excerpt) == 40
    assert read_as("vllm", [cause, "bye"]).excerpt() == [cause, "bye"]
    assert read_as("vllm", filler).excerpt() == filler[-40:]
