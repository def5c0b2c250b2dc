"""The same words on one machine, as a user types them: an idle H100, no engine that can use it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.gpu_texts import Board, nvidia_xml
from support.questions import engine_environment

Cli = Callable[..., Ran]


@pytest.fixture
def h100(tmp_path: Path) -> dict[str, str]:
    """A PATH with an nvidia-smi that tells of one idle H100, and nothing that serves on it."""
    board = Board(name="NVIDIA H100 80GB HBM3", total=81559, reserved=551, used=4, capability="9.0")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "answer.xml").write_text(nvidia_xml([board]))
    program = folder / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *-x*) cat {folder}/answer.xml;; *) exit 1;; esac\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin", "HF_HOME": str(tmp_path / "hf")}


@pytest.mark.timeout(240)
def test_without_an_engine_for_the_gpu(cli: Cli, h100: dict[str, str]) -> None:
    pytest.importorskip("xllamacpp")
    asked = ("qwen3-8b", "--context", "8k", "--json", "--offline")
    found = cli("plan", *asked, env=h100).json
    plan = found["plan"]
    assert (found["verdict"], plan["backend"], plan["gpus"]) == ("fits", "llama.cpp", [])
    assert plan["backend_version"] and plan["offload"] == "cpu"
    assert found["command"] == "modelscan deploy qwen3-8b --context 8192"
    engines = {gap["name"]: gap for gap in found["missing"] if gap["kind"] == "engine"}
    assert engines["vllm"]["plan"]["quantization"] == "BF16"
    assert engines["vllm"]["plan"]["gpus"] == [0]
    assert engines["vllm"]["command"] == "modelscan engine install vllm"
    assert engines["vllm"]["download_bytes"] > 1 << 30
    assert engines["llama.cpp"]["command"] == "modelscan engine install llama.cpp"
    (download,) = [gap for gap in found["missing"] if gap["kind"] == "download"]
    assert download["command"] == "modelscan pull qwen3-8b --context 8192"

    deployed = cli("deploy", *asked, "--dry-run", env=h100).json
    kept = ("quantization", "backend", "repo", "files", "gpus", "context_tokens", "parameters")
    assert [deployed["plan"][key] for key in kept] == [plan[key] for key in kept]
    pulled = cli("pull", *asked, env=h100)
    assert pulled.json["error"]["code"] == "not_downloaded"
    assert plan["repo"] in pulled.json["error"]["message"]
    estimated = cli("estimate", *asked, env=h100).json
    assert estimated["total_bytes"] == plan["estimate"]["total_bytes"]
    assert any("as `plan` chooses" in text for text in estimated["assumptions"])
    fit = cli("catalog", "info", "qwen3-8b", "--json", env=h100).json["fit"]
    assert (fit["verdict"], fit["backend"], fit["offload"]) == ("fits", "llama.cpp", "cpu")

    refused = cli("plan", *asked, "--backend", "vllm", env=h100)
    assert (refused.code, refused.json["verdict"]) == (3, "not_supported")
    same = cli("deploy", *asked, "--backend", "vllm", env=h100)
    assert (same.code, same.json["error"]["code"]) == (3, "engine_missing")
    shown = cli("deploy", *asked, "--backend", "vllm", "--dry-run", env=h100).json
    (gap,) = [gap for gap in refused.json["missing"] if gap["name"] == "vllm"]
    assert shown["plan"]["parameters"] == gap["plan"]["parameters"]
    assert shown["launch"]["install"] == "modelscan engine install vllm"
    text = cli("plan", "qwen3-8b", "--offline", env=h100).out
    assert "BF16 on GPU 0" in text and "(modelscan engine install vllm: about 3.97 GiB to" in text
    assert "of disk)" in text


@pytest.mark.timeout(120)
def test_with_vllm_in_its_version(cli: Cli, h100: dict[str, str], tmp_path: Path) -> None:
    there = {**h100, "MODELSCAN_VLLM": engine_environment(tmp_path / "vllm", "0.28.0", "vllm")}
    asked = ("qwen3-8b", "--json", "--offline")
    plan = cli("plan", *asked, env=there).json["plan"]
    assert (plan["backend"], plan["backend_version"], plan["gpus"]) == ("vllm", "0.28.0", [0])
    deployed = cli("deploy", *asked, "--dry-run", env=there).json["plan"]
    assert json.dumps(deployed["parameters"]) == json.dumps(plan["parameters"])


def test_simulated_hardware_has_every_engine(cli: Cli, h100: dict[str, str]) -> None:
    ran = cli("plan", "qwen3-8b", "--gpu", "H100 80GB", "--json", env=h100)
    assert (ran.json["plan"]["backend"], ran.json["missing"]) == ("vllm", [])
    assert any("assumed to be installed" in text for text in ran.json["plan"]["reasons"])
