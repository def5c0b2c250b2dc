"""Ollama as a target: pulled, made with its context, loaded, seen in /api/ps, unloaded, removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.fake_engine_api import serving
from support.fake_ollama import SIZE, VRAM, State, running
from support.tiny_gguf import write_tiny_gguf

from modelscan.core.errors import RemoteError, UsageError
from modelscan.targets.ollama.client import OllamaClient, digest_of, same_model, server_address


@pytest.fixture
def state() -> State:
    return State(registry={"hf.co/lab/tiny-GGUF:Q4_K_M"})


@pytest.fixture
def server(state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running(state) as url:
        monkeypatch.setenv("MODELSCAN_OLLAMA_ENDPOINT", url)
        yield url


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def test_pull_create_load_list_unload_delete(server: str, state: State) -> None:
    ollama, name = OllamaClient(server), "hf.co/lab/tiny-GGUF:Q4_K_M"
    seen: list[tuple[str, int, int]] = []
    ollama.pull(name, lambda *said: seen.append(said))
    assert seen[-2:] == [("pulling 1f2a", 200, 200), ("success", 0, 0)]
    ollama.create("mine", {"num_ctx": 8192}, base=name)
    assert [one.name for one in ollama.stored()] == [name, "mine:latest"]
    assert ollama.stored()[0].quantization == "Q4_K_M"
    ollama.load("mine", 5.0)
    (held,) = ollama.loaded()
    assert (held.name, held.total_bytes, held.vram_bytes) == ("mine:latest", SIZE, VRAM)
    assert held.context_tokens == 8192
    assert state.calls[-1][2]["keep_alive"] == -1
    ollama.unload("mine")
    assert ollama.loaded() == ()
    ollama.delete("mine")
    ollama.delete("mine")  # gone already: no error
    assert ollama.show("mine") is None
    assert ollama.version() == "0.12.3"


@pytest.mark.parametrize("models", [True, 5, "x", [None], {"a": 1}, ["y"]])
def test_lists_of_another_kind_are_named(models: object) -> None:
    answers = {"/api/tags": {"models": models}, "/api/ps": {"models": models}}
    with serving(answers) as port:
        ollama = OllamaClient(f"http://127.0.0.1:{port}")
        for question in (ollama.stored, ollama.loaded):
            with pytest.raises(RemoteError, match="lists models"):
                question()


def test_values_of_another_kind_are_unknown() -> None:
    row = {"name": 3, "size": True, "details": "x", "digest": [], "context_length": "8k"}
    with serving({"/api/tags": {"models": [row]}, "/api/ps": {"models": [row]}}) as port:
        ollama = OllamaClient(f"http://127.0.0.1:{port}")
        assert (ollama.stored()[0].file_bytes, ollama.stored()[0].family) == (None, None)
        assert ollama.loaded()[0].context_tokens is None


def test_what_goes_wrong_is_told(server: str, state: State) -> None:
    ollama = OllamaClient(server)
    with pytest.raises(RemoteError, match="file does not exist"):
        ollama.pull("hf.co/no/such:Q4_K_M")
    state.cut_pulls = 1
    with pytest.raises(RemoteError, match="the stream ended after 'pulling 1f2a'"):
        ollama.pull("hf.co/lab/tiny-GGUF:Q4_K_M")
    with pytest.raises(RemoteError, match="model 'none:latest' not found"):
        ollama.load("none", 5.0)
    with pytest.raises(RemoteError, match="digest mismatch"):
        ollama.push_blob(Path(__file__), "sha256:00")
    with pytest.raises(RemoteError, match="no Ollama server answers") as caught:
        OllamaClient("127.0.0.1:9").version()
    assert caught.value.code == "no_server"
    with pytest.raises(UsageError, match="is not the address"):
        OllamaClient("ftp://somewhere")


def test_names() -> None:
    assert same_model("qwen3", "qwen3:latest")
    assert same_model("hf.co/a/b:Q4_K_M", "hf.co/a/b:Q4_K_M")
    assert not same_model("qwen3:8b", "qwen3")


def test_a_deployments_life(
    run_in_process: Callable[..., Ran],
    server: str,
    state: State,
    model: Path,
    clean_environment: Path,
) -> None:
    ran = run_in_process(
        "deploy", str(model), "--target", "ollama", "--name", "mine", "--context", "512", "--json"
    )
    assert ran.code == 0, ran.out + ran.err
    schema = json.loads((REPOSITORY / "modelscan/schemas/deploy.json").read_text())
    jsonschema.validate(ran.json, schema)
    row = ran.json["deployment"]
    assert (row["state"], row["backend"], row["target"]) == ("running", "ollama", "ollama")
    assert (row["endpoint"], row["served_model"], row["context_tokens"]) == (server, "mine", 512)
    assert ran.json["measured"]["total_bytes"] == SIZE
    assert ran.json["measured"]["vram_bytes"] == VRAM
    assert list(state.blobs) == [digest_of(model)], "the file itself was given to the server"
    assert state.models["mine:latest"]["parameters"]["num_ctx"] == 512
    assert _route(run_in_process, "mine")["base_url"] == server

    assert _state(run_in_process, "mine") == ("running", "ok")
    state.loaded.clear()
    assert _state(run_in_process, "mine")[0] == "stopped", "somebody unloaded it"
    assert run_in_process("start", "mine").code == 0
    assert "mine:latest" in state.loaded
    assert len(state.blobs) == 1
    assert run_in_process("stop", "mine").code == 0
    assert not state.loaded
    assert _route(run_in_process, "mine")["enabled"] is False
    assert run_in_process("remove", "mine", "--yes").code == 0
    assert not state.models
    assert run_in_process("list", "-q").out == ""


def test_another_context_makes_it_anew_and_a_strangers_model_is_left_alone(
    run_in_process: Callable[..., Ran], server: str, state: State, model: Path
) -> None:
    args = ("deploy", str(model), "--target", "ollama", "--name", "mine")
    assert run_in_process(*args, "--context", "512").code == 0
    assert run_in_process(*args, "--context", "1024", "--replace").code == 0
    assert state.models["mine:latest"]["parameters"]["num_ctx"] == 1024
    assert state.loaded == {"mine:latest": 1024}

    state.models["theirs:latest"] = {"parameters": {}}
    ran = run_in_process("deploy", str(model), "--target", "ollama", "--name", "theirs")
    assert ran.code == 2
    assert "has a model 'theirs' that modelscan did not create" in ran.err
    assert "theirs:latest" in state.models


def test_an_ollama_that_is_away(
    run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setenv("MODELSCAN_OLLAMA_ENDPOINT", "http://127.0.0.1:9")
    ran = run_in_process("deploy", str(model), "--target", "ollama")
    assert ran.code == 5
    assert "no Ollama server answers at http://127.0.0.1:9" in ran.err


def test_why_it_does_not_load_is_named(
    run_in_process: Callable[..., Ran], server: str, state: State, model: Path
) -> None:
    state.refuses = "model requires more system memory (164.8 GiB) than is available (13.4 GiB)"
    ran = run_in_process("deploy", str(model), "--target", "ollama", "--name", "m", "--json")
    error = ran.json["error"]
    assert (ran.code, error["details"]["kind"]) == (5, "memory")
    assert "164.8 GiB" in error["message"] and "less --context" in error["hint"]
    assert _state(run_in_process, "m")[0] == "failed"


def test_one_that_does_not_let_go(
    run_in_process: Callable[..., Ran], server: str, state: State, model: Path
) -> None:
    args = ("deploy", str(model), "--target", "ollama", "--name", "m", "--context", "512")
    assert run_in_process(*args).code == 0
    state.deaf = True
    ran = run_in_process("stop", "m", "--drain", "0")
    assert ran.code == 5
    assert "keeps m in memory" in ran.err


def test_the_preview_says_what_would_be_sent(
    run_in_process: Callable[..., Ran], server: str, state: State, model: Path
) -> None:
    ran = run_in_process("deploy", str(model), "--backend", "ollama", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["launch"]["url"] == f"{server}/api/create"
    assert ran.json["launch"]["body"]["files"] == [str(model)]
    assert state.calls == []


def _state(run_in_process: Callable[..., Ran], name: str) -> tuple[str, str | None]:
    rows = run_in_process("list", "--json").json["deployments"]
    row = next(row for row in rows if row["name"] == name)
    return row["state"], row["health"]


def _route(run_in_process: Callable[..., Ran], name: str) -> dict[str, Any]:
    rows = run_in_process("route", "list", "--json").json["routes"]
    return next(row for row in rows if row["name"] == name)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        ("localhost:11434", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        (":8000", "http://127.0.0.1:8000"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:8000", "http://[::1]:8000"),
        ("http://box", "http://box"),
        ("http://box:8000/", "http://box:8000"),
        ("https://box/ollama/", "https://box/ollama"),
        (" http://box:1//", "http://box:1"),
        ("http://u:secret@box:1", "http://u:secret@box:1"),
    ],
)
def test_an_address_as_people_write_it(written: str, meant: str) -> None:
    assert server_address(written) == meant
    assert "secret" not in OllamaClient(written).endpoint


@pytest.mark.parametrize(
    "written",
    ["http://127.0.0.1:99999", "127.0.0.1:1143A", "http://[::1", "", "ftp://box", "http://",
     "http://u:secret@box:x", "http://box?x=1"],
)  # fmt: skip
def test_what_is_no_address_is_named_without_its_password(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        server_address(written)
    assert "is not the address of an Ollama server" in caught.value.message
    assert "secret" not in caught.value.message
