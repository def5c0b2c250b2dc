"""The route commands, from an empty file to a complete one; each document matches its schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import Ran

from modelscan.state.bundled import schemas_dir

LOCAL = "http://127.0.0.1:9"
Run = Callable[..., Any]


@pytest.fixture
def path(clean_environment: Path) -> Path:
    return clean_environment / "config" / "routing.yaml"


@pytest.fixture
def run(run_in_process: Callable[..., Ran]) -> Run:
    """Run with ``--json`` and check the schema; returns the document."""

    def checked(*arguments: str, code: int = 0) -> Any:
        ran = run_in_process("route", *arguments, "--json")
        assert ran.code == code, ran
        document = ran.json
        name = document["schema"].removeprefix("modelscan.").removesuffix("/1")
        schema = json.loads((schemas_dir() / f"{name}.json").read_text())
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
        return document

    return checked


def test_a_file_from_nothing_to_complete(run: Run, path: Path, tmp_path: Path) -> None:
    run("add", "coder", "--base-url", LOCAL, "--model", "Qwen/Qwen3-8B", "--tag", "curated")
    run("provider", "add", "local", "ollama", "--model", "qwen3:8b")
    run("provider", "add", "local", "vllm", "--model", "lab/x", "--name", "v")
    run("preset", "add", "hugging_face", "--name", "router")
    run("alias", "gpt-4o", "coder")
    run("role", "add", "writer", "--requires-tag", "curated", "--system-prompt", "Be brief.",
        "--set", "prompt_policy.request_policy.body_defaults.temperature=0.2")  # fmt: skip
    run("role", "edit", "writer", "--set", "routing_policy.fallback_roles=[fast]")
    run("edit", "coder", "--set", "context_tokens=8192")
    values = yaml.safe_load(path.read_text())["routing"]
    assert [one["base_url"] for one in values["direct"]["providers"][:3]] == [
        LOCAL, "http://127.0.0.1:11434", "http://127.0.0.1:8000",
    ]  # fmt: skip
    assert all("api_key" not in one for one in values["direct"]["providers"])
    assert [one["kind"] for one in run("match", "brief")["candidates"]][:1] == ["role"]
    assert run("alias")["aliases"] == [{"name": "gpt-4o", "target": "coder"}]
    assert [one["role_id"] for one in run("role", "list")["roles"]] == ["writer", "fast", "auto"]
    assert run("role", "show", "writer")["passed"] == ["coder"]
    explained = run("explain", "writer", "--text", "Hi")
    assert explained["chosen"] == "coder"
    assert explained["body"] == {
        "model": "Qwen/Qwen3-8B",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.2,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert run("resolve", "writer")["route"]["name"] == "coder"
    assert run("resolve", "router/org/m:fast")["route"]["model"] == "org/m:fast"
    names = {one["id"]: one for one in run("models")["models"]}
    assert {"coder", "Qwen/Qwen3-8B", "gpt-4o", "writer", "fast", "auto"} <= set(names)
    assert (names["writer"]["where"], names["writer"]["context_tokens"]) == (["local"], 8192)
    assert [one["family"] for one in run("services")["services"]][:2] == ["qwen3", "qwen3"]
    assert run("roles") == run("role", "list")
    run("role", "remove", "writer")
    run("remove", "v")
    assert [one["change"] for one in run("history")["revisions"]][:2] == [
        "remove v", "remove role writer",
    ]  # fmt: skip
    run("undo")
    assert run("list")["routes"][2]["name"] == "v"
    assert run("show", "router")["route"]["tier"] == "third_party"
    bundle = json.loads(run("export", "bundle")["text"])
    assert bundle["routing"]["aliases"] == {"gpt-4o": "coder"}
    (tmp_path / "b.json").write_text(json.dumps(bundle))
    path.unlink()
    run("import", str(tmp_path / "b.json"))
    assert run("resolve", "gpt-4o")["route"]["name"] == "coder"


def test_questions_change_nothing(run: Run, path: Path) -> None:
    run("add", "a", "--base-url", LOCAL, "--model", "lab/a")
    before = (path.read_text(), path.stat().st_mtime_ns)
    for question in (("resolve", "a"), ("explain", "a"), ("match", "x"), ("role", "list")):
        run(*question)
    assert (path.read_text(), path.stat().st_mtime_ns) == before


def test_a_body_of_a_file_is_explained(run: Run, tmp_path: Path) -> None:
    run("add", "a", "--base-url", LOCAL, "--model", "lab/a")
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": "x", "messages": [], "unknown": {"k": 1}, "stream": True}))
    document = run("explain", "a", "--body", str(body))
    assert document["body"] == {
        "model": "lab/a",
        "messages": [],
        "unknown": {"k": 1},
        "stream": True,
    }
    body.write_text("[]")
    assert run("explain", "a", "--body", str(body), code=2)["error"]["message"].endswith("object")


def test_a_name_that_leads_nowhere(run: Run) -> None:
    run("add", "coder", "--base-url", LOCAL, "--model", "lab/a")
    assert run("explain", "codr", code=2)["nearest"] == ["coder"]
    run("edit", "coder", "--set", "enabled=false")
    assert run("explain", "coder", code=5)["candidates"][0]["refused_by"] == "coder is disabled"


def test_plano_in_a_container(run: Run, path: Path) -> None:
    """Loopback ports, no key in the command or in a file, one provider per model."""
    run("add", "a", "--base-url", LOCAL, "--model", "lab/a")
    run("preset", "add", "openrouter", "--model", "qwen/qwen3-8b")
    run("mode", "plano_embedded")
    shown = run("mode")
    assert "127.0.0.1:12000:12000" in shown["command"]
    assert path.with_name("plano.env").read_text() == "OPENROUTER_API_KEY\n"
    plano = yaml.safe_load(path.with_name("plano_config.yaml").read_text())
    assert plano["version"] == "v0.1.0"
    assert [one.get("access_key") for one in plano["model_providers"]] == [
        None, "$OPENROUTER_API_KEY",
    ]  # fmt: skip
    assert plano["model_providers"][0]["base_url"] == "http://host.docker.internal:9"
    assert yaml.safe_load(run("export", "plano")["text"]) == plano


@pytest.fixture
def server() -> Iterator[str]:
    """A server that lists one model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps({"data": [{"id": "lab/served"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_a_local_server_is_added_without_its_model(run: Run, path: Path, server: str) -> None:
    """One model: the server's; none or several: requested as NAME/MODEL."""
    run("provider", "add", "local", "vllm", "--base-url", server)
    run("provider", "add", "local", "sglang", "--base-url", LOCAL)
    run("provider", "add", "local", "ollama")
    entries = yaml.safe_load(path.read_text())["routing"]["direct"]["providers"]
    assert [(one["type"], one.get("model"), one.get("engine")) for one in entries] == [
        ("local", "lab/served", "vllm"), ("openai", None, "sglang"), ("ollama", None, None),
    ]  # fmt: skip
    assert run("explain", "ollama/qwen3:8b")["body"]["model"] == "qwen3:8b"
    assert [one["where"] for one in run("services")["services"]] == ["local"] * 3


def test_validate_asks_for_keys_and_models(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", "right", "--base-url", server, "--model", "lab/served")
    assert run("validate")["valid"]
    run("add", "wrong", "--base-url", server, "--model", "lab/other")
    run("preset", "add", "hf")
    findings = run("validate", code=2)["findings"]
    assert [one["message"] for one in findings] == [
        "huggingface: none of the variables HUGGINGFACE_API_KEY, HF_TOKEN is set",
        "wrong: its server does not serve 'lab/other'",
    ]
    assert [one["level"] for one in findings] == ["warning", "error"]
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert len(run("validate", code=2)["findings"]) == 1


def test_what_is_wrong_is_said_once_with_a_command(run_in_process: Callable[..., Ran]) -> None:
    for arguments, words in (
        (("edit", "a"), "nothing to change"),
        (("preset", "add", "openruoter"), "did you mean openrouter?"),
        (("provider", "add", "local", "mindie", "--model", "m"), "there is no backend"),
        (("alias", "x"), "needs a TARGET"),
        (("role", "show", "fsat"), "there is no role 'fsat'"),
    ):
        ran = run_in_process("route", *arguments)
        assert ran.code == 2
        assert words in ran.err
        assert "hint: " in ran.err
