"""What is on this machine already: pulled again, used offline, deployed from, pruned, verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran
from support.fake_hub import FakeHub
from support.hub_content import File, gguf, llama_config, llama_tensors, safetensors

from modelscan.core.reference import Kind, Reference
from modelscan.core.workload import Workload
from modelscan.hub.cache import cache_dir as hub_cache_dir
from modelscan.hub.cache import snapshot, snapshot_folder
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

pytest_plugins = ("support.engine_fixtures", "support.hub_fixtures")

Run = Callable[..., Ran]
DEMO = (REPOSITORY / "examples" / "demo-model.gguf").read_bytes()
DEMO_HIDDEN = 192


def projector(dimension: int) -> bytes:
    made = gguf({"general.architecture": "clip", "clip.vision.projection_dim": dimension},
                {"v.patch_embd.weight": ("F16", (8, 8))})  # fmt: skip
    return made.head + bytes(made.size - len(made.head))


def names(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.out + ran.err
    return [file["path"] for file in ran.json["files"]]


def test_a_pinned_revision_is_pulled_twice(hub: FakeHub, run_in_process: Run) -> None:
    """Its snapshot is in the cache then: nothing moves, nothing fails."""
    commit = hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO}).commit()
    first = run_in_process("pull", f"hf:demo/tiny-GGUF@{commit}", "--json")
    again = run_in_process("pull", f"hf:demo/tiny-GGUF@{commit}", "--json")
    assert (names(first), again.code, again.json["fetched_bytes"]) == (["tiny-Q8_0.gguf"], 0, 0)


@pytest.mark.parametrize(("prefix", "side"), [("hf:", "hf"), ("ms:", "ms")])
def test_what_was_pulled_serves_offline(
    hub: FakeHub, run_in_process: Run, prefix: str, side: str
) -> None:
    """Pull and plan by the repository's name, without a request; what is not here: exit 5."""
    hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO}, on=side)
    pulled = run_in_process("pull", f"{prefix}demo/tiny-GGUF", "--json").json
    hub.log.clear()
    again = run_in_process("pull", f"{prefix}demo/tiny-GGUF", "--offline", "--json").json
    assert (again["folder"], again["fetched_bytes"]) == (pulled["folder"], 0)
    planned = run_in_process("plan", f"{prefix}demo/tiny-GGUF", "--offline", "--json")
    assert planned.code == 0, planned.out
    assert planned.json["plan"]["files"] == [
        str(Path(pulled["folder"]).resolve() / "tiny-Q8_0.gguf")
    ]
    assert run_in_process("plan", f"{prefix}demo/other", "--offline").code == 5
    assert hub.log == []


def test_a_preview_says_where_modelscopes_files_will_be(hub: FakeHub, run_in_process: Run) -> None:
    hub.add("demo/tiny", {"tiny-Q8_0.gguf": DEMO}, on="ms")
    argv = run_in_process("deploy", "ms:demo/tiny", "--dry-run", "--json").json["launch"]["argv"]
    folder = run_in_process("pull", "ms:demo/tiny", "--json").json["folder"]
    assert argv[argv.index("--model") + 1] == f"{folder}/tiny-Q8_0.gguf"


def test_a_quantization_that_the_snapshot_lacks_comes_from_the_hub(
    hub: FakeHub, run_in_process: Run
) -> None:
    files = {"t-Q8_0.gguf": DEMO, "t-Q4_0.gguf": DEMO}
    repo = f"hf:demo/two-GGUF@{hub.add('demo/two-GGUF', files).commit()}"
    assert names(run_in_process("pull", repo, "--quantization", "Q8_0", "--json")) == [
        "t-Q8_0.gguf"
    ]
    planned = run_in_process("plan", repo, "--quantization", "Q4_0", "--json").json["plan"]
    assert (planned["files"], planned["source"]) == (["t-Q4_0.gguf"], "huggingface")


def test_a_snapshot_with_a_missing_part_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that was interrupted between two parts; a projector alone is no model."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "models--a--b" / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    pinned = Reference(Kind.HUGGINGFACE, "a/b", "c0ffee")
    (folder / "mmproj-F16.gguf").touch()
    (folder / "m-00001-of-00002.gguf").touch()
    assert snapshot(pinned) is None
    (folder / "m-00002-of-00002.gguf").touch()
    assert snapshot(pinned) == folder
    for file in folder.iterdir():
        file.unlink()
    (folder / "config.json").touch()
    (folder / "model-00001-of-00002.safetensors").touch()
    assert snapshot(pinned) is None


def test_the_files_beside_the_weights_come_first(hub: FakeHub, run_in_process: Run) -> None:
    """So that a snapshot whose weights are whole is whole."""
    files = {"config.json": json.dumps(llama_config()).encode(), "tokenizer.json": b"{}",
             "model.safetensors": safetensors(llama_tensors())}  # fmt: skip
    hub.add("demo/tiny-hf", files)
    names(run_in_process("pull", "hf:demo/tiny-hf", "--gpu", "RTX 4090", "--json"))
    asked = [s.path for s in hub.seen("/demo/tiny-hf/resolve") if s.method == "HEAD"]
    assert asked[-1].endswith("model.safetensors")


