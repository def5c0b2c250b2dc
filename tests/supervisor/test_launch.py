"""A plan becomes a command line: ours where the plan is silent, the plan's where it speaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.deployments import plan
from support.engine_processes import eventually

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.jsonform import from_json, to_json
from modelscan.core.launch import LocalLaunch
from modelscan.engines.base import Serving
from modelscan.engines.llamacpp.option_words import parse
from modelscan.supervisor import spawn
from modelscan.supervisor.embedded.launcher import MODULE, own_arguments
from modelscan.supervisor.launch.llamacpp import LlamaCppLauncher
from modelscan.supervisor.launch.registry import launcher
from modelscan.supervisor.rundir import ProcessSpec, RunDir

pytest_plugins = ("support.engine_fixtures",)


def serving(**changes: Any) -> Serving:
    values: dict[str, Any] = {
        "model_file": "/m.gguf", "host": "127.0.0.1", "port": 4, "served_model": "name",
    }  # fmt: skip
    return Serving(**{**values, **changes})


def options(launch: LocalLaunch) -> dict[str, str | None]:
    found = parse(own_arguments(launch.argv))
    assert len(dict(found)) == len(found), "an option is given twice"
    return dict(found)


def test_what_is_always_set() -> None:
    launch = LlamaCppLauncher().launch(plan(), serving())
    assert launch.argv[:3] == (sys.executable, "-m", MODULE)
    assert options(launch) == {
        "model": "/m.gguf", "alias": "name", "host": "127.0.0.1", "port": "4", "cache-ram": "0",
        "fit": "off", "verbosity": "4", "no-ui": None, "metrics": None, "cors-origins": "",
        "n-gpu-layers": "0", "no-repack": None, "ctx-size": "2048", "parallel": "2",
    }  # fmt: skip
    assert launch.env["OMP_WAIT_POLICY"] == "passive"


def test_the_plan_wins() -> None:
    parameters = ("-c", "512", "--cache-ram=64", "--repack", "--fit", "on", "--ui", "-ngl", "3")
    found = options(LlamaCppLauncher().launch(plan(parameters=parameters), serving()))
    assert (found["ctx-size"], found["cache-ram"], found["fit"]) == ("512", "64", "on")
    assert found["n-gpu-layers"] == "3"
    assert {"repack", "ui"} <= set(found)
    assert not {"no-repack", "no-ui"} & set(found)


def test_on_gpus_the_cpu_settings_are_left_out() -> None:
    found = options(
        LlamaCppLauncher().launch(plan(gpus=(0,), parameters=("-ngl", "all")), serving())
    )
    assert found["n-gpu-layers"] == "all"
    assert "no-repack" not in found


@pytest.mark.parametrize(
    ("task", "wanted"),
    [("embedding", {"embeddings", "pooling"}), ("rerank", {"rerank"}), ("chat", set())],
)
def test_tasks(task: str, wanted: set[str]) -> None:
    launch = LlamaCppLauncher().launch(plan(task=task), serving())
    found = set(options(launch))
    assert wanted <= found
    assert launch.task == task
    assert found & {"embeddings", "rerank"} == wanted & {"embeddings", "rerank"}


def test_the_models_own_pooling_is_kept() -> None:
    parameters = ("--embedding", "--pooling", "cls")
    found = options(
        LlamaCppLauncher().launch(plan(task="embedding", parameters=parameters), serving())
    )
    assert found["pooling"] == "cls"


def test_projector_and_adapters() -> None:
    extra = serving(mmproj_file="/p.gguf", adapter_files=("/a.gguf",))
    found = options(LlamaCppLauncher().launch(plan(), extra))
    assert (found["mmproj"], found["lora"]) == ("/p.gguf", "/a.gguf")


def test_relative_paths_mean_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine runs in another folder than the command."""
    monkeypatch.chdir(tmp_path)
    parameters = ("--lora", "a.gguf", "--mmproj=sub/p.gguf", "--lora-scaled", "b.gguf:0.5")
    launch = LlamaCppLauncher().launch(plan(parameters=parameters), serving())
    assert launch.argv[-5:] == (
        "--lora", str(tmp_path / "a.gguf"), f"--mmproj={tmp_path / 'sub/p.gguf'}",
        "--lora-scaled", str(tmp_path / "b.gguf:0.5"),
    )  # fmt: skip


def test_a_key_travels_by_reference() -> None:
    launch = LlamaCppLauncher().launch(plan(), serving(api_key="env:K"))
    assert launch.secrets == {"LLAMA_API_KEY": "env:K"}
    assert "env:K" not in launch.argv


