"""``modelscan connect`` and ``route export|import`` of other programs' configurations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from ruamel.yaml import YAML
from support.chat_only import chat_only
from support.served import routed, write_routing

from modelscan.core.yaml_reader import read_yaml
from modelscan.routing.foreign_configs import converted

pytest_plugins = ("support.engine_fixtures",)
Cli = Callable[..., Ran]


def entry(name: str, port: int = 9, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    return {"name": name, "type": "local", "base_url": url, "model": f"lab/{name}", **more}


@pytest.fixture
def routes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(home))
    entries = [entry("coder", context_tokens=16384), entry("vectors", tags=["embeddings"])]
    roles = [{"role_id": "helper", "operation": "chat"}]
    write_routing(home, routed(*entries, aliases={"gpt-4o": "coder"}, roles=roles))
    return home


class TestConnect:
    def test_print_write_remove(self, routes: Path, run_in_process: Cli) -> None:
        config = routes / ".config" / "opencode" / "opencode.json"
        config.parent.mkdir(parents=True)
        config.write_text('{"theme": "dark"} // mine\n')
        shown = run_in_process("connect", "opencode", "--json").json
        assert [file["state"] for file in shown["files"]] == ["printed"]
        models = json.loads(shown["files"][0]["text"])["provider"]["modelscan"]["models"]
        assert list(models) == ["coder", "gpt-4o", "helper"]
        assert models["coder"]["limit"] == {"context": 16384, "output": 4096}
        written = run_in_process(
            "connect", "opencode", "--route", "helper", "--write", "--json"
        ).json
        assert written["start"] == "opencode -m modelscan/helper"
        assert "// mine" in config.read_text()
        assert Path(written["files"][0]["backup"]).read_text() == '{"theme": "dark"} // mine\n'
        assert run_in_process("connect", "opencode", "--remove").code == 0
        assert config.read_text() == '{"theme": "dark"} // mine\n'

    def test_keys_are_references(self, routes: Path, run_in_process: Cli) -> None:
        literal = run_in_process("connect", "codex", "--key", "sk-planted-key")
        assert literal.code == 2
        assert "sk-planted-key" not in literal.out
        shown = run_in_process("connect", "codex", "--key", "env:MY_KEY", "--json").json
        assert 'env_key = "MY_KEY"' in shown["files"][0]["text"]
        assert any("MY_KEY is not set" in one for one in shown["warnings"])

    def test_refusals(self, routes: Path, run_in_process: Cli) -> None:
        for words, text in (
            (("connect", "opncode"), "modelscan connect opencode"),
            (("connect", "codex", "--route", "codr"), "--route coder"),
            (("connect", "codex", "--write", "--remove"), "use --write alone"),
            (("connect", "zed", "--check"), "modelscan connect zed"),
            (("connect", "llm", "--check"), "pipx install llm"),
        ):  # fmt: skip
            refused = run_in_process(*words)
            assert refused.code == 2
            assert text in refused.err

    def test_what_the_server_reports(self, home: Path, run_in_process: Cli) -> None:
        with chat_only() as server:
            server.props = {"default_generation_settings": {"n_ctx": 4096},
                            "chat_template_caps": {"supports_tools": False}, "modalities": {"vision": True}}  # fmt: skip
            write_routing(home, routed(entry("small", server.server_port, context_tokens=99)))
            shown = run_in_process("connect", "claude-code", "--json").json
            assert len(shown["warnings"]) == 2  # the prompt alone is larger; no tools
            text = run_in_process("route", "export", "opencode", "--json").json["text"]
        model = json.loads(text)["provider"]["modelscan"]["models"]["small"]
        assert (model["limit"]["context"], model["tool_call"], model["attachment"]) == (
            4096,
            False,
            True,
        )

    @pytest.mark.parametrize(
        ("body", "works"), [("echo pong", True), ("echo no >&2; exit 3", False), ("exit 0", False)]
    )
    def test_check_uses_a_home_of_its_own(
        self, routes: Path, run_in_process: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        body: str, works: bool,
    ) -> None:  # fmt: skip
        program = tmp_path / "bin" / "cn"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\ntest "$HOME" != "{routes}" && test -z "$OPENAI_BASE_URL" || exit 9\n{body}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.invalid")
        done = run_in_process("connect", "continue", "--check", "--json")
        assert (done.json["check"]["ok"], done.code) == (works, 0 if works else 5)
        assert not (routes / ".continue").exists()


class TestExport:
    @pytest.mark.parametrize("name", ["litellm", "llama-swap", "continue", "envoy-ai-gateway"])
    def test_yaml(self, routes: Path, run_in_process: Cli, name: str) -> None:
        text = run_in_process("route", "export", "--format", name, "--key", "env:K", "--json").json[
            "text"
        ]
        assert all(document for document in YAML(typ="safe").load_all(text))
        assert "vectors" not in text

    def test_a_file(self, routes: Path, run_in_process: Cli, tmp_path: Path) -> None:
        target = tmp_path / "models.env"
        assert run_in_process("route", "export", "env", "-o", str(target)).code == 0
        assert "OPENAI_BASE_URL='http://127.0.0.1:8900/v1'" in target.read_text()


LITELLM = """
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/Qwen/Qwen3-8B, api_base: "http://10.0.0.5:8001/v1/", api_key: os.environ/LAB, weight: 1}
    model_info: {max_input_tokens: 32768}
  - model_name: coder
    litellm_params: {model: hosted_vllm/Qwen/Qwen3-8B, api_base: "http://10.0.0.6:8001/v1", max_parallel_requests: 4}
  - model_name: claude
    litellm_params: {model: anthropic/claude-opus, api_key: sk-literal-key}
  - model_name: open
    litellm_params: {model: openrouter/qwen/qwen3-8b, api_key: sk-literal-key}
