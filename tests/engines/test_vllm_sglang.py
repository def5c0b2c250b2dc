"""vLLM and SGLang: found where they are, started with the options of their version."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.deployments import ESTIMATE, plan
from support.golden_commands import CASES, GOLDEN, VERSIONS, text

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.engines.base import Serving
from modelscan.engines.command_line import Rename, parse, renamed, render, with_defaults
from modelscan.engines.registry import engine
from modelscan.supervisor import installed
from modelscan.supervisor.launch.python_engine import PythonLauncher


def serving(**changes: Any) -> Serving:
    values: dict[str, Any] = {
        "model_file": "/w/model.safetensors", "host": "127.0.0.1", "port": 4, "served_model": "n",
    }  # fmt: skip
    return Serving(**{**values, **changes})


@pytest.mark.parametrize("backend", VERSIONS)
def test_golden_command_lines(backend: str) -> None:
    """Written by ``python -m support.golden_commands``; read before they are committed."""
    assert len({case.model for case in CASES}) >= 20
    assert text(backend) == (GOLDEN / f"{backend}.txt").read_text()


def package(root: Path, engine: str, version: str, *, torch: str = "2.9.0") -> str:
    """An environment's Python that has such a package, as importlib.metadata sees it."""
    site = root / "site"
    (site / engine).mkdir(parents=True)
    server = {"vllm": "entrypoints/openai/api_server.py", "sglang": "launch_server.py"}[engine]
    (site / engine / server).parent.mkdir(parents=True, exist_ok=True)
    (site / engine / server).touch()
    (site / engine / "__init__.py").write_text("raise ImportError('it must not be imported')\n")
    for name, number in ((engine, version), ("torch", torch)):
        folder = site / f"{name}-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        )
    python = root / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


@pytest.fixture(autouse=True)
def fresh() -> None:
    installed.forget()


def test_an_environment_is_found_by_python_folder_or_command(tmp_path: Path) -> None:
    python = package(tmp_path, "vllm", "0.28.0")
    command = tmp_path / "bin" / "vllm"
    command.write_text(f"#!{python}\nimport vllm\n")
    command.chmod(0o755)
    for setting in (python, str(tmp_path), str(command)):
        found = installed.locate("vllm", setting)
        assert found is not None, setting
        assert (found.python, found.version, found.cpu_only) == (python, "0.28.0", False)
        assert found.command == (python, "-m", "vllm.entrypoints.openai.api_server")


def test_a_server_that_moved_is_found(tmp_path: Path) -> None:
    python = package(tmp_path, "vllm", "0.32.0")
    entry = tmp_path / "site/vllm/entrypoints/launchers/api_server/entry.py"
    entry.parent.mkdir(parents=True)
    entry.touch()
    found = installed.locate("vllm", python)
    assert found is not None
    assert found.command[2] == "vllm.entrypoints.launchers.api_server.entry"


def test_the_path_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = package(tmp_path, "sglang", "0.5.23")
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    assert installed.locate("sglang", None) is None
    command = tmp_path / "bin" / "sglang"
    command.write_text(f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = installed.locate("sglang", None)
    assert found is not None
    assert (found.python, found.version) == (python, "0.5.23")


@pytest.mark.parametrize("setting", ["/no/such/python", sys.executable, __file__])
def test_a_setting_without_the_engine_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="has no vLLM") as caught:
        installed.locate("vllm", setting)
    assert caught.value.hint == "modelscan config set vllm PATH_OF_THE_PYTHON_THAT_HAS_IT"


def test_a_launch_of_vllm(tmp_path: Path) -> None:
    python = package(tmp_path, "vllm", "0.10.0")
    given = plan(
        backend="vllm", gpus=(0,), env={"CUDA_VISIBLE_DEVICES": "0"}, task="embedding",
        parameters=("--max-model-len", "512", "--task", "embed", "--gpu_memory_utilization=0.5"),
    )  # fmt: skip
    launch = PythonLauncher("vllm").launch(given, serving(binary=python, api_key="env:K"))
    assert launch.argv == (
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", "/w",
        "--served-model-name", "n", "--host", "127.0.0.1", "--port", "4", "--max-model-len", "512",
        "--task", "embed", "--gpu-memory-utilization", "0.5", "--allowed-origins", "[]",
        "--disable-log-requests",
    )  # fmt: skip
    assert launch.secrets == {"VLLM_API_KEY": "env:K"}
    assert launch.env["CUDA_VISIBLE_DEVICES"] == "0"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        assert launch.env[name] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" not in launch.env
    moved = launch.on_port(99)
    assert (moved.port, moved.argv[moved.argv.index("--port") + 1]) == (99, "99")
    PythonLauncher("vllm").check(launch, (0,))


