"""``make test-recipes``: what PEFT, llm-compressor and MergeKit made becomes what a route serves.

A tiny model learns to answer "yyyy"; its adapter, its FP8 form and a merge of it are deployed on
the embedded engine, compared, and promoted through a gate. Damaged weights are refused.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from support.patience import COMMAND_S
from support.promotions import SAYS_YES
from support.tiny_hf import write_tiny_hf

PYTHON = REPOSITORY / ".cache" / "recipes" / "venv" / "bin" / "python"
CONVERTER = REPOSITORY / "tests" / "support" / "hf_to_gguf.py"
pytestmark = [pytest.mark.recipes, pytest.mark.timeout(3600)]
Run = Callable[..., Any]
SETTINGS = {
    "max_steps": 80, "save_steps": 1000, "sequence_tokens": 64, "rank": 32, "alpha": 64,
    "batch": 8, "accumulation": 1, "learning_rate": 0.02,
}  # fmt: skip
MERGE = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, target = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(target)
AutoTokenizer.from_pretrained(base).save_pretrained(target)
"""
DAMAGE = """
import sys
from safetensors.torch import load_file, save_file
import torch
file = sys.argv[1] + "/adapter_model.safetensors"
torch.manual_seed(1)
save_file({k: v + torch.randn_like(v) for k, v in load_file(file).items()}, file)
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's threads wait for each other by spinning: on a busy machine that takes all of it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def answer(cli: Run) -> Callable[..., Any]:
    """The JSON of a command with the exit code ``code``."""

    def run(*words: object, code: int = 0) -> Any:
        ran = cli(*map(str, words), "--json")
        assert ran.code == code, ran.out + ran.err[-3000:]
        return json.loads(ran.out)

    return run


def python(*words: object) -> None:
    """Run the recipes' Python."""
    done = subprocess.run(
        [str(PYTHON), *map(str, words)], capture_output=True, text=True, timeout=COMMAND_S
    )
    assert done.returncode == 0, done.stderr[-3000:]


def converted(folder: Path, target: Path, *words: object) -> Path:
    python(CONVERTER, folder, "--outfile", target, *words)
    return target


def made(answer: Callable[..., Any], folder: Path, *words: object) -> Path:
    """Render and run a recipe; its result."""
    answer("recipe", "render", *words, "--out", folder)
    done = answer("recipe", "run", folder, "--python", PYTHON, "--offline")
    return Path(done["paths"]["output"] or done["run"]["adapter"])


def chat_rows(file: Path) -> Path:
    rows = ([("user", f"Question {n}?"), ("assistant", "yyyyyyyy")] for n in range(16))
    lines = (
        json.dumps({"messages": [{"role": role, "content": text} for role, text in row]})
        for row in rows
    )
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.fixture
def emptied(cli: Run) -> Iterator[None]:
    """No deployment is left, whatever happens."""
    yield
    names = [one["name"] for one in json.loads(cli("list", "--json").out)["deployments"]]
    if names:
        cli("remove", *names, "--yes", "--drain", "0")


@pytest.mark.usefixtures("emptied")
def test_from_recipes_to_a_route(
    tmp_path: Path, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, adapter, FP8 and merge are promoted in turn; a damaged adapter is refused."""
    # A token per byte: the text of `eval quant` needs more context than the tiny model has.
    base = write_tiny_hf(tmp_path / "tiny", max_position_embeddings=8192)
    whole = converted(base, tmp_path / "base.gguf")
    gate = tmp_path / "says-y.yaml"
    gate.write_text(SAYS_YES.replace("'yes'", "'yyyy'"))
    answer("registry", "add", "tiny")
    answer("registry", "version", "add", "tiny", "--from", whole)
    promote = ("registry", "promote", "--route", "tiny")
    assert answer(*promote, "tiny@1")["current"] == "tiny@1"
    gated = (*promote, "--gate", f"{gate}>=0.8")

    # PEFT: the folder is no adapter for llama.cpp, and is refused as such; as GGUF it is promoted.
    rows = chat_rows(tmp_path / "chats.jsonl")
    words = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    adapter = made(answer, tmp_path / "lora", "peft", base, "--dataset", rows, *words)
    check = ("registry", "check-adapter", adapter, "--base")
    assert answer(*check, base, "--backend", "vllm")["fits"] is not False
    assert answer(*check, whole, "--backend", "llama.cpp", code=3)["fits"] is False
    lora = converted(adapter, tmp_path / "lora.gguf", "--base", base)
    added = answer("registry", "version", "add", "tiny", "--from", lora, "--base", "tiny@1")
    assert (added["version"], added["lineage"]["base"]) == ("2", "tiny@1")
    second = answer(*gated, "tiny@2")
    assert (second["state"], second["previous"]) == ("promoted", "tiny@1")

    # llm-compressor: FP8 of the merged model; transformers decompresses it for the conversion.
    merged = tmp_path / "merged"
    python("-c", MERGE, base, adapter, merged)
    fp8 = made(answer, tmp_path / "fp8", "quantize", merged, "--method", "fp8")
    small = converted(fp8, tmp_path / "fp8.gguf")
    answer("registry", "version", "add", "tiny", "--from", small)
    third = answer(*gated, "tiny@3")
    assert (third["state"], third["previous"]) == ("promoted", "tiny@2")
    full = converted(merged, tmp_path / "merged.gguf")
    compared = answer("eval", "quant", merged, full, small, "--positions", "16")
    assert compared["schema"] == "modelscan.eval.quant/1"

    # MergeKit, then the recipe gguf with a converter on the PATH: two recipes in a row.
    twin = shutil.copytree(merged, tmp_path / "twin")
    slerp = made(answer, tmp_path / "slerp", "merge", merged, twin, "--method", "slerp")
    programs = tmp_path / "programs"
    programs.mkdir()
    shutil.copy(CONVERTER, programs / "convert_hf_to_gguf.py")
    (programs / "convert_hf_to_gguf.py").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    quantized = made(answer, tmp_path / "q8", "gguf", slerp, "--method", "q8_0")
    record = tmp_path / "q8" / "run.json"
    added = answer("registry", "version", "add", "tiny", "--from", record, "--base", "tiny@3")
    assert (added["quantization"], added["lineage"]["base"]) == ("Q8_0", "tiny@3")
    assert quantized.suffix == ".gguf"
    assert answer(*gated, "tiny@4")["state"] == "promoted"

    # Damaged weights are refused, and the old route stays.
    routing = Path(answer("config", "get", "routing_file")["value"])
    before = routing.read_bytes()
    python("-c", DAMAGE, adapter)
    bad = converted(adapter, tmp_path / "bad.gguf", "--base", base)
    answer("registry", "version", "add", "tiny", "--from", bad, "--base", "tiny@1")
    refused = answer(*gated, "tiny@5", code=1)
    assert (refused["state"], refused["current"]) == ("refused", "tiny@4")
    assert routing.read_bytes() == before
    assert answer("registry", "show", "tiny")["aliases"]["champion"] == "4"
    assert answer("registry", "rollback", "tiny")["current"] == "tiny@3"