def test_an_option_the_embedded_engine_lacks_is_left_to_a_binary() -> None:
    with pytest.raises(UsageError, match="no option"):
        LlamaCppLauncher().launch(plan(parameters=("--brand-new", "1")), serving())
    launch = LlamaCppLauncher().launch(plan(parameters=("--brand-new", "1")), serving(binary="/b"))
    assert (launch.argv[0], launch.embedded) == ("/b", False)


def test_a_launch_can_be_written_down_moved_and_repeated() -> None:
    launch = LlamaCppLauncher().launch(plan(), serving())
    assert from_json(LocalLaunch, to_json(launch)) == launch
    moved = launch.on_port(77)
    assert (moved.port, options(moved)["port"]) == (77, "77")
    assert options(moved) | {"port": "4"} == options(launch)


def test_an_exposed_engine_is_asked_on_loopback() -> None:
    assert LlamaCppLauncher().launch(plan(), serving(host="0.0.0.0")).address == "127.0.0.1"


def test_an_engine_that_cannot_be_started_here_is_named() -> None:
    with pytest.raises(NotDeployableError, match="cannot start mindie"):
        launcher("mindie")


def test_what_is_not_installed_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embedded = LlamaCppLauncher().launch(plan(), serving())
    LlamaCppLauncher().check(embedded, ())
    with pytest.raises(UsageError, match="no program"):
        missing = str(tmp_path / "llama-server")
        LlamaCppLauncher().check(LlamaCppLauncher().launch(plan(), serving(binary=missing)), ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelscanError, match="not installed") as caught:
        LlamaCppLauncher().check(embedded, ())
    assert caught.value.hint is not None
    assert "pip install xllamacpp" in caught.value.hint


def test_a_build_for_the_cpu_is_not_started_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import xllamacpp

    launch = LlamaCppLauncher().launch(plan(gpus=(0,)), serving())
    kinds = xllamacpp.ggml_backend_dev_type
    cpu = {"name": "CPU", "type": kinds.GGML_BACKEND_DEVICE_TYPE_CPU}
    monkeypatch.setattr(xllamacpp, "get_device_info", lambda: [cpu])
    with pytest.raises(NotDeployableError, match="CPU only"):
        LlamaCppLauncher().check(launch, (0,))
    gpu = {"name": "CUDA0", "type": kinds.GGML_BACKEND_DEVICE_TYPE_GPU}
    monkeypatch.setattr(xllamacpp, "get_device_info", lambda: [gpu, cpu])
    LlamaCppLauncher().check(launch, (0,))


def spec(launch: LocalLaunch) -> ProcessSpec:
    return ProcessSpec(spawn.new_run_id(), "one", launch.argv, launch.embedded, launch.env, {})


def test_a_stop_during_the_load_is_quick(home: Path, tmp_path: Path) -> None:
    """The constructor holds the interpreter lock: here for ever, reading a pipe nobody fills."""
    pipe = tmp_path / "model.gguf"
    os.mkfifo(pipe)
    rundir = RunDir(home / "state" / "deployments" / "one")
    spawn.start(
        rundir, spec(LlamaCppLauncher().launch(plan(), serving(model_file=str(pipe), port=0)))
    )
    eventually(lambda: rundir.log_file.exists() and "loading model" in rundir.log_file.read_text())
    assert spawn.stop(rundir)
    ended = rundir.ended()
    assert ended is not None
    assert ended.signal == signal.SIGTERM


def test_ready_is_said_after_the_load_with_its_duration(home: Path, model_file: Path) -> None:
    from modelscan.supervisor import ports

    port = ports.choose("127.0.0.1", (45000, 45999), ())
    rundir = RunDir(home / "state" / "deployments" / "one")
    launch = LlamaCppLauncher().launch(plan(), serving(model_file=str(model_file), port=port))
    spawn.start(rundir, spec(launch))
    ready = eventually(rundir.ready)
    assert ready["address"] == f"http://127.0.0.1:{port}"
    assert 0 < ready["load_s"] < 30
    assert ready["engine_version"]


def test_the_launcher_alone_ends_quietly_on_ctrl_c(model_file: Path) -> None:
    from modelscan.supervisor import ports

    port = ports.choose("127.0.0.1", (45000, 45999), ())
    launch = LlamaCppLauncher().launch(plan(), serving(model_file=str(model_file), port=port))
    process = subprocess.Popen(launch.argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    eventually(lambda: b"listening on" in process.stderr.readline())  # type: ignore[union-attr]
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert b"Traceback" not in err
    assert process.returncode == 130
