"""Weights from hubs: the real client libraries against a hub on loopback that also misbehaves."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran
from support.fake_hub import FakeHub
from support.hub_content import llama_config, llama_tensors, safetensors
from support.planner_cases import decide

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import Plan
from modelscan.core.workload import Workload
from modelscan.deploy.cached import list_cached
from modelscan.gpu.inventory import inventory
from modelscan.hub.downloads.pull import pull
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

DEMO = (REPOSITORY / "examples" / "demo-model.gguf").read_bytes()
NAME = "tiny-Q8_0.gguf"


@pytest.fixture
def here(run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """In this process: a pull that nothing ends needs none of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> Ran:
        with monkeypatch.context() as inner:
            for name, value in (env or {}).items():
                inner.setenv(name, value)
            return run_in_process(*words)

    return run


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one GGUF repository on each side."""
    with FakeHub() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        server.add("demo/tiny-GGUF", {NAME: DEMO, "README.md": b"# tiny", "notes.bin": b"pickle"})
        server.add("demo/tiny", {NAME: DEMO}, on="ms")
        yield server


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parts(path: Path) -> list[str]:
    return [p.name for p in path.rglob("*") if p.name.endswith((".part", ".incomplete"))]


@pytest.mark.parametrize(
    ("model", "source"), [("hf:demo/tiny-GGUF", "huggingface"), ("ms:demo/tiny", "modelscope")]
)
def test_exactly_the_needed_file_pinned_and_verified(
    hub: FakeHub, here: Callable[..., Ran], model: str, source: str
) -> None:
    """One file, at its path, with its hash; a second pull moves nothing."""
    ran = here("pull", model, "--json")
    assert ran.code == 0, ran.out + ran.err
    assert (ran.json["source"], [f["path"] for f in ran.json["files"]]) == (source, [NAME])
    file = Path(ran.json["folder"]) / NAME
    assert sha(file.read_bytes()) == sha(DEMO) == ran.json["files"][0]["sha256"]
    assert ran.json["fetched_bytes"] == len(DEMO)
    assert ran.json["revision"] == (
        hub.repos["demo/tiny-GGUF"].commit() if source == "huggingface" else "master"
    )
    again = here("pull", model, "--json").json
    assert (again["fetched_bytes"], again["folder"]) == (0, ran.json["folder"])


def test_offline_uses_what_is_there_and_asks_nothing(
    hub: FakeHub, here: Callable[..., Ran]
) -> None:
    """Before: exit 3 and a command to paste; after a pull: the same folder, no request."""
    first = here("pull", "hf:demo/tiny-GGUF", "--json").json
    hub.log.clear()
    ran = here("cache", "verify", "--offline", "--json")
    assert ran.code == 0
    assert [row["status"] for row in ran.json["files"]] == ["ok"]
    assert hub.log == []
    assert Path(first["folder"]).is_dir()


@pytest.mark.parametrize("model", ["hf:demo/tiny-GGUF", "ms:demo/tiny"])
def test_a_flipped_byte_is_refused_and_named(hub: FakeHub, model: str) -> None:
    """The wrong file is deleted; once the hub is healthy the pull works."""
    config = load()
    plan = plan_for(model)
    hub.fault("/cdn", "corrupt")
    hub.fault("/api/v1/models/demo/tiny/repo", "corrupt")
    with pytest.raises(ModelscanError) as caught:
        pull(plan, config)
    assert caught.value.code == "wrong_checksum"
    assert NAME in caught.value.message
    hub.heal()
    assert pull(plan, config).fetched_bytes > 0
    assert pull(plan, config).fetched_bytes == 0


def plan_for(model: str) -> Plan:
    config = load()
    subject = load_subject(model, config, Workload())
    plan = decide(subject, inventory(None), Workload()).plan
    assert plan is not None
    return plan


def test_cache_verify_names_a_damaged_and_a_missing_file(
    hub: FakeHub, here: Callable[..., Ran]
) -> None:
    """Exit 1; prune deletes what no deployment uses, only with --yes."""
    pulled = here("pull", "ms:demo/tiny", "--json").json
    file = Path(pulled["folder"]) / NAME
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(bytes(data))
    ran = here("cache", "verify", "--json")
    assert (ran.code, ran.json["files"][0]["status"]) == (1, "damaged")
    file.unlink()
    assert here("cache", "verify", "--json").json["files"][0]["status"] == "missing"
    assert here("pull", "ms:demo/tiny", "--json").json["fetched_bytes"] == len(DEMO)
    listed = here("cache", "list", "--json").json
    assert (listed["total_bytes"], listed["items"][0]["complete"]) == (len(DEMO), True)
    assert here("cache", "prune", "--json").json["deleted"] is False
    assert file.is_file()
    assert here("cache", "prune", "--yes", "--json").json["freed_bytes"] == len(DEMO)
    assert not file.exists()
    assert here("cache", "list", "--json").json["items"] == []


def test_updates_compare_with_the_hub(hub: FakeHub, here: Callable[..., Ran]) -> None:
    """A new commit is seen; with --exit-code that is exit 1."""
    here("pull", "hf:demo/tiny-GGUF", "--json")
    assert [i["status"] for i in here("cache", "updates", "--json").json["items"]] == ["current"]
    hub.add("demo/tiny-GGUF", {NAME: DEMO + b"\0" * 32})
    ran = here("cache", "updates", "--exit-code", "--json")
    assert (ran.code, [i["status"] for i in ran.json["items"]]) == (1, ["changed"])
    assert here("updates", "--json").json["items"] == ran.json["items"]


def test_gated_and_missing_repositories_are_explained(
    hub: FakeHub, here: Callable[..., Ran]
) -> None:
    """Exit 4 with how to get access; exit 2 or 5 for what is not there."""
    hub.add("demo/gated-GGUF", {NAME: DEMO}, gated="manual")
    ran = here("pull", "hf:demo/gated-GGUF")
    assert ran.code == 4
    assert "hint: " in ran.err
    assert here("pull", "hf:demo/none-GGUF").code in (2, 4, 5)


def test_a_decoy_token_is_never_sent(
    hub: FakeHub, here: Callable[..., Ran], tmp_path: Path
) -> None:
    """Only the configured hub token is a hub token."""
    (tmp_path / "hf-home").mkdir()
    (tmp_path / "hf-home" / "token").write_text("hf_decoyfile123456")
    env = {"HF_TOKEN": "hf_decoy12345678", "OPENAI_API_KEY": "sk-decoy12345678"}
    assert here("pull", "hf:demo/tiny-GGUF", env=env).code == 0
    assert [s for s in hub.seen("/") if "decoy" in json.dumps(s.headers)] == []


@pytest.mark.parametrize("model", ["hf:demo/tiny-GGUF", "ms:demo/tiny"])
def test_interrupted_at_random_bytes_and_resumed(
    hub: FakeHub, here: Callable[..., Ran], model: str
) -> None:
    """A seeded sample of cuts: every try keeps what it has, the end is the right file."""
    hub.add("demo/tiny-GGUF", {NAME: DEMO})
    rng = random.Random(7)
    for _ in range(3):
        hub.cut_after_bytes = rng.randrange(200_000, len(DEMO) // 2)
        hub.fault("/cdn", "cut")
        ran = here("pull", model, "--json")
        assert ran.code in (0, 5), ran.out
        hub.heal()
        if ran.code == 0:
            break
    done = here("pull", model, "--json")
    assert done.code == 0, done.out
    assert sha((Path(done.json["folder"]) / NAME).read_bytes()) == sha(DEMO)


@pytest.mark.parametrize("model", ["hf:demo/tiny-GGUF", "ms:demo/tiny"])
def test_interrupted_many_times_it_goes_on_where_it_stopped(
    hub: FakeHub, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try gets a few random bytes; together they move the file little more than once."""
    monkeypatch.setattr("modelscan.hub.downloads.resume._PAUSES_S", (0.0,))
    config, plan, rng = load(), plan_for(model), random.Random(model)
    before = hub.sent_bytes
    for _ in range(25):  # fifty over both hubs
        hub.heal()
        hub.cut_after_bytes = rng.randrange(1, 20_000)
        hub.fault("/cdn", "cut", times=1)
        hub.fault("/cdn", "reset")
        with pytest.raises(ModelscanError) as caught:
            pull(plan, config)
        assert (caught.value.exit_code, caught.value.code) == (5, "download_failed")
        assert list_cached(config) == ()
    hub.heal()
    done = pull(plan, config)
    assert sha((done.folder / NAME).read_bytes()) == sha(DEMO)
    assert done.fetched_bytes < len(DEMO)
    assert hub.sent_bytes - before < 1.2 * len(DEMO)


