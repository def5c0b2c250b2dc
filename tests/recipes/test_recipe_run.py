"""Running a rendered recipe: verified first, real results, nothing sent, nothing without the word."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.engine_processes import eventually
from support.patience import COMMAND_S
from support.recipe_rows import CANARIES, write_chats
from support.tiny_gguf import write_tiny_gguf
from support.tiny_hf import write_tiny_hf

from modelscan.promotion.run_record import read_run
from modelscan.recipes.child import variables
from modelscan.recipes.manifest import SUMS, changed_rendered, read_manifest

Run = Callable[..., Any]


def rendered(run: Run, *words: object) -> Path:
    ran = run("recipe", "render", *map(str, words), "-q")
    assert ran.code == 0, ran.err
    return Path(ran.out.strip())


def with_sums(folder: Path, name: str, text: str) -> None:
    """Another content of a rendered file, with its sum: the test's script instead of the recipe's."""
    import hashlib

    (folder / name).write_text(text)
    lines = (folder / SUMS).read_text().splitlines()
    digest = hashlib.sha256(text.encode()).hexdigest()
    changed = [f"{digest}  {name}" if line.endswith(f"  {name}") else line for line in lines]
    (folder / SUMS).write_text("\n".join(changed) + "\n")


@pytest.fixture
def dataset_recipe(tmp_path: Path, run_in_process: Run) -> Path:
    """A rendered recipe that needs no package."""
    base, chats = write_tiny_hf(tmp_path / "base"), write_chats(tmp_path / "chats.jsonl", 12)
    return rendered(
        run_in_process, "dataset", base, "--dataset", chats, "--out", tmp_path / "recipe"
    )


@pytest.mark.parametrize("method", ["q8_0", "q4_0"])
def test_gguf_is_quantized_here_and_planned(method: str, tmp_path: Path, cli: Run) -> None:
    """By the package gguf, on the processor; the result is a model that this machine can run."""
    source = write_tiny_gguf(tmp_path / "tiny model.gguf")
    folder = rendered(cli, "gguf", source, "--method", method, "--out", tmp_path / "out dir")
    ran = cli("recipe", "run", str(folder), "--json", "--offline")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    result = Path(document["paths"]["output"])
    assert [row["path"] for row in document["run"]["outputs"]] == [str(result)]
    assert "tensors as" in ran.err
    plan = json.loads(cli("plan", str(result), "--json").out)
    assert plan["plan"]["quantization"] == method.upper()
    receipt = json.loads((folder / "run.json").read_text())
    assert receipt["schema"] == "modelscan.recipe.run/1"
    assert receipt["models"][0]["sha256"] and receipt["result"]["outputs"][0]["sha256"]
    run = read_run(folder / "run.json")  # as registry version add --from reads it
    assert run.output == result and run.base == str(source)
    assert run.run == document["artifact_name"] and run.method == f"gguf {method}"
    again = json.loads(cli("recipe", "show", str(folder), "--json").out)
    assert again["run"] == document["run"]


def test_a_quantized_model_is_deployed_on_the_embedded_engine(tmp_path: Path, cli: Run) -> None:
    source = write_tiny_gguf(tmp_path / "tiny.gguf")
    folder = rendered(cli, "gguf", source, "--method", "q8_0", "--out", tmp_path / "out")
    document = json.loads(cli("recipe", "run", str(folder), "--json").out)
    done = cli(
        "deploy", document["paths"]["output"], "--name", "made", "--context", "256", "--json"
    )
    try:
        assert done.code == 0, done.err
        assert json.loads(done.out)["deployment"]["state"] == "running"
    finally:
        cli("remove", "made", "--yes", "--drain", "0")


def test_dataset_is_prepared(dataset_recipe: Path, run_in_process: Run) -> None:
    source = Path(read_manifest(dataset_recipe).dataset.path)  # type: ignore[union-attr]
    ran = run_in_process("recipe", "run", str(dataset_recipe), "--json")
    assert ran.code == 0, ran.err
    data = dataset_recipe / "data"
    rows = [line for side in ("train", "test")
            for line in (data / f"{side}.jsonl").read_text().splitlines()]  # fmt: skip
    assert sorted(map(json.loads, rows), key=str) == sorted(
        map(json.loads, source.read_text().splitlines()), key=str
    )
    assert not any(canary in ran.out + ran.err for canary in CANARIES)
    log = (dataset_recipe / "run.log").read_text()
    assert not any(canary in log for canary in CANARIES)


def test_duplicates_are_dropped_and_equal_beginnings_stay_together(tmp_path: Path) -> None:
    from modelscan.recipes.chat_data import prepare

    file = write_chats(tmp_path / "chats.jsonl", 30)
    lines = file.read_text().splitlines()
    longer = json.loads(lines[3])
    longer["messages"] += [{"role": "user", "content": "and something else entirely, with other words"},
                           {"role": "assistant", "content": "a long and very different answer to it"}]  # fmt: skip
    file.write_text("\n".join([*lines, lines[2], json.dumps(longer)]) + "\n")
    counts = prepare(file, tmp_path / "out", train_percent=50, seed=1)
    assert counts["equal"] == 1 and counts["rows"] == 32
    assert counts["train"] + counts["test"] == 31
    sides = [(tmp_path / "out" / f"{side}.jsonl").read_text() for side in ("train", "test")]
    first = longer["messages"][0]["content"]
    assert sorted(text.count(json.dumps(first)) for text in sides) == [0, 2]
    assert prepare(file, tmp_path / "again", train_percent=50, seed=1) == counts
    assert (tmp_path / "again" / "train.jsonl").read_text() == sides[0]


@pytest.mark.parametrize("name", ["script.py", "manifest.json", "requirements.txt", "README.md"])
def test_a_changed_file_is_refused_by_name(
    name: str, dataset_recipe: Path, run_in_process: Run
) -> None:
    file = dataset_recipe / name
    file.write_text(file.read_text() + " ")
    assert f"{name} changed" in run_in_process("recipe", "show", str(dataset_recipe)).err
    ran = run_in_process("recipe", "run", str(dataset_recipe))
    assert ran.code == 2 and str(file) in ran.err and "hint:" in ran.err
    assert not (dataset_recipe / "data").exists()
    file.unlink()
    assert run_in_process("recipe", "run", str(dataset_recipe)).code == 2


def test_changed_inputs_are_refused_by_name(
    tmp_path: Path, dataset_recipe: Path, run_in_process: Run
) -> None:
    manifest = read_manifest(dataset_recipe)
    assert manifest.dataset is not None and manifest.base.path is not None
    weights = Path(manifest.base.path) / "model.safetensors"
    for file in (Path(manifest.dataset.path), weights):
        before = file.read_bytes()
        file.write_bytes(before[:-1] + b"\x00")
        ran = run_in_process("recipe", "run", str(dataset_recipe))
        assert ran.code == 2 and str(file) in ran.err
        file.unlink()
        assert run_in_process("recipe", "run", str(dataset_recipe)).code == 2
        file.write_bytes(before)
    assert run_in_process("recipe", "run", str(dataset_recipe)).code == 0


def test_a_folder_that_is_no_recipe_is_refused(tmp_path: Path, run_in_process: Run) -> None:
    for content in (None, "", "{}", "[1]", "\x00", '{"schema": "modelscan.recipe.manifest/9"}'):
        folder = tmp_path / f"folder-{len(content or 'none')}"
        folder.mkdir(exist_ok=True)
        if content is not None:
            (folder / "manifest.json").write_text(content)
            (folder / SUMS).write_text("")
        for command in ("show", "run"):
            ran = run_in_process("recipe", command, str(folder))
            assert ran.code == 2 and "hint:" in ran.err, (content, command, ran.err)


def test_missing_packages_are_named_with_the_command(tmp_path: Path, run_in_process: Run) -> None:
    """Nothing is installed: the two lines to do so are printed."""
    base = write_tiny_hf(tmp_path / "base")
    folder = rendered(run_in_process, "quantize", base, "--out", tmp_path / "it's here")
    ran = run_in_process("recipe", "run", str(folder))
    assert ran.code == 3
    assert "llmcompressor==0.14.0.1 is not installed" in ran.err
    assert "venv" in ran.err and "requirements.txt" in ran.err
    ran = run_in_process("recipe", "run", str(folder), "--python", str(tmp_path / "absent"))
    assert ran.code == 2
    assert not (folder / "output").exists()


def test_what_does_not_fit_is_refused_at_the_run(tmp_path: Path, run_in_process: Run) -> None:
    base, chats = write_tiny_hf(tmp_path / "base"), write_chats(tmp_path / "chats.jsonl")
    folder = rendered(
        run_in_process, "unsloth", base, "--dataset", chats, "--out", tmp_path / "out"
    )
    from modelscan.recipes.fitting import fit, room_of
    from modelscan.state.config import load
    from modelscan.targets.local.machine import this_machine

    room = room_of(this_machine(load(), None, None, None), "nvidia", None)
    if fit(read_manifest(folder).needs, room, "nvidia").verdict == "fits":
        pytest.skip("this machine has an NVIDIA GPU")
    ran = run_in_process("recipe", "run", str(folder))
    assert ran.code == 3 and "what would fit" in ran.err
    assert run_in_process("recipe", "run", str(folder), "--force").code == 3  # packages are missing


SLOW = """import pathlib, sys, time
print("working", flush=True)
pathlib.Path(__file__).with_name("began").touch()
try:
    time.sleep(600)
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(1)
"""


def test_ctrl_c_ends_the_script_and_a_second_run_waits_for_none(
    dataset_recipe: Path, run_in_process: Run
) -> None:
    with_sums(dataset_recipe, "script.py", SLOW)
    assert changed_rendered(dataset_recipe) == []
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "recipe", "run", str(dataset_recipe)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually((dataset_recipe / "began").exists, COMMAND_S)
        second = run_in_process("recipe", "run", str(dataset_recipe))
        assert second.code == 1 and "another modelscan command" in second.err
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=COMMAND_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "working" in err
    assert not (dataset_recipe / "run.json").exists()


def test_a_script_that_fails_is_exit_1_with_its_last_line(
    dataset_recipe: Path, run_in_process: Run
) -> None:
    secret = "hf_" + "abcdefghijklmnopqrstuvwxyz012345"
    with_sums(
        dataset_recipe, "script.py", f"import sys; print('HF_TOKEN={secret}'); sys.exit('broke')"
    )
    ran = run_in_process("recipe", "run", str(dataset_recipe))
    assert ran.code == 1 and "exit code 1: broke" in ran.err
    assert secret not in ran.out + ran.err + (dataset_recipe / "run.log").read_text()
    with_sums(dataset_recipe, "script.py", "pass")
    ran = run_in_process("recipe", "run", str(dataset_recipe))
    assert ran.code == 1 and "without a result" in ran.err
    with_sums(dataset_recipe, "script.py", "import os; os.kill(os.getpid(), 9)")  # out of memory
    ran = run_in_process("recipe", "run", str(dataset_recipe))
    assert ran.code == 1 and "was ended by the signal SIGKILL" in ran.err


def test_credentials_reach_only_what_needs_them(dataset_recipe: Path) -> None:
    environ = {"HF_TOKEN": "x", "OPENAI_API_KEY": "y", "PATH": "/bin", "PYTHONPATH": "/evil",
               "HTTPS_PROXY": "http://proxy"}  # fmt: skip
    local = variables(read_manifest(dataset_recipe), environ)
    assert local["HF_HUB_OFFLINE"] == "1" and local["PATH"] == "/bin"
    assert not {"HF_TOKEN", "OPENAI_API_KEY", "PYTHONPATH", "HTTPS_PROXY"} & set(local)


HF = """#!/bin/sh
printf '%s\\n' "$@" > "$(dirname "$0")/called"
"""


@pytest.fixture
def hf_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the program hf that writes down how it was called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "hf").write_text(HF)
    (programs / "hf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs / "called"


def test_a_job_starts_only_with_yes_and_sends_only_what_is_listed(
    tmp_path: Path, run_in_process: Run, hf_program: Path
) -> None:
    base = write_tiny_hf(tmp_path / "base")
    data = tmp_path / "data"
    data.mkdir()
    chats = write_chats(data / "chats.jsonl")
    (data / "private.txt").write_text("not to be sent")
    (base / "notes.md").write_text("not to be sent")
    folder = rendered(
        run_in_process, "unsloth", base, "--dataset", chats, "--job", "--out", tmp_path / "job"
    )
    ran = run_in_process("recipe", "run", str(folder))
    assert ran.code == 2 and "Cost class gpu_small" in ran.err and "hf jobs run" in ran.err
    assert str(chats) in ran.err
    assert not hf_program.exists() and not (folder / "upload").exists()
    ran = run_in_process("recipe", "run", str(folder), "--yes", "--offline")
    assert ran.code == 5 and not hf_program.exists() and not (folder / "upload").exists()
    ran = run_in_process("recipe", "run", str(folder), "--yes")
    assert ran.code == 0, ran.err
    assert hf_program.read_text().split()[:2] == ["jobs", "run"]
    sent = {str(file.relative_to(folder / "upload")) for file in (folder / "upload").rglob("*")
            if file.is_file()}  # fmt: skip
    files = {f"base/{one.path}" for one in read_manifest(folder).base.files}
    assert sent == {"script.py", "manifest.json", "dataset.jsonl"} | files
    assert "base/model.safetensors" in sent and "base/notes.md" not in sent
    hf_program.unlink()
    ran = run_in_process("recipe", "run", str(folder), "--yes")
    assert ran.code == 2 and "costs again" in ran.err and not hf_program.exists()


def test_a_job_without_the_program_is_exit_3(
    tmp_path: Path, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_tiny_hf(tmp_path / "base")
    folder = rendered(run_in_process, "quantize", base, "--job", "--out", tmp_path / "job")
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run_in_process("recipe", "run", str(folder), "--yes")
    assert ran.code == 3 and "pip install huggingface_hub" in ran.err


def namespaces() -> bool:
    """Whether a process can have a network of its own here."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not namespaces(), reason="unshare -rn does not work here")
def test_rendering_and_running_work_without_any_network(tmp_path: Path) -> None:
    """In a network namespace without a single address."""
    source, chats = write_tiny_gguf(tmp_path / "t.gguf"), write_chats(tmp_path / "c.jsonl")
    base = write_tiny_hf(tmp_path / "base")
    lines = (
        ("render", "gguf", source, "--method", "q8_0", "--out", tmp_path / "a"),
        ("run", tmp_path / "a"),
        ("render", "unsloth", base, "--dataset", chats, "--job", "--out", tmp_path / "b"),
        ("render", "nemo", base, "--dataset", chats, "--out", tmp_path / "c"),
    )
    for words in lines:
        done = subprocess.run(
            ["unshare", "-rn", sys.executable, "-m", "modelscan", "recipe", *map(str, words)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "run.json").is_file()
