"""Rendering writes a folder that can be read first: names, hashes, needs, refusals, injection."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shlex
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.recipe_rows import CANARIES, write_chats
from support.tiny_gguf import write_tiny_gguf
from support.tiny_hf import write_tiny_hf

from modelscan.recipes.naming import ARTIFACT_NAME, artifact_name, base_label
from modelscan.recipes.registry import RECIPES
from modelscan.recipes.script_files import script_text

Run = Callable[..., Any]
NASTY = (
    "a \"b\" 'c' $(touch PWNED) `touch PWNED`; touch PWNED #",
    "line\nimport os; os.system('touch PWNED')",
    "{manifest} %s {0} \\ x",
    '""" + __import__("os").system("touch PWNED") + """',
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "tiny-base")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "chats.jsonl")


def rendered(run: Run, *words: object) -> dict[str, Any]:
    ran = run("recipe", "render", *map(str, words), "--json")
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def arguments(kind: Any, tmp_path: Path) -> list[Path]:
    """Models of a recipe."""
    if kind.name == "gguf":
        return [write_tiny_gguf(tmp_path / "tiny.gguf")]
    count = max(kind.least_models, 1)
    return [write_tiny_hf(tmp_path / f"model-{n}", seed=n) for n in range(count)]


METHODS = [
    (kind, method)
    for kind in RECIPES
    for method in kind.methods
    if "by llama-quantize" not in method.description
]


@pytest.mark.parametrize(
    ("kind", "method"), METHODS, ids=[f"{k.name}-{m.name}" for k, m in METHODS]
)
def test_every_method_renders(
    kind: Any, method: Any, tmp_path: Path, run_in_process: Run, chats: Path
) -> None:
    models = arguments(kind, tmp_path)
    if method.name == "model_stock":
        models.append(write_tiny_hf(tmp_path / "third", seed=9))
    data = ["--dataset", chats] if method.dataset == "required" else []
    out = tmp_path / "out"
    one = rendered(run_in_process, kind.name, *models, "--method", method.name, *data, "--out", out)
    assert ARTIFACT_NAME.fullmatch(one["artifact_name"])
    assert f"-{method.name}-" in one["artifact_name"]
    assert (out / "script.py").read_text() == script_text(kind)
    compile((out / "script.py").read_text(), "script.py", "exec")
    assert (out / "requirements.txt").read_text().split() == one["requirements"]
    for file in one["files"]:
        content = (out / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert stat.S_IMODE((out / file["path"]).stat().st_mode) == 0o600
    assert set(one["needs"]) >= {"gpu_bytes", "disk_bytes"}
    assert one["cost"] == {"class": "local", "usd_per_hour": None}
    assert one["leaves_machine"] == [] and one["run"] is None
    assert not any(
        (out / name).exists() for name in ("output", "adapter", "checkpoints", "run.json")
    )


def test_manifest_has_the_paths_and_digests(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    out = tmp_path / "out"
    one = rendered(run_in_process, "unsloth", base, "--dataset", chats, "--out", out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["dataset"]["path"] == str(chats)
    assert manifest["dataset"]["sha256"] == hashlib.sha256(chats.read_bytes()).hexdigest()
    assert one["paths"]["adapter"] == str(out / "adapter")
    assert one["paths"]["checkpoint"] == str(out / "checkpoints")
    files = {row["path"]: row["sha256"] for row in manifest["base"]["files"]}
    weights = (base / "model.safetensors").read_bytes()
    assert files["model.safetensors"] == hashlib.sha256(weights).hexdigest()


def test_equal_inputs_give_equal_names_and_other_inputs_other_ones(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    def name(*words: object, out: str) -> str:
        one = rendered(run_in_process, *words, "--out", tmp_path / out)
        return str(one["artifact_name"])

    plain = ("unsloth", base, "--dataset", chats)
    first = name(*plain, out="a")
    assert name(*plain, out="b") == first
    assert name(*plain, "--set", "rank=8", out="c") != first
    assert name(*plain, "--method", "lora", out="d") != first
    write_chats(chats, count=5)
    changed = name(*plain, out="e")
    assert changed != first
    write_tiny_hf(base, seed=5)
    assert name(*plain, out="f") not in (first, changed)


def test_names() -> None:
    assert base_label("Qwen/Qwen3-0.6B") == "qwen3-0.6b"
    assert base_label("/x/ä $(touch x)\n") == "touch-x"
    assert base_label("///") == "model"
    name = artifact_name("Qwen/Qwen3_8B", "dare_ties", "20261130", {"a": 1})
    assert re.fullmatch(r"qwen3-8b-dare_ties-20261130-[0-9a-f]{8}", name)
    assert artifact_name("x" * 300, "fp8", "20261130", {}).startswith("x" * 64 + "-fp8-")


def test_rendering_again_changes_nothing(tmp_path: Path, run_in_process: Run, base: Path) -> None:
    first = rendered(run_in_process, "quantize", base, "--out", tmp_path / "out")
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    assert rendered(run_in_process, "quantize", base, "--out", tmp_path / "out") == first
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()} == stamps


@pytest.mark.parametrize("text", NASTY)
def test_names_and_paths_cannot_become_code(
    text: str, tmp_path: Path, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the manifest as data; scripts are the same bytes; commands are quoted."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "place" / text.replace("/", "_")
    base, chats = write_tiny_hf(folder), write_chats(folder / "d.jsonl")
    one = rendered(
        run_in_process, "unsloth", base, "--dataset", chats, "--out", folder / "rendered", "--job",
        "--flavor", "l4x1",
    )  # fmt: skip
    assert one["base"]["path"] == str(base)
    out = Path(one["dir"])
    kind = next(kind for kind in RECIPES if kind.name == "unsloth")
    assert (out / "script.py").read_text() == script_text(kind)
    ast.parse((out / "script.py").read_text())
    for name in ("script.py", "requirements.txt", "README.md", "SHA256SUMS"):
        assert "PWNED" not in (out / name).read_text()
    assert ARTIFACT_NAME.fullmatch(one["artifact_name"])
    for line in (*one["next"], one["publish"]):
        words = shlex.split(line)
        assert not any(word in (";", "#") for word in words)
    assert not list(tmp_path.rglob("PWNED"))


def test_the_dataset_is_in_no_rendered_file_and_no_output(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    for recipe in ("quantize", "unsloth", "peft", "nemo", "dataset"):
        method = ["--method", "gptq"] if recipe == "quantize" else []
        out = tmp_path / recipe
        ran = run_in_process("recipe", "render", recipe, str(base), *method, "--dataset", str(chats),
                             "--out", str(out))  # fmt: skip
        assert ran.code == 0, ran.err
        texts = [ran.out, ran.err, *(file.read_text() for file in out.rglob("*") if file.is_file())]
        assert not any(canary in text for canary in CANARIES for text in texts)


BAD_ROWS = {
    "no JSON": "{CANARY-4411",
    "no object": '["CANARY-4411"]',
    "no messages": '{"text": "CANARY-4411"}',
    "empty": '{"messages": []}',
    "no role": '{"messages": [{"role": "CANARY-4411", "content": "x"}]}',
    "no text": '{"messages": [{"role": "assistant", "content": 3, "x": "CANARY-4411"}]}',
    "no answer": '{"messages": [{"role": "user", "content": "CANARY-4411"}]}',
    "deep": "[" * 100_000,
    "not UTF-8": None,
}


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_is_named_without_its_text(
    fault: str, tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    text = BAD_ROWS[fault]
    row = b'{"messages": "\xff"}' if text is None else text.encode()
    chats.write_bytes(chats.read_bytes() + row + b"\n")
    ran = run_in_process(
        "recipe", "render", "peft", str(base), "--dataset", str(chats), "--out", str(tmp_path / "o")
    )
    assert ran.code == 2
    assert "line 5" in ran.err and "CANARY" not in ran.err + ran.out
    assert not (tmp_path / "o").exists()


def test_what_is_missing_or_wrong_is_exit_2(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    cases: tuple[tuple[object, ...], ...] = (
        ("unsloth", base),
        ("unsloth", base, "--dataset", tmp_path / "absent.jsonl"),
        ("unsloth", base, "--dataset", tmp_path),
        ("unsloth", base, "--dataset", "/dev/zero"),
        ("unsloth", base, "--dataset", tmp_path / "empty.jsonl"),
        ("quantize", tmp_path / "absent"),
        ("quantize", "no-such-model-anywhere"),
        ("quantize", base, "--dataset", chats),
        ("quantize", base, "--method", "fp7"),
        ("quantise", base),
        ("quantize", base, base),
        ("merge", base),
        ("merge", base, base, base, "--method", "slerp"),
        ("quantize", base, "--set", "rank=3"),
        ("unsloth", base, "--dataset", chats, "--set", "rank=0"),
        ("unsloth", base, "--dataset", chats, "--set", "rank=x"),
        ("unsloth", base, "--dataset", chats, "--set", "learning_rate=nan"),
        ("unsloth", base, "--dataset", chats, "--set", "rank"),
        ("quantize", base, "--flavor", "l4x1"),
        ("quantize", base, "--job", "--flavor", "z9"),
        ("quantize", base, "--out", tmp_path / "used"),
        ("quantize", base, "--out", tmp_path / "used" / "file"),
        ("dataset", base, "--dataset", chats, "--job"),
    )  # fmt: skip
    for words in cases:
        place = [] if "--out" in words else ["--out", tmp_path / "out"]
        ran = run_in_process("recipe", "render", *map(str, (*words, *place)))
        assert ran.code == 2, (words, ran.err)
        assert "hint:" in ran.err
        assert not (tmp_path / "out").exists()
    assert [file.name for file in (tmp_path / "used").iterdir()] == ["file"]


def test_nim_is_refused_with_the_reason(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    for words in (
        ("nim", base), ("NIM", base), ("nemo", base, "--method", "nim"),
        ("nemo", "nvcr.io/nim/meta/llama-3.1-8b-instruct"), ("unsloth", "nim:meta/llama"),
    ):  # fmt: skip
        ran = run_in_process("recipe", "render", *map(str, words), "--dataset", str(chats))
        assert ran.code == 2, words
        assert "NIM serves models and trains none" in ran.err and "NeMo" in ran.err


def test_weights_that_cannot_be_used_are_exit_3(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    other = write_tiny_hf(tmp_path / "wide", num_hidden_layers=3)
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((base / "config.json").read_text())
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04")
    cases: tuple[tuple[object, ...], ...] = (
        ("merge", base, other, "--method", "linear"),
        ("unsloth", gguf, "--dataset", chats),
        ("quantize", gguf),
        ("quantize", "gpt-4o"),
        ("gguf", base, "--method", "q8_0"),  # no convert_hf_to_gguf.py on the PATH
        ("gguf", gguf, "--method", "q4_k_m"),  # no llama-quantize on the PATH
    )  # fmt: skip
    for words in cases:
        ran = run_in_process("recipe", "render", *map(str, words), "--out", str(tmp_path / "out"))
        assert ran.code == 3, (words, ran.err)
        assert "hint:" in ran.err and not (tmp_path / "out").exists()
    ran = run_in_process(
        "recipe", "render", "quantize", str(pickled), "--out", str(tmp_path / "out")
    )
    assert ran.code in (2, 3) and not (tmp_path / "out").exists()


def test_programs_of_llama_cpp_are_used_where_they_are(
    tmp_path: Path, run_in_process: Run, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("llama-quantize", "convert_hf_to_gguf.py"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    one = rendered(run_in_process, "gguf", base, "--method", "Q4_K_M", "--out", tmp_path / "out")
    assert one["parameters"]["quantize_tool"] == str(programs / "llama-quantize")
    assert one["parameters"]["convert_tool"] == str(programs / "convert_hf_to_gguf.py")
    assert any("no multiple of 256" in text for text in one["warnings"])


def test_the_fit_has_reasons_and_what_would_fit(
    tmp_path: Path, run_in_process: Run, chats: Path
) -> None:
    words = ("unsloth", "qwen3-8b", "--dataset", chats)
    large = rendered(run_in_process, *words, "--gpu", "H100 80GB", "--out", tmp_path / "a")
    assert large["fit"]["verdict"] == "fits"
    small = rendered(
        run_in_process, *words, "--method", "lora", "--gpu", "RTX 4060", "--out", tmp_path / "b"
    )
    assert small["fit"]["verdict"] == "does_not_fit"
    assert "on one GPU" in small["fit"]["reasons"][0]
    assert any(text.startswith("one RTX") for text in small["fit"]["would_fit"])
    assert small["needs"]["gpu_bytes"] > large["needs"]["gpu_bytes"]
    assert sum(small["needs"]["gpu_parts"].values()) == small["needs"]["gpu_bytes"]
    assert small["leaves_machine"] == ["to Hugging Face: the request for Qwen/Qwen3-8B"]


def test_a_repository_that_is_not_known_offline_is_unknown(
    tmp_path: Path, run_in_process: Run
) -> None:
    one = rendered(
        run_in_process, "quantize", "hf:some-org/unseen-model", "--offline", "--out", tmp_path / "a"
    )
    assert one["fit"]["verdict"] == "unknown" and one["needs"]["gpu_bytes"] is None
    assert one["base"]["repository"] == "some-org/unseen-model"


def test_a_job_prints_its_command_cost_and_what_leaves(
    tmp_path: Path, run_in_process: Run, base: Path, chats: Path
) -> None:
    one = rendered(
        run_in_process, "unsloth", base, "--dataset", chats, "--job", "--out", tmp_path / "job"
    )
    assert one["command"][:3] == ["hf", "jobs", "run"]
    assert one["cost"] == {"class": "gpu_small", "usd_per_hour": None}
    assert one["job"]["flavor"] in one["command"]
    assert any(str(chats) in text for text in one["leaves_machine"])
    assert not any(word.startswith("HF_TOKEN=") for word in one["command"])
    assert not (tmp_path / "job" / "upload").exists()
    large = rendered(
        run_in_process, "unsloth", base, "--dataset", chats, "--job", "--flavor", "h200x2",
        "--out", tmp_path / "job2",
    )  # fmt: skip
    assert large["cost"]["class"] == "gpu_several"


def test_a_large_weight_file_is_identified_by_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelscan.recipes import bases

    monkeypatch.setattr(bases, "_WHOLE", 3 * 2**20)
    file = tmp_path / "weights.safetensors"
    with file.open("wb") as stream:
        stream.truncate(8 * 2**20)
    before = bases.identified(file, "w")
    assert before.hashed == "ends"
    with file.open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(struct.pack("<I", 7))
    assert bases.identified(file, "w").sha256 != before.sha256


def test_the_list_has_every_recipe(run_in_process: Run) -> None:
    document = json.loads(run_in_process("recipe", "list", "--json").out)
    assert [row["name"] for row in document["recipes"]] == [kind.name for kind in RECIPES]
    assert run_in_process("recipe", "list", "-q").out.split() == [kind.name for kind in RECIPES]
