"""``make test-recipes``: llm-compressor, PEFT and MergeKit themselves, on a tiny model, on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from support.engine_processes import eventually
from support.gpustack_namespace import unavailable
from support.patience import COMMAND_S
from support.recipe_rows import CANARIES, write_chats
from support.tiny_hf import write_tiny_hf

PYTHON = REPOSITORY / ".cache" / "recipes" / "venv" / "bin" / "python"
SMOLLM2 = os.environ.get("SMOLLM2", "")  # before a fixture removes the variable
pytestmark = [pytest.mark.recipes, pytest.mark.timeout(3600)]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's threads wait for each other by spinning: on a busy machine that takes all of it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "tiny model")


def made(cli: Run, folder: Path, *words: object) -> dict[str, Any]:
    """Render and run; returns the document of the run."""
    ran = cli("recipe", "render", *map(str, words), "--out", str(folder), "-q")
    assert ran.code == 0, ran.err
    ran = cli("recipe", "run", str(folder), "--python", str(PYTHON), "--offline", "--json")
    assert ran.code == 0, ran.err[-3000:]
    texts = ran.out + ran.err + (folder / "run.log").read_text()
    assert not any(canary in texts for canary in CANARIES)
    document: dict[str, Any] = json.loads(ran.out)
    return document


@pytest.mark.parametrize("method", ["fp8", "w4a16", "gptq", "nvfp4"])
def test_llm_compressor(method: str, tmp_path: Path, cli: Run, base: Path) -> None:
    """The result has a quantization_config, and vLLM is planned with it without a flag."""
    chats = write_chats(tmp_path / "chats.jsonl", 8)
    data = ["--dataset", chats, "--set", "samples=8", "--set", "sequence_tokens=64"]
    words = data if method in ("gptq", "nvfp4") else []
    one = made(cli, tmp_path / "out", "quantize", base, "--method", method, *words)
    config = json.loads((Path(one["paths"]["output"]) / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    plan = cli("plan", one["paths"]["output"], "--gpu", "B200", "--backend", "vllm", "--json")
    assert plan.code == 0, plan.err
    assert json.loads(plan.out)["plan"]["backend"] == "vllm"


def test_awq_needs_a_gpu(tmp_path: Path, cli: Run, base: Path) -> None:
    """llm-compressor's AWQ fails without a device: it is not started there."""
    chats = write_chats(tmp_path / "chats.jsonl", 8)
    ran = cli("recipe", "render", "quantize", str(base), "--method", "awq", "--dataset", str(chats),
              "--out", str(tmp_path / "out"), "--json")  # fmt: skip
    document = json.loads(ran.out)
    if document["fit"]["verdict"] == "fits":
        pytest.skip("this machine has a GPU")
    assert "--method gptq" in document["fit"]["would_fit"]
    assert cli("recipe", "run", str(tmp_path / "out"), "--python", str(PYTHON)).code == 3


@pytest.mark.parametrize("method", ["slerp", "linear", "ties", "dare"])
def test_mergekit(method: str, tmp_path: Path, cli: Run, base: Path) -> None:
    others = [write_tiny_hf(tmp_path / f"other+{n}@x", seed=n + 1) for n in range(2)]
    used = others[:1] if method == "slerp" else others
    one = made(cli, tmp_path / "out", "merge", base, *used, "--method", method)
    assert (Path(one["paths"]["output"]) / "model.safetensors.index.json").is_file() or list(
        Path(one["paths"]["output"]).glob("*.safetensors")
    )
    plan = cli("plan", one["paths"]["output"], "--gpu", "RTX 4090", "--json")
    assert plan.code == 0, plan.err


def test_peft_goes_on_after_an_interrupt(tmp_path: Path, cli: Run, base: Path) -> None:
    chats = write_chats(tmp_path / "chats.jsonl", 8)
    settings = {"max_steps": 60, "save_steps": 2, "sequence_tokens": 64, "rank": 4, "batch": 1,
                "accumulation": 1}  # fmt: skip
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    folder = tmp_path / "out"
    ran = cli(
        "recipe", "render", "peft", str(base), "--dataset", str(chats), *words, "--out", str(folder)
    )
    assert ran.code == 0, ran.err
    line = [
        sys.executable,
        "-m",
        "modelscan",
        "recipe",
        "run",
        str(folder),
        "--python",
        str(PYTHON),
    ]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: (folder / "checkpoints" / "checkpoint-4").is_dir(), COMMAND_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(COMMAND_S) == 130
    finally:
        process.kill()
    assert not (folder / "adapter").exists()
    ran = cli("recipe", "run", str(folder), "--python", str(PYTHON), "--json")
    assert ran.code == 0, ran.err[-3000:]
    assert "resuming from" in ran.err
    adapter = Path(json.loads(ran.out)["run"]["adapter"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["r"] == 4 and config["base_model_name_or_path"] == str(base)
    assert (adapter / "adapter_model.safetensors").is_file()
    plan = cli("plan", str(base), "--adapter", str(adapter), "--gpu", "RTX 4090",
               "--backend", "vllm", "--json")  # fmt: skip
    assert plan.code == 0 or "adapter" in plan.err, plan.err


IN_A_NETWORK_OF_ITS_OWN = """
import subprocess, sys
sys.path[:0] = sys.argv[1:3]
from support.gpustack_namespace import enter
from support.local_session import attempts_to_leave
enter()
subprocess.run([sys.executable, "-m", "modelscan", "recipe", "run", *sys.argv[3:]], check=True)
print("attempts", attempts_to_leave())
"""


@pytest.mark.parametrize("words", [("quantize", "fp8"), ("peft", "lora")])
def test_planted_code_is_not_run_and_nothing_leaves(
    words: tuple[str, str], tmp_path: Path, cli: Run, base: Path
) -> None:
    """A model with code of its own, a dataset beside a script: the kernel counts what leaves."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    planted = f"open({str(tmp_path / 'ran')!r}, 'w')"
    for file in (base / "modeling_own.py", tmp_path / "chats.py", tmp_path / "dataset.py"):
        file.write_text(planted)
    config = json.loads((base / "config.json").read_text())
    auto = {"AutoConfig": "modeling_own.Own", "AutoModelForCausalLM": "modeling_own.Own"}
    (base / "config.json").write_text(json.dumps({**config, "auto_map": auto}))
    chats, out = write_chats(tmp_path / "chats.jsonl", 8), tmp_path / "out"
    kind, method = words
    data = ["--dataset", chats, "--set", "max_steps=2"] if kind == "peft" else []
    line = ["recipe", "render", kind, base, "--method", method, *data, "--out", out]
    assert cli(*map(str, line)).code == 0
    assert not (out / "run.json").exists()  # rendering runs nothing
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN, str(REPOSITORY / "tests"),
         str(REPOSITORY), str(out), "--python", str(PYTHON)],
        capture_output=True, text=True, timeout=COMMAND_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "attempts 0"
    assert (out / "run.json").is_file()
    assert not (tmp_path / "ran").exists()


def test_formats_are_compared_by_evals(tmp_path: Path, cli: Run) -> None:
    """SmolLM2-135M and its Q4_0, written by a recipe, on the embedded engine."""
    source = SMOLLM2
    if not source:
        pytest.skip("SMOLLM2 names no file: make test-recipes sets it")
    one = made(cli, tmp_path / "out", "gguf", source, "--method", "q4_0")
    ran = cli(
        "eval",
        "quant",
        "smollm2-135m-instruct",
        source,
        one["paths"]["output"],
        "--positions",
        "16",
        "--json",
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["schema"] == "modelscan.eval.quant/1"