def test_names_that_say_no_quantization(hub: FakeHub, run_in_process: Run) -> None:
    """``model.gguf``: the header knows it; a file that is none is an error, not a traceback."""
    hub.add("demo/plain-GGUF", {"model.gguf": DEMO})
    ran = run_in_process("plan", "hf:demo/plain-GGUF", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert (ran.json["plan"]["quantization"], ran.json["plan"]["files"]) == ("Q8_0", ["model.gguf"])
    hub.add("demo/broken-GGUF", {"model.gguf": b"GGUF" + bytes(64)})
    broken = run_in_process("plan", "hf:demo/broken-GGUF", "--json")
    assert (broken.code, broken.json["error"]["code"]) == (2, "gguf")
    assert "model.gguf of demo/broken-GGUF" in broken.json["error"]["message"]
    hub.add("demo/empty-GGUF", {"README.md": b"soon", "imatrix.gguf": DEMO})
    assert run_in_process("plan", "hf:demo/empty-GGUF").code == 2


def test_the_projector_comes_with_the_weights(hub: FakeHub, run_in_process: Run) -> None:
    """The 16-bit one that was made for this model; one for another model is left alone."""
    files: dict[str, bytes | File] = {
        "t-Q8_0.gguf": DEMO, "t-Q4_0.gguf": DEMO, "mmproj-F32.gguf": projector(DEMO_HIDDEN),
        "mmproj-BF16.gguf": projector(DEMO_HIDDEN), "mmproj-F16.gguf": projector(999),
    }  # fmt: skip
    hub.add("demo/sees-GGUF", files)
    ran = run_in_process("pull", "hf:demo/sees-GGUF", "--quantization", "Q8_0", "--json")
    assert names(ran) == ["mmproj-BF16.gguf", "t-Q8_0.gguf"]
    dry = run_in_process("deploy", "hf:demo/sees-GGUF", "--dry-run", "--json")
    argv = dry.json["launch"]["argv"]
    assert argv[argv.index("--mmproj") + 1].endswith("/mmproj-BF16.gguf")
    assert dry.json["plan"]["estimate"]["parts"]["vision_bytes"] >= 128


def test_prune_keeps_what_a_deployment_of_a_snapshot_uses(
    hub: FakeHub, run_in_process: Run
) -> None:
    """And the blob that another revision links to."""
    repo = hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO})
    old, new = repo.commit(), repo.put("README.md", b"more words")
    for commit in (old, new):
        names(run_in_process("pull", f"hf:demo/tiny-GGUF@{commit}", "--json"))
    deployed = run_in_process("deploy", f"hf:demo/tiny-GGUF@{new}", "--no-wait", "--json")
    assert deployed.code == 0, deployed.out
    for name, count in (("tiny-gguf", 1), ("hf:demo/tiny-GGUF", 2)):
        assert len(run_in_process("cache", "verify", name, "--json").json["files"]) == count
    assert run_in_process("cache", "verify", "demo/other").code == 2
    pruned = run_in_process("cache", "prune", "--yes", "--json").json
    left = run_in_process("cache", "list", "--json").json["items"]
    assert [item["revision"] for item in left] == [new]
    assert [item["revision"] for item in pruned["items"]] == [old]
    assert left[0]["complete"]
    assert (Path(left[0]["folder"]) / "tiny-Q8_0.gguf").read_bytes() == DEMO
    assert run_in_process("remove", "tiny-gguf", "--yes").code == 0


def test_a_small_file_without_a_published_hash_is_verified_by_ours(
    hub: FakeHub, run_in_process: Run
) -> None:
    files = {"config.json": json.dumps(llama_config()).encode(), "tokenizer.json": b"{}",
             "model.safetensors": safetensors(llama_tensors())}  # fmt: skip
    hub.add("demo/tiny-hf", files)
    pulled = run_in_process("pull", "hf:demo/tiny-hf", "--gpu", "RTX 4090", "--json").json
    (Path(pulled["folder"]) / "tokenizer.json").write_bytes(b"[]")
    ran = run_in_process("cache", "verify", "--json")
    bad = [row["file"] for row in ran.json["files"] if row["status"] != "ok"]
    assert (ran.code, bad) == (1, ["tokenizer.json"])


def test_the_hub_is_asked_where_nobody_wants_the_snapshot(
    hub: FakeHub, run_in_process: Run
) -> None:
    commit = hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO}).commit()
    names(run_in_process("pull", f"hf:demo/tiny-GGUF@{commit}", "--json"))
    here = load_subject(f"hf:demo/tiny-GGUF@{commit}", load(), Workload())
    there = load_subject(f"hf:demo/tiny-GGUF@{commit}", load(), Workload(), cached=False)
    assert here.candidates[0].variant.source == "local_path"
    assert there.candidates[0].variant.source == "huggingface"


