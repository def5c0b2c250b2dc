"""Published options of a model: the catalog's recipe, the family's parsers, the version's filter."""

from __future__ import annotations

import pytest

from modelscan.core.workload import Workload
from modelscan.engines.families import Family, family_of
from modelscan.engines.flags import LaunchSettings, options
from modelscan.engines.recipe_options import RecipeOptions, Recommendation
from modelscan.engines.registry import engine
from modelscan.engines.sglang.parsers import PARSERS as SGLANG
from modelscan.engines.version_tables import facts_of
from modelscan.engines.vllm.parsers import PARSERS as VLLM


def recommended(
    name: str, model: str, own: tuple[str, ...] = (), version: str = "0.32.0",
    task: str = "chat", classes: tuple[str, ...] = (), unsafe: bool = False,
) -> RecipeOptions:  # fmt: skip
    published = Recommendation(own, own, (model,), classes, task)
    workload = Workload(backend_version=version, allow_unsafe=unsafe)
    return engine(name).recommended_options(published, workload)


@pytest.mark.parametrize(
    ("model", "tool", "reasoning"),
    [
        ("Qwen/Qwen3-8B", "hermes", "qwen3"), ("Qwen/Qwen3-30B-A3B-Instruct-2507", "hermes", None),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", "qwen3_coder", None),
        ("Qwen/Qwen3.5-9B", "qwen3_coder", "qwen3"), ("openai/gpt-oss-20b", "openai", "openai_gptoss"),
        ("deepseek-ai/DeepSeek-R1", "deepseek_v3", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None, "deepseek_r1"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek_v32", "deepseek_v3"),
        ("zai-org/GLM-4.5-Air", "glm45", "glm45"), ("zai-org/GLM-5.1", "glm47", "glm45"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", None), ("moonshotai/Kimi-K2.6", "kimi_k2", "kimi_k2"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", None),
        ("mistralai/Devstral-Small-2507", "mistral", None), ("Qwen/Qwen3-8B-Base", None, None),
        ("Qwen/Qwen3-Embedding-8B", None, None), ("acme/unheard-of", None, None),
        ("LGAI-EXAONE/EXAONE-4.0-32B", "hermes", "deepseek_r1"),
        ("LGAI-EXAONE/K-EXAONE-236B-A23B", "hermes", "deepseek_v3"),
        ("microsoft/Phi-4-reasoning-plus", None, "deepseek_r1"),
        ("HuggingFaceTB/SmolLM3-3B", "hermes", None), ("internlm/Intern-S1", "internlm", "deepseek_r1"),
    ],
)  # fmt: skip
def test_parsers_of_families(model: str, tool: str | None, reasoning: str | None) -> None:
    found = dict(recommended("vllm", model).options)
    assert found.get("tool-call-parser") == tool
    assert found.get("reasoning-parser") == reasoning
    assert ("enable-auto-tool-choice" in found) is (tool is not None)


def test_the_name_that_says_more_decides() -> None:
    """A hosted id may leave out the generation that its repository names."""
    names = ("mistral/mistral-small-2603", "mistralai/Mistral-Small-4-119B-2603")
    assert family_of(names, ()) == family_of(names[::-1], ()) == Family("mistral", True)


def test_a_fine_tune_has_the_parser_of_its_class() -> None:
    found = recommended("vllm", "acme/tuned", classes=("MiniMaxM2ForCausalLM",))
    assert dict(found.options)["tool-call-parser"] == "minimax_m2"


def test_a_parser_is_only_used_in_versions_that_have_it() -> None:
    assert "tool-call-parser" not in dict(recommended("vllm", "glm-4.7", version="0.9.0").options)
    assert dict(recommended("sglang", "glm-4.7", version="0.5.23").options) == {
        "tool-call-parser": "glm47", "reasoning-parser": "glm45",
    }  # fmt: skip


def test_every_parser_in_the_tables_exists_in_some_version() -> None:
    for name, table in (("vllm", VLLM), ("sglang", SGLANG)):
        facts = facts_of(name, None)
        for parsers in table.values():
            for kind, names in (("tool", parsers.tool), ("reasoning", parsers.reasoning)):
                assert all(facts.when(f"{kind}_parser", parser) for parser in names), names


def test_a_recipe_is_filtered_by_version_and_by_what_the_planner_decides() -> None:
    words = (
        "--max-model-len=65536", "--tool-call-parser=deepseek_v32", "--trust-remote-code",
        "--chat-template={data_dir}/t.jinja", "--tokenizer-mode deepseek_v32", "--made-up=1",
        "--hf_overrides={}", "--max-num-batched-tokens=16384",
    )  # fmt: skip
    found = recommended("vllm", "deepseek-v3.2", words)
    assert dict(found.options) == {
        "tool-call-parser": "deepseek_v32", "tokenizer-mode": "deepseek_v32", "hf-overrides": "{}",
        "reasoning-parser": "deepseek_v3", "enable-auto-tool-choice": None,
    }  # fmt: skip
    text = " ".join(found.notes)
    assert "--trust-remote-code" in text
    assert "--allow-unsafe" in text
    assert "{data_dir}/t.jinja" in text
    assert "--made-up, which vllm 0.32.0 does not have" in text
    unsafe = recommended("vllm", "deepseek-v3.2", words, unsafe=True)
    assert "trust-remote-code" in dict(unsafe.options)


def test_a_parser_of_another_engine_is_replaced_by_the_family_s() -> None:
    words = ("--reasoning-parser=minimax_m2_append_think", "--tool-call-parser=minimax_m2")
    found = recommended("sglang", "minimax-m2.7", words, version="0.5.23")
    assert dict(found.options) == {
        "tool-call-parser": "minimax-m2", "reasoning-parser": "minimax-append-think",
    }  # fmt: skip


def test_rerankers_are_made_scoring_models() -> None:
    found = recommended("vllm", "Qwen/Qwen3-Reranker-8B", task="rerank",
                        classes=("Qwen3ForCausalLM",))  # fmt: skip
    assert [name for name, _ in found.options] == ["hf-overrides"]
    assert recommended("vllm", "Qwen/Qwen3-8B", task="embedding").options == ()


def test_the_planner_overrides_the_catalog_and_the_user_both() -> None:
    launch = LaunchSettings("vllm", "chat", 4096, None, memory_utilization=0.9)
    recipe = (("gpu-memory-utilization", "0.5"), ("block-size", "128"), ("reasoning-parser", "a"))
    workload = Workload(parameters=(("reasoning_parser", "b"),))
    assert options(launch, workload, recipe) == (
        ("max-model-len", "4096"), ("gpu-memory-utilization", "0.9"), ("block-size", "128"),
        ("reasoning_parser", "b"),
    )  # fmt: skip


def test_a_family_needs_a_name_or_a_class() -> None:
    assert family_of(("a/b",), ("LlamaForCausalLM",)) is None
    assert family_of(("Qwen3-8B-AWQ",), ()) == family_of(("x",), ("Qwen3ForCausalLM",))