def test_a_build_for_the_cpu(tmp_path: Path) -> None:
    python = package(tmp_path, "vllm", "0.32.0", torch="2.9.0+cpu")
    given = plan(backend="vllm", estimate=ESTIMATE, parameters=("--gpu-memory-utilization", "0.9"))
    launch = PythonLauncher("vllm").launch(given, serving(binary=python))
    assert "--gpu-memory-utilization" not in launch.argv, "means nothing there"
    assert launch.env["VLLM_CPU_KVCACHE_SPACE"] == "1"
    PythonLauncher("vllm").check(launch, ())
    with pytest.raises(NotDeployableError, match="built for the CPU only"):
        PythonLauncher("vllm").check(launch, (0,))


def test_an_engine_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    launch = PythonLauncher("sglang").launch(plan(backend="sglang", gpus=(0,)), serving())
    assert "/state/engines/sglang/" in launch.argv[0]
    with pytest.raises(ModelscanError, match="SGLang is not installed") as caught:
        PythonLauncher("sglang").check(launch, (0,))
    assert caught.value.code == "engine_missing"


def test_sglangs_key_is_in_no_argument_list(tmp_path: Path) -> None:
    """The wrapper puts it into sys.argv inside the process: run it for real."""
    python = package(tmp_path, "sglang", "0.5.23")
    site = tmp_path / "site" / "sglang"
    (site / "__init__.py").write_text("")
    (site / "launch_server.py").write_text(
        "import json, os, sys\n"
        "if __name__ == '__main__':\n"
        "    print(json.dumps([sys.argv[1:], 'MODELSCAN_SGLANG_API_KEY' in os.environ]))\n"
    )
    launch = PythonLauncher("sglang").launch(
        plan(backend="sglang"), serving(binary=python, api_key="env:K")
    )
    assert launch.secrets == {"MODELSCAN_SGLANG_API_KEY": "env:K"}
    import subprocess

    done = subprocess.run(
        launch.argv, env={**os.environ, "MODELSCAN_SGLANG_API_KEY": "s3"}, capture_output=True,
        check=True,
    )  # fmt: skip
    arguments, left = json.loads(done.stdout)
    assert arguments[-2:] == ["--api-key", "s3"]
    assert arguments[:2] == ["--model-path", "/w"]
    assert not left, "the engine's children do not inherit it"