def of_another_tool(hub: FakeHub, tmp_path: Path, repo: str, name: str) -> None:
    """A snapshot as huggingface_hub leaves it: refs, a link, a blob named by its hash."""
    digest = hashlib.sha256(DEMO).hexdigest()
    root = hub_cache_dir() / f"models--{repo.replace('/', '--')}"
    commit = "0" * 40
    for folder in ("refs", "blobs", f"snapshots/{commit}"):
        (root / folder).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "blobs" / digest).write_bytes(DEMO)
    (root / "snapshots" / commit / name).symlink_to(f"../../blobs/{digest}")


def test_a_catalog_name_uses_the_hubs_cache_offline(
    hub: FakeHub, run_in_process: Run, tmp_path: Path
) -> None:
    """Another tool pulled it; the plan is made from the catalog."""
    planned = run_in_process("plan", "qwen3-0.6b", "--offline", "--backend", "llama.cpp", "--json")
    plan = planned.json["plan"]
    (name,) = plan["files"]
    refused = run_in_process("pull", "qwen3-0.6b", "--backend", "llama.cpp", "--offline", "--json")
    assert refused.json["error"]["code"] == "not_downloaded"
    of_another_tool(hub, tmp_path, plan["repo"], name)
    pulled = run_in_process("pull", "qwen3-0.6b", "--backend", "llama.cpp", "--offline", "--json")
    assert names(pulled) == [name]
    assert hub.log == []


def test_the_hubs_own_variable_is_honoured_by_name(
    hub: FakeHub, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_HUB_OFFLINE: no request to that hub; ModelScope is another one."""
    hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO})
    hub.add("demo/tiny", {"tiny-Q8_0.gguf": DEMO}, on="ms")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for words in (["pull", "hf:demo/tiny-GGUF"], ["catalog", "passport", "hf:demo/tiny-GGUF"]):
        refused = run_in_process(*words)
        assert refused.code == 5
        assert "HF_HUB_OFFLINE is set" in refused.err
    assert hub.log == []
    assert run_in_process("pull", "ms:demo/tiny").code == 0
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert run_in_process("pull", "hf:demo/tiny-GGUF").code == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run_in_process("pull", "hf:demo/tiny-GGUF").code == 0  # what is here


def test_a_gated_repository_offers_the_login_that_is_there(
    hub: FakeHub, run_in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By reference only, and only if the user says so."""
    hub.add("demo/gated-GGUF", {"tiny-Q8_0.gguf": DEMO}, gated="auto")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    hint = run_in_process("pull", "hf:demo/gated-GGUF", "--json").json["error"]["hint"]
    assert "modelscan config set hf_token env:HF_TOKEN   (after: export HF_TOKEN=…)" in hint
    login = tmp_path / "token"
    login.write_text("hf_canary0123456789")
    monkeypatch.setenv("HF_TOKEN_PATH", str(login))
    hint = run_in_process("pull", "hf:demo/gated-GGUF", "--json").json["error"]["hint"]
    assert f"modelscan config set hf_token file:{login}" in hint
    monkeypatch.setenv("HF_TOKEN", "hf_canary0123456789")
    hint = run_in_process("pull", "hf:demo/gated-GGUF", "--json").json["error"]["hint"]
    assert hint.endswith("modelscan config set hf_token env:HF_TOKEN")
    assert all("canary" not in str(request.headers) for request in hub.log)


def test_a_pulled_file_that_was_damaged_since_is_noticed_and_fetched_again(
    hub: FakeHub, run_in_process: Run
) -> None:
    """``start`` and ``restart`` name it, ``pull`` fetches it again at once."""
    hub.add("demo/tiny-GGUF", {"tiny-Q8_0.gguf": DEMO})
    assert run_in_process("deploy", "hf:demo/tiny-GGUF", "--name", "d").code == 0
    folder = snapshot_folder(Reference(Kind.HUGGINGFACE, "demo/tiny-GGUF"))
    assert folder is not None
    blob = (folder / "tiny-Q8_0.gguf").resolve()
    blob.write_bytes(DEMO[:-9] + bytes(9))
    refused = run_in_process("restart", "d", "--json")
    assert refused.json["error"]["code"] == "damaged_file"
    assert "tiny-Q8_0.gguf of demo/tiny-GGUF is damaged" in refused.json["error"]["message"]
    (row,) = run_in_process("list", "--json").json["deployments"]
    assert row["state"] == "running"
    assert run_in_process("stop", "d").code == 0
    assert run_in_process("start", "d").code == 1
    command = refused.json["error"]["hint"].partition("   (")[0].split()
    again = run_in_process(*command[1:], "--json")
    assert again.code == 0, again.out
    assert blob.read_bytes() == DEMO
    assert run_in_process("start", "d").code == 0
    assert run_in_process("remove", "d", "--yes").code == 0
