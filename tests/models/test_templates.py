"""Parsers from the chat template, where neither the name nor the class tells the family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fake_hub import FakeHub
from support.planner_cases import DENSE_8B

from modelscan.core.workload import Workload
from modelscan.engines.recipe_options import Recommendation
from modelscan.engines.registry import engine
from modelscan.engines.template_families import family_of_template
from modelscan.formats.chat_template import stated_template
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

LLAMA = {**DENSE_8B, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
HERMES = """{%- for call in message.tool_calls %}<tool_call>
{"name": "{{ call.name }}", "arguments": {{ call.arguments | tojson }}}</tool_call>{% endfor %}"""


@pytest.mark.parametrize(
    ("template", "family", "thinks"),
    [
        (HERMES, "hermes", False), (HERMES + "{% if enable_thinking %}<think>", "qwen3", True),
        (HERMES + "<think>", "qwen3-thinking", True),
        ("<function={{ name }}><parameter={{ key }}>", "qwen3-coder", False),
        ("<function={{ name }}><parameter={{ key }}></think>", "qwen3-coder", False),
        ("<think><function={{ name }}><parameter={{ key }}>", "qwen3.5", True),
        ("{{- '<tool_call>' + tc.name -}}<arg_key><arg_value></think>", "glm-4.7", True),
        ("{{ '\\n<tool_call>' + tc.name }}<arg_key><arg_value>", "glm-4.5", False),
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ name }}<｜tool▁sep｜>", "deepseek-v3.1", False),
        ("<｜tool▁calls▁begin｜>{{ tool['type'] }}</think>", "deepseek-r1", True),
        ("<minimax:tool_call>", "minimax-m2", True), ("[TOOL_CALLS][THINK]", "mistral", True),
        ("<|start|>assistant<|channel|>final<|message|>", "gpt-oss", True),
        ("<|tool_calls_section_begin|>", "kimi-k2", False),
    ],
)  # fmt: skip
def test_marks_of_templates(template: str, family: str, thinks: bool) -> None:
    found = family_of_template(template)
    assert found is not None
    assert (found.name, found.thinks) == (family, thinks)


def test_a_plain_template_has_no_family() -> None:
    assert family_of_template("{{ bos }}[INST] {{ message.content }} [/INST]") is None
    assert family_of_template(None) is None


def test_the_template_of_a_tokenizer_s_configuration() -> None:
    assert stated_template({"chat_template": "a"}) == "a"
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    assert stated_template({"chat_template": named}) == "b"
    assert stated_template({"chat_template": named[:1]}) == "a"
    assert stated_template({"chat_template": 3}) is None


def options(name: str, version: str, model: str = "acme/tuned") -> dict[str, str | None]:
    published = Recommendation((), (), (model,), ("LlamaForCausalLM",), "chat", template=HERMES)
    return dict(
        engine(name).recommended_options(published, Workload(backend_version=version)).options
    )


def test_the_version_s_table_decides_which_parser_exists() -> None:
    assert options("vllm", "0.32.0")["tool-call-parser"] == "hermes"
    assert options("sglang", "0.4.0") == {}
    assert options("vllm", "0.32.0", "acme/Tuned-Base") == {}


def test_a_folder_s_template_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    assert load_subject(str(tmp_path), load(), Workload()).chat_template is None
    tokenizer = json.dumps({"chat_template": HERMES})
    (tmp_path / "tokenizer_config.json").write_text(tokenizer, encoding="utf-8")
    assert load_subject(str(tmp_path), load(), Workload()).chat_template == HERMES
    (tmp_path / "chat_template.jinja").write_text("own", encoding="utf-8")
    assert load_subject(str(tmp_path), load(), Workload()).chat_template == "own"


def test_a_hub_is_queried_for_it_only_if_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "config.json": json.dumps(LLAMA).encode(), "model.safetensors": b"x",
        "tokenizer_config.json": json.dumps({"chat_template": HERMES}).encode(),
    }  # fmt: skip
    with FakeHub() as hub:
        for name, value in hub.environment().items():
            monkeypatch.setenv(name, value)
        for repo in ("acme/tuned", "acme/Tuned-Base", "acme/Hermes-4-8B"):
            hub.add(repo, files)
            found = load_subject(f"hf:{repo}", load(), Workload()).chat_template
            assert found == (HERMES if repo == "acme/tuned" else None)
        assert sum("tokenizer_config" in seen.path for seen in hub.log) == 1
