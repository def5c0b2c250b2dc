"""Speculative decoding of recipes, dotted options, and expert parallelism in the engines' options."""

from __future__ import annotations

import json

import pytest

from modelscan.core.workload import Workload
from modelscan.engines.command_line import folded, parse, render
from modelscan.engines.recipe_options import RecipeOptions, Recommendation
from modelscan.engines.registry import engine
from modelscan.engines.speculation import Speculation, stated
from modelscan.engines.unmodelled import unmodelled

MTP = {"enabled": True, "algorithm": "mtp", "num_draft_tokens": 2}
QWEN = ("Qwen3_5ForConditionalGeneration",)


def recipe(
    name: str, version: str, own: tuple[str, ...] = (), classes: tuple[str, ...] = QWEN,
    config: dict[str, object] | None = None,
) -> RecipeOptions:  # fmt: skip
    published = Recommendation(own, own, ("acme/model",), classes, "embedding", stated(config))
    return engine(name).recommended_options(published, Workload(backend_version=version))


def test_a_recipe_s_prediction_layers_draft_on_both_engines() -> None:
    (vllm,) = recipe("vllm", "0.32.0", config=MTP).options
    assert vllm == ("speculative-config", '{"method":"mtp","num_speculative_tokens":2}')
    assert dict(recipe("sglang", "0.5.23", config=MTP).options) == {
        "speculative-algorithm": "NEXTN", "speculative-num-steps": "2",
        "speculative-eagle-topk": "1", "speculative-num-draft-tokens": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "classes", "text"),
    [
        ("vllm", "0.7.0", (), "which vLLM 0.7.0 does not have"),
        ("vllm", "0.10.2", ("DeepseekV3ForCausalLM",), "vLLM 0.10.2 has no method mtp"),
        ("vllm", "0.11.0", QWEN, "vLLM 0.11.0 does not have Qwen3_5MTP"),
        ("sglang", "0.5.23", ("LlamaForCausalLM",), "no drafting class for LlamaForCausalLM"),
    ],
)
def test_a_version_that_cannot_draft_leaves_it_out(
    name: str, version: str, classes: tuple[str, ...], text: str
) -> None:
    found = recipe(name, version, classes=classes, config=MTP)
    assert not any("speculative" in option for option, _ in found.options)
    assert text in "; ".join(found.notes)
    dotted = recipe("vllm", "0.10.2", ("--speculative-config.method=mtp",), classes)
    assert dotted.options == () and "no method mtp" in dotted.notes[0]


def test_what_the_catalog_switches_off_or_names_otherwise_is_no_method() -> None:
    assert stated(None) is None
    assert stated({**MTP, "enabled": False}) is None
    assert stated({"algorithm": "eagle3", "draft_model": "Qwen3-8B-EAGLE3"}) is None
    assert stated({"algorithm": "ngram"}) == Speculation("ngram")
    assert stated({"algorithm": "medusa"}) is None


def test_dotted_options_become_one_json() -> None:
    words = ("--speculative_config.num_speculative_tokens=3", "--speculative-config.method", "mtp",
             "--max-model-len", "9")  # fmt: skip
    assert folded(parse(words)) == [
        ("max-model-len", "9"),
        ("speculative-config", '{"num_speculative_tokens":3,"method":"mtp"}'),
    ]
    nested = folded([("hf_overrides.rope.factor", "2.0"), ("hf-overrides", "{}"), ("a.b+", "1")])
    assert nested == [("a.b+", "1"), ("hf-overrides", '{"rope":{"factor":2.0}}')]
    assert render(nested)[-2:] == ("--hf-overrides", '{"rope":{"factor":2.0}}')


def test_dotted_options_of_a_user_are_read_like_the_json() -> None:
    pairs = (("speculative-config.method", "mtp"),
             ("speculative_config.num_speculative_tokens", "2"))  # fmt: skip
    whole = json.dumps({"method": "mtp", "num_speculative_tokens": 2})
    for parameters in (pairs, (("speculative-config", whole),)):
        assert unmodelled(engine("vllm"), Workload(parameters=parameters)) == ()


def test_whole_experts_are_an_option_of_each_engine() -> None:
    assert engine("vllm").whole_experts(8, "0.20.2") == (("enable-expert-parallel", None),)
    assert engine("sglang").whole_experts(8, "0.5.9") == (("ep-size", "8"),)
    assert engine("llama.cpp").whole_experts(8, None) == ()
