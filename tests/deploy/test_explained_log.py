"""A log from elsewhere: what carried it, several starts in it, and the container's own errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.failed_starts import FAILED_STARTS, FailedStart

from modelscan.cli import explain as command
from modelscan.deploy.explained_log import explain_text
from modelscan.engines.explain import LogExplained, explain_log
from modelscan.engines.log_text import log_rows
from modelscan.engines.registry import engine

TIME = "2026-01-02T10:00:00.123456789Z"
CARRIERS: dict[str, Callable[[str], str]] = {
    "journald": lambda row: f"Jan  2 10:00:00 box llama-server[123]: {row}",
    "journald with years": lambda row: f"2026-01-02T10:00:00+0100 box engine[7]: {row}",
    "docker compose": lambda row: f"engine-1  | {row}",
    "timestamps": lambda row: f"{TIME} {row}",
    "kubernetes": lambda row: f"{TIME} stderr F {row}",
    "kubectl": lambda row: f"[pod/engine-0/engine] {row}",
    "a pod's journal": lambda row: f"Jan 02 10:00:00 box k3s[1]: {TIME} stdout F {row}",
    "docker's file": lambda row: json.dumps({"log": f"{row}\n", "stream": "stderr"}),
    "docker's own file": lambda row: json.dumps({"log": f"{row}\n"}, separators=(",", ":")),
    "logs -f --json": lambda row: json.dumps({"event": "log", "name": "a", "line": row}),
    "Windows": lambda row: f"{row}\r",
    "a progress bar": lambda row: f"Loading:  50%|#####     | 1/2\r{row}",
}
OPTION = "error: invalid argument: --cache-ram\n"
MEMORY = (
    "build: 6800 (3edfa7d3) with cc for x86_64-linux-gnu\n"
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5000.00 MiB on device 0: cudaMalloc "
    "failed: out of memory\nllama_model_load: error loading model: unable to allocate buffer\n"
)


@pytest.mark.parametrize("one", FAILED_STARTS, ids=lambda one: f"{one.backend}: {one.name}")
def test_it_says_what_a_deployment_says(one: FailedStart) -> None:
    failure = engine(one.backend).failure(one.log)
    assert failure is not None
    retry = " ".join(failure.remedy.options()) if failure.remedy else ""
    told = explain_text(one.log, one.backend)
    assert told == LogExplained(
        one.backend, failure.kind, failure.reason, failure.hint, retry, failure.line, failure.port
    )
    unnamed = explain_text(one.log)
    assert (unnamed.kind, unnamed.reason, unnamed.line) == (told.kind, told.reason, told.line)
    assert unnamed.backend in (one.backend, None)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_carried_the_log_changes_nothing(carrier: str) -> None:
    for one in FAILED_STARTS:
        carried = "\n".join(map(CARRIERS[carrier], one.log.splitlines()))
        failure = engine(one.backend).failure(one.log)
        assert engine(one.backend).failure(carried) == failure, one.name


@pytest.mark.parametrize(
    "rows", [["a | b", "c"], ["0.00.1 E x", "2026-01-02T10:00:00Z y", "z"], [""], ["[pod", "| x"]]
)
def test_other_lines_stay_as_they_are(rows: list[str]) -> None:
    assert log_rows("\n".join(rows)) == rows


def test_the_last_start_with_an_error_counts() -> None:
    both = explain_log(MEMORY + OPTION)
    assert (both.kind, both.line) == ("option", 4)
    assert explain_log(OPTION + MEMORY).kind == "memory"
    well = "build: 6800 (3edfa7d3) with cc\nmain: server is listening on http://127.0.0.1:8080\n"
    assert explain_log(OPTION + MEMORY + well).line == 3


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_a_workers_error_of_an_earlier_start_is_no_cause(backend: str) -> None:
    worker = next(one for one in FAILED_STARTS if one.backend == "vllm" and "Worker_TP" in one.log)
    begin = {"vllm": "INFO vLLM API server version 0.11.0\n",
             "sglang": "[2026-01-02 10:00:00] server_args=ServerArgs(x=1)\n"}[backend]  # fmt: skip
    log = begin + worker.log + begin + "ValueError: the last start\n"
    assert explain_log(log, backend).reason == "ValueError: the last start"


def test_the_engine_inside_another_is_not_the_one_that_is_named() -> None:
    inside = "llama_model_loader: - kv 0: x\n" * 200
    server = 'time=2026-01-02T10:00:00Z level=ERROR source=sched.go:470 msg="error loading"\n'
    assert explain_log(inside + server).backend == "ollama"


def test_an_unknown_engine_is_asked_for_where_the_remedies_differ() -> None:
    told = explain_text("torch.OutOfMemoryError: CUDA out of memory.\n", log="a b.log")
    assert (told.backend, told.kind, told.retry) == (None, "memory", "")
    assert (told.hint or "").startswith("modelscan explain 'a b.log' --backend vllm")
    assert explain_text("RuntimeError: unheard of\n").hint is None


CONTAINERS = {
    "docker: Error response from daemon: could not select device driver \"\" with capabilities: "
    "[[gpu]].\n": "nvidia-ctk runtime configure",
    "Unable to find image 'vllm/vllm-openai:v9' locally\ndocker: Error response from daemon: "
    "manifest for vllm/vllm-openai:v9 not found: manifest unknown: manifest unknown\n": "--image",
    "Unable to find image 'a/b:1' locally\n": "docker pull a/b:1",
    "Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all\n": "nvidia-ctk cdi",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?\n": "systemctl start docker",
}  # fmt: skip


@pytest.mark.parametrize("log", CONTAINERS)
def test_a_container_that_did_not_start(log: str) -> None:
    told = explain_text(log)
    assert CONTAINERS[log] in (told.hint or ""), told
    assert told.line == log.count("\n")


def test_an_engines_error_is_no_error_of_its_container() -> None:
    begun = "docker: pulling\n" + MEMORY + "x\n" * 9
    assert explain_text(begun).kind == "memory"


def test_files_of_other_kinds(run_in_process: Callable[..., Ran], tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_bytes(OPTION.encode("utf-16"))
    assert run_in_process("explain", str(log), "--json").json["kind"] == "option"
    log.write_bytes(b"\xef\xbb\xbf" + OPTION.encode())
    assert run_in_process("explain", str(log), "--json").json["backend"] == "llama.cpp"
    assert run_in_process("explain", str(tmp_path), "--json").code == 2


def test_the_number_of_a_line_counts_from_the_beginning(
    run_in_process: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_KEPT_BYTES", 1000)
    log = tmp_path / "long.log"
    log.write_text("llama_model_loader: a line\n" * 500 + OPTION)
    assert run_in_process("explain", str(log), "--json").json["line"] == 501


def test_a_pipe_of_the_shell_is_read(run_in_process: Callable[..., Ran]) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        stream.write(OPTION)
    try:
        done = run_in_process("explain", f"/dev/fd/{read}", "--json")
    finally:
        os.close(read)
    assert done.json["kind"] == "option"
