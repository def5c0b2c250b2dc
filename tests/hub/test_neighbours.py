"""Models of Ollama, LM Studio and llama.cpp's cache: found, planned and run where they are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.tiny_gguf import split_gguf, write_tiny_gguf

from modelscan.core.errors import UsageError
from modelscan.hub.neighbours.find import find_neighbour, list_neighbours
from modelscan.hub.neighbours.ollama import canonical

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]
LAYER = "application/vnd.ollama.image."


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without anything in it."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


class Kitchen:
    """Ollama's folder of a user."""

    def __init__(self, user: Path) -> None:
        self.folder = user / ".ollama" / "models"
        (self.folder / "blobs").mkdir(parents=True)

    def blob(self, content: bytes, kind: str = "model") -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / f"sha256-{digest}").write_bytes(content)
        return {"mediaType": LAYER + kind, "digest": f"sha256:{digest}", "size": len(content)}

    def manifest(self, name: str, *layers: dict[str, Any]) -> Path:
        file = self.folder / "manifests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
        return file


@pytest.fixture
def ollama(user: Path) -> Kitchen:
    return Kitchen(user)


@pytest.fixture
def tiny(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "made.gguf").read_bytes()


def problems() -> dict[str, str | None]:
    return {one.model: one.problem for one in list_neighbours().items}


def test_names_are_as_ollama_writes_them() -> None:
    assert canonical("llama3.2") == "llama3.2:latest"
    assert canonical("registry.ollama.ai/library/llama3.2:3b") == "llama3.2:3b"
    assert canonical("library/llama3.2:3b") == "llama3.2:3b"
    assert canonical("me/own") == "me/own:latest"
    assert canonical("hf.co/org/repo:Q4_K_M") == "hf.co/org/repo:Q4_K_M"
    assert canonical("host:5000/a/b") == "host:5000/a/b:latest"


def test_an_ollama_model_is_planned_and_run_where_it_is(
    ollama: Kitchen, tiny: bytes, home: Path, run_in_process: Run
) -> None:
    layer = ollama.blob(tiny)
    ollama.manifest("registry.ollama.ai/library/tiny/1b", layer, ollama.blob(b"x", "template"))
    before = {file: file.stat() for file in ollama.folder.rglob("*")}
    listed = run_in_process("cache", "list", "--neighbours", "--json").json
    assert [one["model"] for one in listed["items"]] == ["ollama:tiny:1b"]
    assert listed["items"][0]["size_bytes"] == len(tiny)
    planned = run_in_process("plan", "ollama:tiny:1b", "--json").json
    assert planned["verdict"] == "fits"
    done = run_in_process("deploy", "ollama:tiny:1b", "--name", "tiny", "--json")
    assert done.code == 0, done.out
    argv = run_in_process("show", "tiny", "--json").json["launch"]["argv"]
    blob = ollama.folder / "blobs" / layer["digest"].replace(":", "-")
    assert argv[argv.index("--model") + 1] == str(blob)
    assert run_in_process("restart", "tiny", "-q").code == 0
    assert run_in_process("remove", "tiny", "--yes", "-q").code == 0
    after = {file: file.stat() for file in ollama.folder.rglob("*")}
    assert before.keys() == after.keys()
    assert all(one.st_mtime_ns == after[file].st_mtime_ns for file, one in before.items())


def test_whatever_is_wrong_with_a_model_is_named(ollama: Kitchen, tiny: bytes) -> None:
    layer = ollama.blob(tiny)
    gone = {**layer, "digest": "sha256:" + "0" * 64}
    ollama.manifest("registry.ollama.ai/library/ok/latest", layer)
    ollama.manifest("registry.ollama.ai/library/gone/latest", gone)
    ollama.manifest("registry.ollama.ai/library/part/latest", {**layer, "size": len(tiny) + 9})
    ollama.manifest("registry.ollama.ai/library/lora/latest", layer, ollama.blob(b"a", "adapter"))
    ollama.manifest("registry.ollama.ai/library/cloud/latest")
    ollama.manifest("registry.ollama.ai/library/evil/latest", {**layer, "digest": "../../etc/x"})
    ollama.manifest("registry.ollama.ai/library/odd/latest").write_text("[1]")
    ollama.manifest("registry.ollama.ai/library/torn/latest").write_text('{"layers": [{')
    ollama.manifest(
        "registry.ollama.ai/library/link/latest", {**layer, "digest": "sha256:" + "1" * 64}
    )
    (ollama.folder / "blobs" / ("sha256-" + "1" * 64)).symlink_to("nowhere")
    ollama.manifest("hf.co/org/repo/Q4_K_M", layer)
    ollama.manifest("registry.ollama.ai/library/ok/.hidden", gone)
    found = problems()
    assert found.pop("ollama:ok:latest") is None
    assert found.pop("ollama:hf.co/org/repo:Q4_K_M") is None
    words = {"gone": "is missing", "part": " of ", "lora": "adapter", "cloud": "no GGUF weights",
             "evil": "is no digest", "odd": "damaged", "torn": "damaged", "link": "link to nothing"}  # fmt: skip
    assert {f"ollama:{name}:latest" for name in words} == set(found)
    for name, word in words.items():
        assert word in str(found[f"ollama:{name}:latest"])
        with pytest.raises(UsageError, match="cannot be used") as error:
            find_neighbour(f"ollama:{name}")
        assert error.value.hint == "modelscan cache list --neighbours"
    with pytest.raises(UsageError, match="ollama:gone:latest"):
        find_neighbour("ollama:gone:lates")


