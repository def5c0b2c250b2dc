"""Engines that others started: told apart, listed, adopted, never ended."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.engine_processes import eventually
from support.fake_engine_api import other, serving, sglang, vllm
from support.fake_ollama import State, running

from modelscan.supervisor import discover
from modelscan.supervisor.health import Address, health
from modelscan.supervisor.load import load_of
from modelscan.supervisor.recognise import ServedModel

pytest_plugins = ("support.engine_fixtures",)


@pytest.fixture(autouse=True)
def no_known_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on the developer's machine is none of a test's business."""
    monkeypatch.setattr("modelscan.deploy.discover.PORTS", ())
    monkeypatch.setenv("MODELSCAN_OLLAMA_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def llama(model_file: Path) -> Iterator[int]:
    """A real llama.cpp server that somebody else started."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "modelscan.supervisor.embedded.launcher", "--model", str(model_file),
        "--alias", "theirs", "--host", "127.0.0.1", "--port", str(port), "--ctx-size", "512",
        "--props",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            eventually(lambda: health(Address("127.0.0.1", port)) == "ok")
            yield port
        finally:
            server.kill()


def test_each_engine_is_told_by_its_answers(llama: int) -> None:
    state = State(models={"qwen3:8b": {}, "bge:latest": {}}, loaded={"qwen3:8b": 8192})
    with (
        serving(vllm()) as one, serving(sglang()) as two, serving(other()) as three,
        running(state) as url, serving({"/": "a web page"}) as page,
    ):  # fmt: skip
        ollama = int(url.rpartition(":")[2])
        found = discover.scan([one, two, llama, ollama, three, page, 9])
    told = {row.port: row for row in found}
    assert [row.port for row in found] == [one, two, llama, ollama, three]
    assert [(r.engine, r.version) for r in (told[one], told[two], told[ollama])] == [
        ("vllm", "0.32.0"), ("sglang", "0.5.23"), ("ollama", "0.12.3"),
    ]  # fmt: skip
    assert told[one].models == (ServedModel("tiny", 1024, "/weights/tiny"),)
    assert told[two].models == (ServedModel("glm", 8192, "/weights/glm"),)
    assert told[ollama].models == (
        ServedModel("qwen3:8b", 8192),
        ServedModel("bge:latest"),
    )
    assert (told[three].engine, told[three].models[0].context_tokens) == ("openai", None)
    (model,) = told[llama].models
    assert (told[llama].engine, model.name, model.context_tokens) == ("llama.cpp", "theirs", 512)


TAGS = {"models": [{"name": "tiny", "model": "tiny", "details": {"format": "gguf"}}]}
ROW = {"id": "tiny", "object": "model", "created": 1, "owned_by": "organization_owner"}
LISTED = {"/v1/models": {"object": "list", "data": [ROW]}}
# Answers in the form of each server's sources or documentation; the last field: the context.
LOOKALIKES = [
    ("sglang", "0.5.23", 8192, {**sglang(), "/api/tags": TAGS, "/api/version": {"version": "0.9"}}),
    ("sglang-router", None, None, {**LISTED, "/workers": {"workers": [{"url": "http://a"}]}}),
    ("llama.cpp", "b5000", 2048, {
        "/api/tags": TAGS, "/api/version": {"version": "0.9"},
        "/v1/models": {"data": [{**ROW, "owned_by": "llamacpp"}]},
        "/props": {"default_generation_settings": {"n_ctx": 2048}, "build_info": "b5000"}}),
    ("llama.cpp", None, None, {
        "/v1/models": {"data": [{**ROW, "owned_by": "llamacpp", "status": {"value": "unloaded"}}]},
        "/props": {"role": "router", "max_instances": 4,
                   "default_generation_settings": {"n_ctx": 0}}}),
    ("koboldcpp", "1.98", 4096, {
        **LISTED, "/api/tags": TAGS, "/api/version": {"version": "0.7.0"},
        "/api/extra/version": {"result": "KoboldCpp", "version": "1.98"},
        "/api/extra/true_max_context_length": {"value": 4096}}),
    ("lm-studio", None, 8192, {
        **LISTED, "/api/v0/models": {"object": "list", "data": [
            {"id": "tiny", "compatibility_type": "gguf", "state": "loaded",
             "max_context_length": 32768, "loaded_context_length": 8192}]}}),
    ("docker-model-runner", None, None, {
        **LISTED, "/api/tags": TAGS, "/api/version": {"version": "0.9"},
        "/models": [{"id": "sha256:0", "tags": ["ai/tiny"], "config": {"format": "gguf"}}]}),
    ("llama-swap", None, None, {
        "/v1/models": {"data": [{**ROW, "owned_by": "llama-swap"}]}, "/running": {"running": []}}),
    ("litellm", "1.80", None, {**LISTED, "/health/readiness": {"litellm_version": "1.80"}}),
    ("ollama", "0.12.3", None, {
        **LISTED, "/api/tags": TAGS, "/api/version": {"version": "0.12.3"},
        "/api/ps": {"models": ["x", {"name": "other"}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "version", "context", "answers"), LOOKALIKES)
def test_what_answers_for_others_is_told_by_its_own_endpoints(
    engine: str, version: str | None, context: int | None, answers: dict[str, object]
) -> None:
    with serving(answers) as port:
        found = discover.probe(Address("127.0.0.1", port))
    assert found is not None
    assert (found.engine, found.version) == (engine, version)
    assert [model.context_tokens for model in found.models] == [context]


def test_a_web_application_with_tags_is_no_engine() -> None:
    with serving({"/api/tags": {"models": []}}) as port:
        assert discover.probe(Address("127.0.0.1", port)) is None


def test_a_locked_server_is_known_by_what_is_public() -> None:
    with serving(vllm(), key="k") as port:
        found = discover.probe(Address("127.0.0.1", port))
        assert found is not None
        assert (found.engine, found.locked, found.models) == ("vllm", True, ())
        open_ = discover.probe(Address("127.0.0.1", port, "k"))
        assert open_ is not None
        assert [model.name for model in open_.models] == ["tiny"]
    with serving(sglang(), key="k") as port:
        found = discover.probe(Address("127.0.0.1", port))
        assert found is not None
        assert (found.engine, found.locked, found.models) == ("sglang", True, ())
    with serving(other(), key="k") as port:
        assert discover.probe(Address("127.0.0.1", port)) is None, "it may be anything"


@pytest.mark.parametrize(
    "answers",
    [
        {"/v1/models": "not json"}, {"/v1/models": {"data": "x"}}, {"/v1/models": {"data": [1, {}]}},
        {"/api/tags": {"models": [1, {"name": 3}]}}, {"/get_model_info": {"model_path": 3}},
        {"/v1/models": [1]}, {"/props": [], "/v1/models": {"data": [{"id": 3}]}},
    ],
)  # fmt: skip
def test_nonsense_is_no_engine_and_no_crash(answers: dict[str, object]) -> None:
    with serving(answers) as port:
        found = discover.probe(Address("127.0.0.1", port))
        assert found is None or found.engine == "ollama"


def test_requests_that_run_are_counted() -> None:
    for answers, count in ((vllm(), 2), (sglang(), 1)):
        with serving(answers) as port:
            requests = load_of(Address("127.0.0.1", port)).requests
            assert requests is not None and requests.running == count
    with serving(other()) as port:
        assert load_of(Address("127.0.0.1", port)).requests is None


def test_discover_and_adopt(
    run_in_process: Callable[..., Ran], llama: int, clean_environment: Path
) -> None:
    schema = json.loads((REPOSITORY / "modelscan/schemas/discover.json").read_text())
    ran = run_in_process("discover", "--port", str(llama), "--json")
    jsonschema.validate(ran.json, schema)
    (row,) = ran.json["servers"]
    assert (row["name"], row["engine"], row["context_tokens"]) == ("theirs", "llama.cpp", 512)
    assert row["deployment"] is None
    text = run_in_process("discover", "--port", str(llama))
    hint = f"adopt one: modelscan discover --adopt theirs --port {llama}\n"
    assert hint in text.out + text.err

    ran = run_in_process("discover", "--adopt", "theirs", "--port", str(llama), "--json")
    assert ran.code == 0, ran.err
    jsonschema.validate(ran.json, schema)
    adopted = ran.json["adopted"]
    assert (adopted["state"], adopted["managed"], adopted["route"]) == ("running", False, "theirs")
    assert ran.json["servers"][0]["deployment"] == "theirs"
    again = run_in_process("discover", "--adopt", "theirs", "--port", str(llama))
    assert again.code == 0
    assert "unknown" in next(
        line for line in run_in_process("show", "theirs").out.splitlines() if "gpus" in line
    )
    (listed,) = run_in_process("list", "--json").json["deployments"]
    assert (listed["health"], listed["endpoint"]) == ("ok", f"http://127.0.0.1:{llama}")
    (route,) = run_in_process("route", "list", "--json").json["routes"]
    assert (route["base_url"], route["enabled"]) == (f"http://127.0.0.1:{llama}", True)
    assert run_in_process("route", "test", "theirs").code == 0

    for verb in ("stop", "restart"):  # it would go on answering
        refused = run_in_process(verb, "theirs")
        assert refused.code == 2
        assert "was not started by modelscan" in refused.err
        assert "modelscan remove theirs" in refused.err
    assert run_in_process("stop", "--all").code == 0
    assert run_in_process("list", "--json").json["deployments"][0]["state"] == "running"
    assert run_in_process("start", "theirs").code == 0
    assert run_in_process("logs", "theirs").code == 2
    assert run_in_process("remove", "theirs", "--yes").code == 0
    assert run_in_process("route", "list", "--json").json["routes"] == []
    assert health(Address("127.0.0.1", llama)) == "ok"


def test_an_adopted_one_that_goes_away(run_in_process: Callable[..., Ran]) -> None:
    with serving(vllm()) as port:
        ran = run_in_process("discover", "--adopt", "tiny", "--port", str(port), "-q")
        assert (ran.code, ran.out) == (0, "tiny\n")
    (row,) = run_in_process("list", "--json").json["deployments"]
    assert row["state"] == "stopped"
    assert "no longer serves it" in row["reason"]
    (route,) = run_in_process("route", "list", "--json").json["routes"]
    assert route["enabled"] is False


def test_a_key_is_shown_to_one_server_only(
    run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR", "k")
    ran = run_in_process("discover", "--api-key", "env:THEIR")
    assert ran.code == 2
    assert "a key belongs to one server" in ran.err
    with serving(vllm(), key="k") as port:
        ran = run_in_process("discover", "--port", str(port))
        assert "needs a key" in ran.out + ran.err
        ran = run_in_process(
            "discover", "--adopt", "tiny", "--port", str(port), "--api-key", "env:THEIR", "--json"
        )
        assert ran.code == 0, ran.err
        assert ran.json["adopted"]["api_key"] == "env:THEIR"


def test_an_unknown_name_says_what_is_there(run_in_process: Callable[..., Ran]) -> None:
    with serving(other("phi")) as port:
        ran = run_in_process("discover", "--adopt", "nobody", "--port", str(port))
    assert ran.code == 2
    assert "no server on the scanned ports has a model 'nobody' (models: phi)" in ran.err