def test_what_a_repositorys_files_ask_for(tmp_path: Path) -> None:
    python = package(tmp_path / "env", "vllm", "0.32.0")
    (tmp_path / "tekken.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    adapter = tmp_path / "law"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 48}')
    given = plan(backend="vllm", gpus=(0,), task="rerank", adapters=(str(adapter), "other=/x"))
    argv = (
        PythonLauncher("vllm").launch(given, serving(binary=python, model_file=str(tmp_path))).argv
    )
    found = dict(parse(argv[3:]))
    assert found["tokenizer-mode"] == "mistral"
    assert json.loads(str(found["hf-overrides"]))["classifier_from_token"] == ["no", "yes"]
    assert found["max-lora-rank"] == "64"
    at = argv.index("--lora-modules")
    assert argv[at + 1 : at + 3] == (f"law={adapter}", "other=/x"), "one option, several values"


def test_options_are_read_renamed_and_written() -> None:
    words = ("--a", "1", "--b=2", "--flag", "-q", "--neg", "-1")
    assert parse(words)[:2] == [("a", "1"), ("b", "2")]
    renames = (Rename("old", (1, 0, 0), lambda value: (("new", value),)),)
    assert renamed([("old", "x")], (0, 9, 9), renames) == [("old", "x")]
    assert renamed([("old", "x"), ("new", "x")], (1, 0, 0), renames) == [("new", "x")]
    kept = with_defaults([("no-thing", None)], [("thing", None), ("other", "1")])
    assert render(kept) == ("--no-thing", "--other", "1")


RECORDED = """\
(APIServer pid=2) INFO 11-20 06:18:14 [api_utils.py:347]  version 0.32.0
(Worker pid=9) INFO 11-20 06:19:02 [default_loader.py:501] Loading weights took 0.01 seconds
(Worker pid=9) INFO 11-20 06:19:58 [cpu_worker.py:260] Explicitly set (1.0/20.59) GiB for KV cache on node 0.
(EngineCore pid=8) INFO 11-20 06:19:58 [kv_cache_utils.py:2327] CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 1,024 tokens per request: 2048.00x
"""


def test_what_a_real_start_said() -> None:
    """Recorded from vLLM 0.32.0 on a CPU."""
    found = engine("vllm").measured(RECORDED)
    assert found is not None
    assert found["parts"]["kv_pool_bytes"] == 1 << 30
    assert found["parts"]["weights_bytes"] is None, "this build does not say"
    assert (found["kv_tokens"], found["max_concurrency"]) == (2_097_152, 2048.0)
    assert found["engine_version"] == "0.32.0"
    assert engine("sglang").measured("nothing\n") is None


def test_ranks_are_counted() -> None:
    """Two tensor parallel ranks hold twice what one says; of pipeline stages only one is told."""
    text = (
        "Initializing a V1 LLM engine (v0.19.0) with config: tensor_parallel_size=2, "
        "pipeline_parallel_size={}\nModel loading took 10.0 GiB memory and 3.1 seconds\n"
        "Available KV cache memory: 4.0 GiB\n"
    )
    found = engine("vllm").measured(text.format(1))
    assert found is not None
    assert found["parts"]["weights_bytes"] == 20 << 30
    assert found["parts"]["compute_bytes"] is None
    assert found["devices"]["each GPU"]["kv_pool_bytes"] == 4 << 30
    assert found["engine_version"] == "0.19.0"
    staged = engine("vllm").measured(text.format(2))
    assert staged is not None
    assert staged["parts"] is None
    assert staged["devices"]["each GPU"]["weights_bytes"] == 10 << 30


def test_metrics_fill_what_the_log_left_out() -> None:
    """The labels are those of vLLM 0.32.0 (recorded; shortened)."""
    vllm = (
        'vllm:cache_config_info{block_size="128",engine="0",kv_cache_max_concurrency="2048.0",'
        'kv_cache_memory_bytes="1073741824",kv_cache_size_tokens="2097152",mamba_block_size="None"}'
        " 1.0\n"
    )
    found = engine("vllm").with_metrics(None, vllm)
    assert found is not None
    assert (found["kv_tokens"], found["max_concurrency"]) == (2_097_152, 2048.0)
    assert found["parts"]["kv_pool_bytes"] == 1 << 30
    assert found["source"] == "engine_metrics"
    logged = engine("vllm").measured(RECORDED)
    assert engine("vllm").with_metrics(logged, vllm) == logged, "the log has the word"
    assert engine("vllm").with_metrics(logged, "nothing 1.0\n") == logged
    sglang = engine("sglang").with_metrics(
        None, 'sglang:max_total_num_tokens{model="m"} 104273.0\n'
    )
    assert sglang is not None
    assert sglang["kv_tokens"] == 104_273
    older = engine("vllm").with_metrics(
        None, 'vllm:cache_config_info{num_gpu_blocks="10",block_size="16"} 1.0\n'
    )
    assert older is None


@pytest.mark.shared
def test_log_lines_of_published_runs(shared: Path) -> None:
    """The column ``raw`` of the measured runs: lines quoted from logs, against its own columns."""
    import csv
    import re

    from modelscan.core.units import GIB
    from modelscan.engines.sglang.log import parse as parse_sglang
    from modelscan.engines.vllm.log import parse as parse_vllm

    checked = 0
    with (shared / "data" / "truth" / "memory_fit.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            raw = row["raw"]
            if row["engine"] == "SGLang" and re.search(r"K size: .*V size", raw):
                pool = parse_sglang(raw).kv_pool_bytes
                assert pool is not None
                assert abs(pool / GIB - float(row["kv_gib"])) < 0.02, raw
                checked += 1
            elif row["engine"] == "vLLM" and re.search(r"# (?:GPU|CUDA) blocks: \d", raw):
                tokens = parse_vllm(raw).kv_tokens
                assert tokens is not None and tokens % 16 == 0
                assert not row["kv_tokens"] or tokens == int(row["kv_tokens"]), raw
                checked += 1
            elif row["engine"] == "vLLM" and "Available KV cache memory" in raw:
                assert parse_vllm(raw + " ").kv_pool_bytes is not None, raw
                checked += 1
    assert checked >= 4