@pytest.mark.parametrize("model", ["hf:demo/tiny-GGUF", "ms:demo/tiny"])
def test_a_part_that_the_server_does_not_continue_is_begun_anew(hub: FakeHub, model: str) -> None:
    """A mirror that ignores ranges: the file is right all the same."""
    config, plan = load(), plan_for(model)
    hub.cut_after_bytes = 100_000
    hub.fault("/cdn", "cut", times=1)
    hub.fault("/cdn", "ignore-range")
    done = pull(plan, config)
    assert sha((done.folder / NAME).read_bytes()) == sha(DEMO)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_killed_at_a_random_moment_and_resumed(
    hub: FakeHub, seed: int, here: Callable[..., Ran]
) -> None:
    """kill -9 in the middle of a download: nothing half-registered, the next pull is right."""
    rng = random.Random(seed)
    model = rng.choice(["hf:demo/tiny-GGUF", "ms:demo/tiny"])
    hub.bytes_per_s = 4 << 20
    hub.fault("/cdn", "throttle")
    hub.fault("/api/v1/models/demo/tiny/repo", "throttle")
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "pull", model, "--json"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(rng.uniform(0.1, 1.5))
    process.kill()
    process.wait()
    hub.heal()
    listed = here("cache", "list", "--json").json["items"]
    assert all(item["complete"] for item in listed)
    done = here("pull", model, "--json").json
    assert sha((Path(done["folder"]) / NAME).read_bytes()) == sha(DEMO)