def test_what_cannot_be_read_hides_no_other_model(ollama: Kitchen, tiny: bytes) -> None:
    layer = ollama.blob(tiny)
    ollama.manifest("registry.ollama.ai/me/zebra/latest", layer)
    library = ollama.folder / "manifests" / "registry.ollama.ai" / "library"
    library.mkdir()
    (library / "notes.txt").write_text("mine")
    (library / "loop").symlink_to("loop")
    (library / "dir" / "latest" / "inner").mkdir(parents=True)
    (ollama.folder / "manifests" / "stray").write_text("")
    found = problems()
    assert found["ollama:me/zebra:latest"] is None
    assert "symbolic links" in str(found["ollama:loop:latest"])
    assert "is a directory" in str(found["ollama:dir:latest"])
    assert len(found) == 3
    assert find_neighbour("ollama:me/zebra").problem is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(ollama: Kitchen, tiny: bytes) -> None:
    layer = ollama.blob(tiny)
    ollama.manifest("registry.ollama.ai/library/ok/latest", layer)
    blob = ollama.folder / "blobs" / layer["digest"].replace(":", "-")
    blob.chmod(0)
    assert "permission denied" in str(problems()["ollama:ok:latest"])
    (ollama.folder / "manifests").chmod(0)
    listed = list_neighbours()
    (ollama.folder / "manifests").chmod(0o700)
    assert listed.items == ()
    assert listed.unreadable[0].problem == "permission denied"


def test_a_folder_that_is_elsewhere(
    tmp_path: Path, user: Path, tiny: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Kitchen(tmp_path / "disk")
    elsewhere.manifest("registry.ollama.ai/me/own/latest", elsewhere.blob(tiny))
    assert problems() == {}
    monkeypatch.setenv("OLLAMA_MODELS", str(elsewhere.folder))
    assert problems() == {"ollama:me/own:latest": None}


@pytest.fixture(params=[".lmstudio/models", ".cache/lm-studio/models", "moved", "pointed"])
def studio(request: pytest.FixtureRequest, user: Path) -> Iterator[Path]:
    """LM Studio's folder, in each of its places."""
    place = str(request.param)
    folder = user / place
    if place == "moved":
        (user / ".lmstudio").mkdir()
        (user / ".lmstudio" / "settings.json").write_text(
            json.dumps({"downloadsFolder": str(folder)})
        )
    if place == "pointed":
        (user / ".lmstudio-home-pointer").write_text(str(folder))
        folder = folder / "models"
    folder.mkdir(parents=True)
    yield folder


def test_an_lm_studio_model_is_planned(studio: Path, tiny: bytes, run_in_process: Run) -> None:
    repository = studio / "lab" / "Tiny-GGUF"
    repository.mkdir(parents=True)
    (repository / "tiny-F32.gguf").write_bytes(tiny)
    broken = studio / "lab" / "Broken-GGUF"
    broken.mkdir()
    (broken / "x.gguf").symlink_to(studio / "nowhere")
    parted = studio / "lab" / "Parted-GGUF"
    parted.mkdir()
    (parted / "big-F32-00001-of-00002.gguf").write_bytes(tiny)
    (studio / "lab" / "Empty").mkdir()
    (studio / ".internal").mkdir()
    found = problems()
    assert found["lmstudio:lab/Tiny-GGUF"] is None
    assert "link to nothing" in str(found["lmstudio:lab/Broken-GGUF"])
    assert found["lmstudio:lab/Parted-GGUF"] == "big-F32-00002-of-00002.gguf is missing"
    assert len(found) == 3
    planned = run_in_process("plan", "lmstudio:lab/tiny-gguf", "--json").json
    assert planned["verdict"] == "fits"
    assert planned["plan"]["files"] == [str(repository / "tiny-F32.gguf")]


def test_files_of_llama_cpps_cache_are_listed(user: Path, tiny: bytes) -> None:
    folder = user / ".cache" / "llama.cpp"
    folder.mkdir(parents=True)
    (folder / "lab_Tiny-GGUF_tiny-F32.gguf").write_bytes(tiny)
    for number, part in enumerate(split_gguf(2), 1):
        (folder / f"lab_Split_big-0000{number}-of-00002.gguf").write_bytes(part)
    (folder / "lab_Torn_big-00001-of-00003.gguf").write_bytes(split_gguf(3)[0])
    (folder / "half.gguf.downloadInProgress").write_bytes(b"GGUF")
    found = problems()
    assert [one for one, problem in found.items() if problem is None] == [
        str(folder / "lab_Split_big-00001-of-00002.gguf"),
        str(folder / "lab_Tiny-GGUF_tiny-F32.gguf"),
    ]
    assert "is missing" in str(found[str(folder / "lab_Torn_big-00001-of-00003.gguf")])


def test_nothing_here_is_an_answer(user: Path, run_in_process: Run) -> None:
    ran = run_in_process("cache", "list", "--neighbours")
    assert (ran.code, ran.out) == (0, "")
    assert "no model of Ollama" in ran.err
    for words in (("plan", "ollama:llama3.2"), ("catalog", "info", "lmstudio:a/b"),
                  ("catalog", "passport", "ollama:x")):  # fmt: skip
        ran = run_in_process(*words, "--json")
        assert ran.code == 2
        assert ran.json["error"]["hint"]