router_settings: {routing_strategy: least-busy, model_group_alias: {fast: open, quick: open}, fallbacks: [{coder: [open]}]}
"""
LLAMA_SWAP = """
models:
  small: {cmd: "llama-server --port ${PORT}", aliases: [tiny]}
  outside: {cmd: "true", proxy: "http://127.0.0.1:9001", useModelName: q, aliases: [out]}
peers:
  lab: {proxy: "http://10.0.0.5:8001", models: [a/one, a/two], apiKey: "${env.LAB}"}
selectors: {any: {strategy: warm, targets: [small]}}
"""


class TestImport:
    def test_litellm(self) -> None:
        made = converted(read_yaml(LITELLM).value)
        assert made is not None
        assert [one["name"] for one in made.providers] == ["coder-1", "coder-2", "open"]
        assert made.providers[0] == {
            "name": "coder-1", "type": "openai", "model": "Qwen/Qwen3-8B", "base_url": "http://10.0.0.5:8001",
            "served_model": "Qwen/Qwen3-8B", "api_key": "env:LAB", "context_tokens": 32768, "tags": ["coder"],
        }  # fmt: skip
        assert made.providers[2]["preset"] == "openrouter"
        assert made.roles[0]["routing_policy"] == {
            "strategy": "least_loaded",
            "requires_tags": ["coder"],
        }
        assert made.aliases == {"fast": "open", "quick": "open"}
        assert len(made.left_out) == 4
        assert "sk-literal-key" not in str(made)

    def test_llama_swap(self) -> None:
        made = converted(read_yaml(LLAMA_SWAP).value)
        assert made is not None
        assert [one["name"] for one in made.providers] == ["lab-one", "lab-two", "outside"]
        assert made.providers[0]["api_key"] == "env:LAB"
        assert made.aliases == {"out": "outside"}
        assert len(made.left_out) == 2

    @pytest.mark.parametrize("text", [LITELLM, LLAMA_SWAP])
    def test_into_the_file(
        self, home: Path, run_in_process: Cli, tmp_path: Path, text: str
    ) -> None:
        source = tmp_path / "config.yaml"
        source.write_text(text)
        done = run_in_process("route", "import", str(source), "--json")
        assert done.code == 0, done.out
        assert done.json["warnings"]
        assert run_in_process("route", "validate").code == 0
        assert "sk-literal-key" not in (home / "config" / "routing.yaml").read_text()

    def test_neither(self) -> None:
        for text in ("a: 1", "models: [a]", "models: {a: 1}", "routing: {}"):
            assert converted(read_yaml(text).value) is None


def test_an_alias_of_the_users_own_replaces_a_built_in_role(
    home: Path, run_in_process: Cli
) -> None:
    write_routing(home, routed(entry("coder"), aliases={"fast": "coder"}))
    assert run_in_process("route", "validate").code == 0
    assert run_in_process("route", "resolve", "fast", "--json").json["route"]["name"] == "coder"
