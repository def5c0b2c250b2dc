"""Thinking is switched by family and engine; the order of policies; the role auto."""

from __future__ import annotations

from typing import Any

import pytest
from support.routing_files import file_of, hosted, provider, role

from modelscan.engines.families import family_of
from modelscan.engines.thinking import template_switch
from modelscan.routing.explain import explain
from modelscan.routing.world import ProviderObservation, World

OFF = {"chat_template_kwargs": {"enable_thinking": False}}
# Twenty names: whether thinking is switched off by default.
NAMES = {
    "Qwen/Qwen3-8B": True,
    "qwen/qwen3-235b-a22b": True,
    "hf.co/unsloth/Qwen3-8B-GGUF": True,
    "qwen3:8b": True,
    "Qwen/Qwen3.5-9B": True,
    "unsloth/Qwen3.5-35B-A3B-GGUF": True,
    "Qwen/Qwen3-0.6B-FP8": True,
    "Qwen/Qwen3-4B-Thinking-2507": False,
    "Qwen/Qwen3-30B-A3B-Thinking-2507": False,
    "Qwen/Qwen3-4B-Instruct-2507": False,
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": False,
    "qwen3-coder:30b": False,
    "Qwen/Qwen3-Embedding-8B": False,
    "Qwen/Qwen3-Reranker-4B": False,
    "Qwen/Qwen3-8B-Base": False,
    "Qwen/Qwen3Guard-Gen-8B": False,
    "Qwen/QwQ-32B": False,
    "qwen:32b": False,
    "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B": False,
    "meta-llama/Llama-3.1-8B-Instruct": False,
}


def sent(fields: dict[str, Any], body: dict[str, Any] | None = None, name: str = "m",
         world: World | None = None, **parts: Any) -> dict[str, Any]:  # fmt: skip
    """What an entry would receive, without model and messages."""
    answer = explain(file_of(provider("m", **fields), default="m", **parts), world or World(), name,
                     {"messages": [{"role": "user", "content": "Hi"}], **(body or {})})  # fmt: skip
    assert answer.body is not None
    return {key: value for key, value in answer.body.items() if key not in ("model", "messages")}


@pytest.mark.parametrize(("model", "off"), NAMES.items())
def test_thinking_is_off_by_family(model: str, off: bool) -> None:
    assert sent({"model": model}) == (OFF if off else {})


def test_every_engine_has_its_own_switch() -> None:
    qwen = "Qwen/Qwen3-8B"
    for engine in ("vllm", "sglang", "llama.cpp"):
        assert sent({"model": qwen, "engine": engine}) == OFF
    assert sent({"model": qwen, "engine": "ollama"}) == {"reasoning_effort": "none"}
    assert sent({"model": qwen, "type": "ollama"}) == {"reasoning_effort": "none"}
    seen = World({"m": ProviderObservation(engine="ollama")})
    assert sent({"model": qwen}, world=seen) == {"reasoning_effort": "none"}


def test_a_hosted_service_gets_no_key_that_it_may_refuse() -> None:
    answer = explain(file_of(hosted("m", model="Qwen/Qwen3-8B")), World(), "m")
    assert answer.body is not None
    assert set(answer.body) == {"model", "messages"}
    assert "is not known" in answer.steps[-1].text


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("keep", {}),
        ("auto", OFF),
        ("off", OFF),
        ("on", {"chat_template_kwargs": {"enable_thinking": True}}),
    ],
)
def test_an_owner_decides(setting: str, expected: dict[str, Any]) -> None:
    fields = {"model": "Qwen/Qwen3-8B", "request_policy": {"thinking": setting}}
    assert sent(fields) == expected


def test_families_that_are_switched_only_on_request() -> None:
    glm = {"model": "zai-org/GLM-4.6"}
    assert sent(glm) == {}
    assert sent({**glm, "request_policy": {"thinking": "off"}}) == OFF
    deepseek = {"model": "deepseek-ai/DeepSeek-V3.1", "request_policy": {"thinking": "on"}}
    assert sent(deepseek) == {"chat_template_kwargs": {"thinking": True}}
    oss = {"model": "openai/gpt-oss-20b", "request_policy": {"thinking": "off"}}
    assert sent(oss) == {"reasoning_effort": "low"}
    assert template_switch("llama-3", False) is None