def test_two_at_once_download_once(hub: FakeHub, here: Callable[..., Ran]) -> None:
    """The second waits for the first and moves nothing."""
    command = [sys.executable, "-m", "modelscan", "pull", "ms:demo/tiny", "--json"]
    running = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(3)]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in running]
    assert sorted(a["fetched_bytes"] for a in answers) == [0, 0, len(DEMO)]


def test_a_full_disk_is_said_before_the_first_byte(
    hub: FakeHub, run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers, and nothing moved."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    ran = run_in_process("pull", "hf:demo/tiny-GGUF", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "no_space")
    assert ran.json["error"]["details"]["free_bytes"] == 1000
    assert [s for s in hub.seen("/cdn") if "range" not in s.headers] == []  # only the header


def test_a_dying_hub_leaves_a_clear_error(hub: FakeHub, here: Callable[..., Ran]) -> None:
    """Exit 5; no traceback; nothing registered."""
    hub.fault("/cdn", "reset")
    ran = here("pull", "hf:demo/tiny-GGUF")
    assert ran.code == 5, ran.err
    assert "Traceback" not in ran.err
    assert here("cache", "list", "--json").json["items"] == []


def test_safetensors_repository_end_to_end(hub: FakeHub, here: Callable[..., Ran]) -> None:
    """The whole folder vLLM would need, and nothing else."""
    tensors = llama_tensors()
    hub.add("demo/tiny-hf", {"config.json": json.dumps(llama_config()).encode(), "model.safetensors": safetensors(tensors),
                             "tokenizer.json": b"{}", "pytorch_model.bin": b"x"})  # fmt: skip
    ran = here("pull", "hf:demo/tiny-hf", "--gpu", "RTX 4090", "--json")
    assert ran.code == 0, ran.out
    assert sorted(f["path"] for f in ran.json["files"]) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