def test_a_family_by_metadata_counts_where_the_name_says_nothing() -> None:
    assert sent({"model": "me/assistant"}) == {}
    assert sent({"model": "me/assistant", "family": "qwen3"}) == OFF
    family = family_of(["me/assistant"], ["Qwen3ForCausalLM"])
    assert family is not None
    assert family.name == "qwen3"


def test_the_caller_then_the_role_then_the_model_then_what_is_inferred() -> None:
    model = {"temperature": 0.6, "top_p": 0.9, "extra": {"a": 1, "b": 1}}
    own = {"temperature": 0.2, "extra": {"b": 2, "c": 2}}
    fields = {
        "model": "Qwen/Qwen3-8B",
        "request_policy": {"body_defaults": model, "body_overrides": {"seed": 1, "user": "m"}},
    }
    policy = {"body_defaults": own, "body_overrides": {"user": "r"}, "thinking": "keep"}
    roles = [role("r", prompt={"request_policy": policy})]
    assert sent(fields, {"extra": {"c": 3}, "seed": 9}, "r", roles=roles) == {
        "temperature": 0.2, "top_p": 0.9, "extra": {"a": 1, "b": 2, "c": 3}, "seed": 1, "user": "r",
    }  # fmt: skip
    assert sent(fields, {"temperature": 1.5})["temperature"] == 1.5
    assert sent(fields, {"seed": 9})["seed"] == 1


def test_a_roles_prompts() -> None:
    fields = {"request_policy": {"system_prompt": "of the model"}}
    prompt = {"system_prompt": "of the role", "user_template": "<{input}>"}
    file = file_of(provider("m", **fields), roles=[role("r", prompt=prompt)])
    bodies = [explain(file, World(), name).body for name in ("m", "r")]
    assert [body and body["messages"] for body in bodies] == [
        [{"role": "system", "content": "of the model"}, {"role": "user", "content": "Hello"}],
        [{"role": "system", "content": "of the role"}, {"role": "user", "content": "<Hello>"}],
    ]


def test_fast_is_without_thinking_also_for_models_that_keep_their_default() -> None:
    assert sent({"model": "zai-org/GLM-4.6"}, name="fast") == OFF
    assert sent({"model": "zai-org/GLM-4.6"}, {"reasoning_effort": "high"}, "fast") == {
        "reasoning_effort": "high"
    }


TOOL = {"tools": [{"type": "function", "function": {"name": "f"}}]}
IMAGE = {
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
}


@pytest.mark.parametrize(
    ("body", "route", "reason"),
    [
        ({}, "fast", "at most 600 characters"),
        ({"messages": [{"role": "user", "content": "Hi " * 400}]}, "m", "no other rule holds"),
        (TOOL, "m", "offers tools"),
        ({"tools": []}, "fast", "at most 600"),
        (IMAGE, "m", "has images"),
        ({"messages": [{"role": "user", "content": "Please DEBUG this."}]}, "m", "debug"),
        ({"messages": [{"role": "user", "content": "Think step-by-step"}]}, "m", "step by step"),
        ({"messages": [{"role": "user", "content": "debugger"}]}, "fast", "at most 600"),
        ({"messages": [{"role": "user", "content": "debug"}, {"role": "user", "content": "thanks"}]},
         "fast", "at most 600"),
        ({"messages": "broken"}, "fast", "at most 600"),
    ],
)  # fmt: skip
def test_the_role_auto_decides_by_rules_that_can_be_read(
    body: dict[str, Any], route: str, reason: str
) -> None:
    sample = {"messages": [{"role": "user", "content": "Hi"}], **body}
    answer = explain(file_of(provider("m"), default="m"), World(), "auto", sample)
    assert answer.route == route
    assert [step.stage for step in answer.steps[:2]] == ["name", "automatic"]
    assert reason in answer.steps[1].text


def test_own_rules_of_the_role_auto() -> None:
    rules = [{"role": "long", "min_characters": 10, "thinking": "on"}]
    file = file_of(
        provider("m", model="Qwen/Qwen3-8B"),
        roles=[role("long")],
        automatic={"rules": rules, "otherwise": "fast"},
    )
    long = explain(file, World(), "auto", {"messages": [{"role": "user", "content": "x" * 10}]})
    assert long.route == "long"
    assert long.body is not None
    assert long.body["chat_template_kwargs"] == {"enable_thinking": True}
    assert explain(file, World(), "auto").route == "fast"


def test_without_a_default_auto_leads_to_what_there_is() -> None:
    assert explain(file_of(provider("m")), World(), "auto").route == "fast"
